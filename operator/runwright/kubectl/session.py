"""The cluster that a command works on: its connection, its namespace, and what goes wrong on the way."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

from kubernetes.aio import client

from runwright import __version__
from runwright.adapters.kubernetes_api import KubernetesCluster
from runwright.adapters.login import configure, default_namespace
from runwright.adapters.shell_requests import ShellRequests
from runwright.adapters.watching import Watching
from runwright.api.pipelinerun import PLURAL
from runwright.artifacts.places import ArtifactError
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, Key
from runwright.kubectl.interrupt import INTERRUPTED, run_interruptible

FAILED, ENDED_BADLY, TIMED_OUT = 1, 3, 4
"""Exit codes: it could not be done; the run ended as Failed or Error; the time was over; Ctrl-C. click's own is 2: usage."""


class CommandError(Exception):
    """What was asked for cannot be done; the message says which object or field, and what was expected."""


class Exit(Exception):  # noqa: N818 - the end of a command that has said what it has to say
    """The command ends with this exit code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Target:
    """Which cluster and namespace a person named; what is not named is as kubectl's."""

    kubeconfig: str | None = None
    context: str | None = None
    namespace: str = ""
    all_namespaces: bool = False


@dataclass(frozen=True, slots=True)
class Session:
    """A connection to the cluster."""

    api: client.ApiClient
    namespace: str
    all_namespaces: bool = False

    @property
    def requests(self) -> ShellRequests:
        """The requests that people's commands make."""
        return ShellRequests(self.api)

    @property
    def cluster(self) -> KubernetesCluster:
        """What reads Workflows, snapshots and artifacts."""
        return KubernetesCluster(self.api)

    @property
    def scope(self) -> str:
        """The namespace that is listed; empty for all."""
        return "" if self.all_namespaces else self.namespace

    def key(self, name: str) -> Key:
        """Namespace and name of a run that is named `NAME` or `NAMESPACE/NAME`."""
        namespace, slash, rest = name.partition("/")
        return Key(namespace, rest) if slash else Key(self.namespace, name)

    def watching(self, key: Key) -> Watching:
        """The one run of this key."""
        return Watching(self.api, PLURAL, key.namespace, field_selector=f"metadata.name={key.name}")

    async def run(self, key: Key) -> Json:
        """A run as it is now. Raises ApiError (NotFound)."""
        run = await self.cluster.get_run(key)
        if run is None:
            raise no_run(key)
        return run


def no_run(key: Key) -> ApiError:
    """The API server's words for a run that is not there, and where it was looked for."""
    return ApiError(404, "NotFound", f'pipelineruns.runwright.dev "{key.name}" not found in namespace {key.namespace}')


@asynccontextmanager
async def session(target: Target) -> AsyncGenerator[Session]:
    """A connection, closed at the end. Raises kubernetes' ConfigException."""
    configuration = await configure(target.kubeconfig, target.context)
    namespace = target.namespace or default_namespace(target.kubeconfig, target.context)
    async with client.ApiClient(configuration) as api:
        api.user_agent = f"kubectl-runwright/{__version__}"
        yield Session(api, namespace, target.all_namespaces)


def run_command(command: Coroutine[Any, Any, None]) -> None:
    """Run a command to its end, and end the process as `docs/kubectl.md` says: a failure is one line, never a traceback."""
    try:
        run_interruptible(command)
        sys.stdout.flush()
    except Exit as end:
        sys.exit(end.code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # Whoever reads has seen enough; Python must not write there again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILED)
    except Exception as error:
        fail(error)


def told(error: Exception) -> str:
    """What went wrong, on one line."""
    if isinstance(error, CommandError):
        return " ".join(str(error).split())
    message, reason = str(error), type(error).__name__
    if isinstance(error, ApiError):
        message, reason = error.message, f"{error.code} {error.reason}" if error.code else error.reason
    elif isinstance(error, ArtifactError):
        reason = error.reason
    return f"{reason}: {' '.join(message.split())}"


def complain(error: Exception) -> None:
    """Say what went wrong with one of several, and go on."""
    sys.stderr.write(f"runwright: {told(error)}\n")


def fail(error: Exception) -> NoReturn:
    """End with what went wrong, on one line."""
    sys.exit(f"runwright: {told(error)}")
