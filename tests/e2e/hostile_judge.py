"""What is sampled of a process under attack, and what must be true of it."""

from __future__ import annotations

import itertools
import json
import re
import socket
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Self

from tests.e2e.process_usage import read_process
from tests.e2e.processes import Program

PROBE_SECONDS = 5.0
"""`timeoutSeconds` of the probes in deploy/base: the kubelet counts a later reply as a failure."""

NUMBER = re.compile(r"[0-9a-f]*\d[0-9a-f]*")
PROBE_FAILURES = 3
"""Kubernetes' default of `failureThreshold`: so many in a row restart a container."""

SAMPLE_SECONDS = 0.5
GIVE_BACK_SECONDS = 20.0
KEPT = 0.5
"""Share of the Deployment's limit below which memory is again once the attacker's objects are deleted: an allocator keeps some."""


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile; 0 of no values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share / 100))] if ordered else 0.0


def longest(values: Iterable[bool]) -> int:
    """The most true values in a row."""
    return max((len([*group]) for value, group in itertools.groupby(values) if value), default=0)


class Canary:
    """A port on loopback that nobody but the attacker names: who connects to it was sent there."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.connections = 0

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            connection.close()


class Watched:
    """A process whose memory and probes are sampled by a thread."""

    def __init__(self, name: str, program: Program, probe: str, limit: float) -> None:
        """`limit` is the Deployment's memory limit in MiB."""
        self._name, self._program, self._probe, self._limit = name, program, probe, limit
        self._pid = program.pid
        self.resident: list[float] = []
        """MiB."""
        self.peak = 0.0
        self.replies: list[tuple[str, int, float]] = []
        """Probe, code (0 for none) and seconds."""
        self._end = threading.Event()

    def __enter__(self) -> Self:
        self._before = read_process(self._pid)
        self._threads = [threading.Thread(target=one, daemon=True) for one in (self._measure, self._ask)]
        for one in self._threads:
            one.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for one in self._threads:
            one.join()

    def _measure(self) -> None:
        while not self._end.wait(SAMPLE_SECONDS / 5):
            try:
                usage = read_process(self._pid)
            except (FileNotFoundError, ProcessLookupError, KeyError):
                return
            self.resident.append(usage.resident)
            self.peak = max(self.peak, usage.peak)

    def _ask(self) -> None:
        while not self._end.wait(SAMPLE_SECONDS):
            for path in ("healthz", "readyz"):
                began = time.monotonic()
                self.replies.append((path, self._reply(path), time.monotonic() - began))

    def _reply(self, path: str) -> int:
        try:
            with urllib.request.urlopen(f"http://{self._probe}/{path}", timeout=PROBE_SECONDS * 2) as reply:
                return reply.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def tell(self) -> str:
        """The figures so far, on one line."""
        slowest = max((seconds for *_, seconds in self.replies), default=0.0)
        codes = dict(Counter(f"{path} {code}" for path, code, _ in self.replies))
        text = self._program.log_text()
        common = Counter(
            NUMBER.sub("N", line.partition('"message": ')[2])[:150] for line in text if '"level": "info"' not in line
        )
        cpu = read_process(self._pid).cpu - self._before.cpu if self._program.alive else 0
        shown = "".join(f"\n    {count:5} {line}" for line, count in common.most_common(15))
        return (
            f"{self._name}: MiB {self._before.resident:.0f} before, {self.peak:.0f} at most, "
            f"{self.resident[-1] if self.resident else 0:.0f} now; {cpu:.0f} s of CPU; probes {codes}, slowest {slowest:.2f} s; {len(text)} lines of log{shown}"
        )

    def wrong(self) -> list[str]:
        """What must not be: death, a failed probe, too much memory, an exception in the log."""
        if not self._program.alive or self._program.pid != self._pid:
            return [f"{self._name}: it ended; {self._program.log_text()[-3:]}"]
        said: list[str] = []
        if self.peak >= self._limit:
            said.append(
                f"{self._name}: {self.peak:.0f} MiB of memory, the limit of its Deployment is {self._limit:.0f}"
            )
        bad = Counter((path, code) for path, code, _ in self.replies if code not in (200, 0))
        said += [f"{self._name}: /{path} answered {code} {count} times" for (path, code), count in bad.items()]
        for probe in ("healthz", "readyz"):
            late = [code != 200 or seconds > PROBE_SECONDS for path, code, seconds in self.replies if path == probe]
            if (most := longest(late)) >= PROBE_FAILURES:
                said.append(f"{self._name}: /{probe} gave no reply within {PROBE_SECONDS:.0f} s {most} times in a row")
        said += [f"{self._name}: {count} times in its log: {text}" for text, count in self._bad_lines().most_common(8)]
        allowed = self._limit * KEPT
        deadline = time.monotonic() + GIVE_BACK_SECONDS
        while read_process(self._pid).resident > allowed and time.monotonic() < deadline:
            time.sleep(0.5)
        kept = read_process(self._pid).resident
        if kept > allowed:
            said.append(f"{self._name}: keeps {kept:.0f} MiB; before the attack it had {self._before.resident:.0f}")
        return said

    def _bad_lines(self) -> Counter[str]:
        """Log lines that are no JSON, and those with an exception, by their text."""
        found: Counter[str] = Counter()
        for text in self._program.log_text():
            try:
                line = json.loads(text)
            except ValueError:
                found[f"no JSON: {text[:200]!r}"] += 1
                continue
            if "exception" in line:
                found[f"{line['message'][:200]!r} … {line['exception'][-300:]!r}"] += 1
        return found
