"""An operator under load as its admin sees it: the probes and the metrics, asked again and again, and what the alerts stand on."""

from __future__ import annotations

import re
import threading
import time
import urllib.error
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

from monitoring.monitoring import RULES
from tests.e2e.cluster import WaitError
from tests.e2e.process_usage import Usage, read_process
from tests.e2e.processes import Operator
from tests.ports import free_port

PROBE_SECONDS = 5.0
"""`timeoutSeconds` of the probes in deploy/base: the kubelet counts a later answer as a failure."""

REQUESTS = "runwright_api_request_duration_seconds_count"
SELECTOR = re.compile(r"(runwright_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')


class Metrics:
    """Content of `/metrics` at one moment."""

    def __init__(self, text: str) -> None:
        self.at = time.monotonic()
        families = text_string_to_metric_families(text)
        self._samples = [(one.name, one.labels, one.value) for family in families for one in family.samples]

    def by(self, selector: str, label: str = "") -> dict[str, float]:
        """The sum of what a selector of PromQL selects, such as `runwright_runs{phase="Pending"}`, by the values of a label."""
        found = SELECTOR.fullmatch(selector)
        assert found, f"no selector: {selector}"
        matchers = MATCHER.findall(found[2] or "")
        assert matchers or not found[2], f"no matchers: {selector}"
        total: dict[str, float] = defaultdict(float)
        for name, labels, value in self._samples:
            if name == found[1] and all(fits(labels.get(one, ""), how, text) for one, how, text in matchers):
                total[labels.get(label, "")] += value
        return total

    def value(self, selector: str) -> float:
        """The sum of what the selector selects; fails where it selects nothing."""
        found = self.by(selector)
        assert found, f"the operator does not tell {selector}"
        return sum(found.values())

    def requests(self) -> Counter[str]:
        """How many requests there were so far, by verb and resource."""
        total: Counter[str] = Counter()
        for name, labels, value in self._samples:
            if name == REQUESTS:
                total[f"{labels['verb']} {labels['resource']}"] += int(value)
        return total


def fits(value: str, how: str, wanted: str) -> bool:
    """Whether a label's value is as a matcher of PromQL wants it."""
    same = re.fullmatch(wanted, value) is not None if "~" in how else value == wanted
    return same is not how.startswith("!")


@dataclass(frozen=True)
class Alert:
    """An alert that we ship: what it selects, and the numbers that it compares with, in the order of its expression."""

    selectors: list[str]
    thresholds: list[float]


def alert(name: str) -> Alert:
    """The alert of this name in rules.yaml; fails where there is none."""
    rules: list[dict[str, Any]] = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
    (expression,) = [str(rule["expr"]) for rule in rules if rule["alert"] == name]
    thresholds = [float(one) for one in re.findall(r">\s*([\d.]+)", expression)]
    return Alert([found[0] for found in SELECTOR.finditer(expression)], thresholds)


class Probed:
    """An operator whose probes are asked all the time from a thread; what they answered is kept."""

    def __init__(self, kubeconfig: Path, *options: str) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self.operator = Operator(kubeconfig, f"--probe-address={self.address}", *options)
        self.health: list[tuple[int, float]] = []
        """Of each answer of /healthz: its code, 0 for none, and the seconds that it took."""
        self.metrics: list[Metrics] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def __enter__(self) -> Probed:
        try:
            self.operator.start()
        except BaseException:
            self.operator.kill()
            raise
        self.pid = self.operator.pid
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self.operator.kill()

    def _ask(self) -> None:
        while not self._end.wait(0.25):
            began = time.monotonic()
            try:
                with urllib.request.urlopen(f"http://{self.address}/healthz", timeout=20) as reply:
                    code = reply.status
            except urllib.error.HTTPError as error:
                code = error.code
            except OSError:
                code = 0
            self.health.append((code, time.monotonic() - began))
            if code == 200:
                with suppress(OSError):
                    self.metrics.append(self.read())

    def read(self) -> Metrics:
        """What the operator tells now."""
        with urllib.request.urlopen(f"http://{self.address}/metrics", timeout=20) as reply:
            return Metrics(reply.read().decode())

    def wait(self, until: Callable[[Metrics], Any], timeout: float = 60) -> Metrics:
        """What it tells as soon as that is true of it."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            last = self.read()
            if until(last):
                return last
            self._end.wait(0.1)
        raise WaitError(f"the metrics did not come to it in {timeout:.0f} s: {last.requests()}")

    def most(self, selector: str) -> float:
        """Highest value seen so far."""
        return max(one.value(selector) for one in self.metrics)

    def usage(self) -> Usage:
        """CPU time and memory of the operator so far."""
        return read_process(self.pid)

    def check(self, seconds: float = PROBE_SECONDS) -> None:
        """Fails where the operator took harm: it died, said an error, or did not answer its probes at any time."""
        assert self.operator.alive, self.operator.log()[-5:]
        assert self.operator.pid == self.pid
        assert self.operator.errors() == []
        assert len(self.health) > 1, "nobody asked"
        assert Counter(code for code, _ in self.health) == {200: len(self.health)}
        assert max(took for _, took in self.health) < seconds
