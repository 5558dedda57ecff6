"""kubectl on the cluster under test, and waiting on its watches: what the fixtures of conftest.py are made of."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Object = dict[str, Any]

FINISHED = ("Succeeded", "Skipped", "Failed", "Error")
WAIT_SECONDS = 180.0
"""How long a wait may take unless its test says otherwise: a slow machine with four tests at a time is no failure."""

SHORT_LIVED = {"GOGC": "off", "GOMEMLIMIT": "512MiB"}
"""Environment of a Go program that ends soon: without garbage collection kubectl takes a sixth less CPU time."""


class WaitError(AssertionError):
    """What was waited for did not come, or cannot come any more."""


@dataclass(frozen=True)
class Kubectl:
    """`kubectl ARGUMENTS` on one cluster."""

    kubeconfig: Path

    def __call__(self, *arguments: str, input: str | None = None, timeout: float = 60) -> str:
        """What kubectl printed. Raises subprocess.CalledProcessError, with kubectl's words in its `stderr`."""
        command = self.command(*arguments)
        environment = os.environ | SHORT_LIVED
        done = subprocess.run(command, input=input, capture_output=True, text=True, timeout=timeout, env=environment)
        if done.returncode:
            error = subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
            error.add_note(done.stderr)
            raise error
        return done.stdout

    def command(self, *arguments: str) -> list[str]:
        """The command line, for a process that the caller starts."""
        return ["kubectl", "--kubeconfig", str(self.kubeconfig), *arguments]

    def get(self, namespace: str, kind: str, name: str) -> Object:
        """One object, as it is now."""
        return json.loads(self("get", "-n", namespace, kind, name, "-o", "json"))

    def find(self, namespace: str, kind: str, name: str) -> Object | None:
        """One object, as it is now; None where there is none."""
        text = self("get", "-n", namespace, kind, name, "-o", "json", "--ignore-not-found")
        return json.loads(text) if text.strip() else None

    def list(self, namespace: str, kind: str, *options: str) -> list[Object]:
        """The objects of a kind, as they are now."""
        return json.loads(self("get", "-n", namespace, kind, "-o", "json", *options))["items"]

    def patch_status(self, namespace: str, kind: str, name: str, status: Object) -> None:
        """Merge `status` into that of an object whose kind has a status subresource."""
        self(
            "patch",
            "-n",
            namespace,
            kind,
            name,
            "--subresource=status",
            "--type=merge",
            "-p",
            json.dumps({"status": status}),
        )

    def watch(
        self, namespace: str, kind: str, *options: str, timeout: float = WAIT_SECONDS
    ) -> Iterator[tuple[str, Object]]:
        """Events (`ADDED`, `MODIFIED`, `DELETED`; the object) of a kind, existing objects first, until `timeout` ends.

        Restarts a watch that ends early, such as with its API server.
        """
        deadline = time.monotonic() + timeout
        command = self.command(
            "get",
            "-n",
            namespace,
            kind,
            *options,
            "-o",
            "json",
            "--watch",
            "--output-watch-events",
            "--request-timeout=0",
        )
        while time.monotonic() < deadline:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            timer = threading.Timer(deadline - time.monotonic(), process.kill)
            timer.start()
            began = time.monotonic()
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    event = json.loads(line)
                    yield event["type"], event["object"]
            finally:
                timer.cancel()
                process.kill()
                process.communicate()
            # The API server is away: do not start kubectl faster than it can find out.
            time.sleep(max(0.0, min(0.5 - (time.monotonic() - began), deadline - time.monotonic())))

    def wait(
        self, namespace: str, kind: str, name: str, until: Callable[[Object], bool], timeout: float = WAIT_SECONDS
    ) -> Object:
        """The object `name` as it is when `until` is first true of it.

        Raises WaitError when that does not come in time, telling how the object was last.
        """
        last: Object | None = None
        for event, found in self.watch(namespace, kind, f"--field-selector=metadata.name={name}", timeout=timeout):
            last = None if event == "DELETED" else found
            if last is not None and until(last):
                return last
        raise WaitError(f"{kind} {namespace}/{name} did not come to it in {timeout:.0f} s; last: {describe(last)}")

    def wait_all(
        self,
        namespace: str,
        kind: str,
        names: Collection[str],
        until: Callable[[Object], bool],
        timeout: float = WAIT_SECONDS,
    ) -> dict[str, Object]:
        """The objects of these names, by name, once `until` is true of all of them at a time. Raises WaitError as `wait`."""
        found: dict[str, Object] = {}
        for event, one in self.watch(namespace, kind, timeout=timeout):
            name = one["metadata"]["name"]
            found.pop(name, None)
            if name in names and event != "DELETED" and until(one):
                found[name] = one
                if len(found) == len(names):
                    return found
        raise WaitError(
            f"{len(found)} of {len(names)} {kind} of {namespace} came to it in {timeout:.0f} s; not so "
            f"{', '.join(sorted(set(names) - set(found))[:10])}"
        )

    def wait_event(
        self, namespace: str, name: str, until: Callable[[Object], bool], timeout: float = WAIT_SECONDS
    ) -> Object:
        """The first Kubernetes Event about the object `name` that satisfies `until`."""
        selector = f"--field-selector=involvedObject.name={name}"
        seen: list[str] = []
        for _, event in self.watch(namespace, "events", selector, timeout=timeout):
            if until(event):
                return event
            seen.append(f"{event.get('type')} {event.get('reason')}: {event.get('message')}")
        raise WaitError(f"no such Event about {namespace}/{name} in {timeout:.0f} s; seen: {seen or 'none'}")

    def wait_established(self, *arguments: str, timeout: float = 60) -> None:
        """Wait until CRDs, given as to `kubectl wait`, are served.

        `kubectl wait` fails for a CRD that the API server has not given any condition yet, so it is started again.
        """
        deadline = time.monotonic() + timeout
        while True:
            left = max(1.0, deadline - time.monotonic())
            try:
                self("wait", "--for=condition=Established", *arguments, f"--timeout={left:.0f}s", timeout=left + 10)
            except subprocess.CalledProcessError as error:
                if "accessor error" not in error.stderr or time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
            else:
                return

    def wait_gone(self, namespace: str, kind: str, *names: str, timeout: float = WAIT_SECONDS) -> None:
        """Return once there is no object of these names."""
        gone = [f"{kind}/{name}" for name in names]
        self("wait", "-n", namespace, *gone, "--for=delete", f"--timeout={timeout:.0f}s", timeout=timeout + 10)


def describe(found: Object | None) -> str:
    """Short form of an object for an error message."""
    if found is None:
        return "there is none"
    metadata = {key: found["metadata"].get(key) for key in ("generation", "resourceVersion", "deletionTimestamp")}
    return json.dumps({**metadata, "status": found.get("status")})[:4000]


def condition(found: Object, kind: str) -> Object:
    """The condition of this type; an empty one where there is none."""
    conditions = (found.get("status") or {}).get("conditions") or []
    return next((one for one in conditions if one["type"] == kind), {})


def stalled(found: Object) -> str:
    """The reason for which a run is stalled now, in the generation that it has now; empty where it is not."""
    one = condition(found, "Stalled")
    current = one.get("observedGeneration") == found["metadata"]["generation"]
    return one["reason"] if one.get("status") == "True" and current else ""


def finished(found: Object) -> bool:
    """Whether a PipelineRun, or a Workflow, has ended."""
    return (found.get("status") or {}).get("phase") in FINISHED


@contextmanager
def ended(process: subprocess.Popen[Any], seconds: float = 20) -> Iterator[None]:
    """Within it, the process is of use; after it, it is ended: asked to, then killed."""
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
