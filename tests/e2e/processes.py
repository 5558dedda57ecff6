"""Processes of a test's own: an operator that can be killed or frozen, and what any process says, line by line."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal, Self

from tests.e2e.cluster import WAIT_SECONDS, Kubectl, Object, WaitError, ended
from tests.ports import free_port

REPOSITORY = Path(__file__).resolve().parents[2]


class Lines:
    """The lines of a stream, read as they come."""

    def __init__(self, stream: IO[str]) -> None:
        self._seen: list[str] = []
        self._changed = threading.Condition()
        self._ended = False
        threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            with self._changed:
                self._seen.append(line)
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def seen(self) -> list[str]:
        """The lines so far."""
        with self._changed:
            return list(self._seen)

    def wait(self, wanted: Callable[[str], bool], timeout: float = 60, since: int = 0) -> str:
        """The first line from number `since` on that is wanted. Raises WaitError where none comes."""
        deadline, at = time.monotonic() + timeout, since
        with self._changed:
            while True:
                while at < len(self._seen):
                    if wanted(self._seen[at]):
                        return self._seen[at]
                    at += 1
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    why = "the stream ended" if self._ended else f"it did not come in {timeout:.0f} s"
                    raise WaitError(f"{why}; the last lines were: {''.join(self._seen[-20:]) or 'none'}")
                self._changed.wait(left)


def start_logged(
    command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start a process that appends its output to a file. `environment` is added to that of the tests."""
    with log.open("ab") as output:
        return subprocess.Popen(command, stdout=output, stderr=output, env=os.environ | (environment or {}), cwd=folder)


def start_read(
    command: Sequence[str], stream: Literal["stdout", "stderr"] = "stdout", **environment: str
) -> tuple[subprocess.Popen[str], Lines]:
    """Start a process, and read one of its streams line by line. `environment` is added to that of the tests."""
    out, error = (subprocess.PIPE, None) if stream == "stdout" else (None, subprocess.PIPE)
    process = subprocess.Popen(command, stdout=out, stderr=error, text=True, env=os.environ | environment)
    source = process.stdout or process.stderr
    assert source is not None
    return process, Lines(source)


class Mortal:
    """A process of this machine that can die at any moment, or be stopped in its tracks."""

    _process: subprocess.Popen[Any] | None = None

    @property
    def pid(self) -> int:
        """Of the present process."""
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """End it as the kernel does: SIGKILL, without a chance to tidy up."""
        self._signal(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop it in its tracks: it holds its connections and reads nothing from them."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
            if number == signal.SIGKILL:
                self._process.wait()


class Program(Mortal):
    """A command of `runwright` as a process of this machine, which can die at any moment and be started again."""

    def __init__(self, command: str, kubeconfig: Path, *options: str) -> None:
        self._command = [sys.executable, "-m", "runwright", command, "--kubeconfig", str(kubeconfig), *options]
        self._command += ["--log-format", "json"]
        self._logs: list[Lines] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self, until: str) -> None:
        """Start it, and return once it has logged these words."""
        self._process, lines = start_read(self._command, "stderr", PYTHONPATH=str(REPOSITORY / "operator"))
        self._logs.append(lines)
        self.wait_log(until)

    def stop(self, seconds: float = 20) -> int:
        """Ask it to end, and give its exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(seconds)

    def wait_log(self, words: str, timeout: float = 60, since: int = 0) -> dict[str, Any]:
        """The first line of the present process, from number `since` on, whose message holds these words."""
        found = self._logs[-1].wait(lambda line: words in line, timeout, since)
        return json.loads(found) if found.startswith("{") else {"message": found}

    def log(self) -> list[dict[str, Any]]:
        """What it has logged in all its lives. Raises ValueError where a line is no JSON."""
        return [json.loads(line) for line in self.log_text()]

    def log_text(self) -> list[str]:
        """Its log lines as they are."""
        return [line for lines in self._logs for line in lines.seen()]

    def errors(self) -> list[dict[str, Any]]:
        """What it has logged as an error, in all its lives."""
        return [line for line in self.log() if line["level"] in ("error", "critical") or "exception" in line]


class Operator(Program):
    """`runwright operator`."""

    def __init__(self, kubeconfig: Path, *options: str) -> None:
        super().__init__("operator", kubeconfig, *options)

    def start(self, until: str = "looks after PipelineRuns") -> None:
        """Start it, and return once it has logged these words."""
        super().start(until)


class Serve(Program):
    """`runwright serve`, on loopback."""

    def __init__(self, kubeconfig: Path, *options: str) -> None:
        self.http, self.grpc = (f"127.0.0.1:{free_port()}" for _ in range(2))
        self.scheme = "https" if "--tls-cert" in options else "http"
        addresses = ("--http-address", self.http, "--grpc-address", self.grpc)
        super().__init__("serve", kubeconfig, *addresses, *options)

    @property
    def url(self) -> str:
        """Where REST is."""
        return f"{self.scheme}://{self.http}"

    def start(self, until: str = "serves the runs in") -> None:
        """Start it, and return once it serves."""
        super().start(until)


class Sightings:
    """Every version of the objects of a kind that there was in a namespace while one looked, also of those that are gone."""

    def __init__(self, kubectl: Kubectl, namespace: str, kind: str) -> None:
        command = kubectl.command(
            "get", "-n", namespace, kind, "-o", "json", "--watch", "--output-watch-events", "--request-timeout=0"
        )
        self._process, self._lines = start_read(command)

    def __enter__(self) -> Sightings:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def wait(
        self, name: str, until: Callable[[Object], bool] = lambda _: True, timeout: float = WAIT_SECONDS
    ) -> Object:
        """The first version of the object `name`, from the beginning, that satisfies `until`."""

        def wanted(line: str) -> bool:
            found = json.loads(line)["object"]
            return found["metadata"]["name"] == name and until(found)

        return json.loads(self._lines.wait(wanted, timeout))["object"]

    def wait_gone(self, found: Object, timeout: float = WAIT_SECONDS) -> None:
        """Return once it was seen that this very object is gone."""

        def wanted(line: str) -> bool:
            event = json.loads(line)
            return event["type"] == "DELETED" and event["object"]["metadata"]["uid"] == found["metadata"]["uid"]

        self._lines.wait(wanted, timeout)

    def up_to(self, found: Object) -> list[Object]:
        """The versions of this very object, from the first one seen to the one given, which is waited for."""
        uid, last = found["metadata"]["uid"], found["metadata"]["resourceVersion"]
        self.wait(found["metadata"]["name"], lambda one: one["metadata"]["resourceVersion"] == last)
        versions = [one for _, one in self.events() if one["metadata"]["uid"] == uid]
        return versions[: 1 + [one["metadata"]["resourceVersion"] for one in versions].index(last)]

    def events(self) -> list[tuple[str, Object]]:
        """What was seen so far: `ADDED`, `MODIFIED` or `DELETED`, and the object."""
        events = (json.loads(line) for line in self._lines.seen())
        return [(event["type"], event["object"]) for event in events]

    def uids(self) -> dict[str, set[str]]:
        """Name of each object, and the uids that it has had."""
        found: dict[str, set[str]] = {}
        for _, one in self.events():
            found.setdefault(one["metadata"]["name"], set()).add(one["metadata"]["uid"])
        return found


@contextmanager
def forwarded(kubectl: Kubectl, namespace: str, target: str, port: str) -> Iterator[int]:
    """A port of loopback from which kubectl leads to this port of `service/NAME` or `pod/NAME`."""
    command = kubectl.command("port-forward", "-n", namespace, target, f":{port}", "--address=127.0.0.1")
    process, lines = start_read(command)
    with ended(process):
        line = lines.wait(lambda one: "Forwarding from" in one)
        found = re.search(r"127\.0\.0\.1:(\d+)", line)
        assert found, line
        yield int(found[1])
