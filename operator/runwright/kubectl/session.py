"""A command's connection to the cluster, and how a command ends: exit codes, and errors on one line."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import AsyncGenerator, Coroutine, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

from runwright import __version__
from runwright.api.resources import PIPELINE_RUNS
from runwright.kube.client import Client
from runwright.kube.errors import ApiError, error_line, not_served
from runwright.kube.objects import Json, Key
from runwright.kubectl.interrupt import INTERRUPTED, run_interruptible

FAILED, ENDED_BADLY, TIMED_OUT = 1, 3, 4
"""Exit codes: the command failed; the run ended as Failed or Error; the timeout was reached. click exits with 2 on a usage error."""

MANAGER = "kubectl-runwright"
"""Field manager of writes (`metadata.managedFields`), and the program's name in the User-Agent header."""


class CommandError(Exception):
    """The command cannot be done. The message names the object or field, and what was expected."""


class Exit(Exception):  # noqa: N818 - the end of a command that has printed its messages
    """End the command with this exit code, without a message."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Target:
    """Cluster and namespace of a command; an empty field has kubectl's default."""

    kubeconfig: str | None = None
    context: str | None = None
    namespace: str = ""
    all_namespaces: bool = False


@dataclass(frozen=True, slots=True)
class Session:
    """An open connection, and the namespace of the command."""

    client: Client
    namespace: str
    all_namespaces: bool = False

    @property
    def scope(self) -> str:
        """The namespace that is listed; empty for all."""
        return "" if self.all_namespaces else self.namespace

    def key(self, name: str) -> Key:
        """The key of a run named `NAME` or `NAMESPACE/NAME`."""
        namespace, slash, rest = name.partition("/")
        return Key(namespace, rest) if slash else Key(self.namespace, name)

    async def read_run(self, key: Key) -> Json:
        """Read a run. Raises ApiError (NotFound, NotServed)."""
        try:
            run = await self.client.get(PIPELINE_RUNS, key)
        except ApiError as error:
            if error.code == 404:
                raise not_served(PIPELINE_RUNS) from error
            raise
        if run is None:
            raise no_run(key)
        return run


def no_run(key: Key) -> ApiError:
    """The error for a run that does not exist: the API server's words, and the namespace."""
    return ApiError(404, "NotFound", f'{PIPELINE_RUNS} "{key.name}" not found in namespace {key.namespace}')


@asynccontextmanager
async def connect_to(target: Target) -> AsyncGenerator[Session]:
    """Connect to the cluster. Raises ConfigError."""
    # aiohttp takes longer to import than most commands take to run: help and usage errors do without it.
    with without_system_authorities():
        from runwright.kube.http_client import HttpClient
    from runwright.kube.login import log_in

    login = await log_in(target.kubeconfig, target.context)
    async with HttpClient(login, user_agent=f"{MANAGER}/{__version__}", manager=MANAGER) as client:
        yield Session(client, target.namespace or login.namespace, target.all_namespaces)


@contextmanager
def without_system_authorities() -> Generator[None]:
    """Let TLS contexts that are made meanwhile trust no authorities: OpenSSL's variables name an empty file.

    aiohttp (3.14) makes two default contexts when it is imported, and each reads all certificates of the system: 45 ms of CPU.
    The client never uses them, since `kube.login` makes the context of each connection.
    """
    names = ("SSL_CERT_FILE", "SSL_CERT_DIR")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, os.devnull))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


# ----------------------------------------------------------------------------------------------------------- the end
def run_command(command: Coroutine[Any, Any, None]) -> None:
    """Run a command, and end the process with an exit code of docs/kubectl.md. An error is one line, never a traceback."""
    # What the client logs about retries would be printed to the standard error, beside the command's own messages.
    logging.getLogger("runwright").addHandler(logging.NullHandler())
    try:
        run_interruptible(command)
        sys.stdout.flush()
    except Exit as end:
        sys.exit(end.code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # The reader of the pipe has gone. Python would write to it again as it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILED)
    except Exception as error:
        exit_with_error(error)


def command_error_line(error: Exception) -> str:
    """The error on one line. A CommandError is its message; others begin with their reason or type."""
    if isinstance(error, CommandError):
        return " ".join(str(error).split())
    if isinstance(error, ApiError):
        return error_line(error)
    from runwright.artifacts.places import ArtifactError

    if isinstance(error, ArtifactError):
        return f"{error.reason}: {' '.join(str(error).split())}"
    return error_line(error)


def print_error(error: Exception) -> None:
    """Print the error of one of several objects; the command goes on."""
    sys.stderr.write(f"runwright: {command_error_line(error)}\n")


def exit_with_error(error: Exception) -> NoReturn:
    """End the process with exit code 1 and the error."""
    sys.exit(f"runwright: {command_error_line(error)}")
