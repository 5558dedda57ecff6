"""Faults of the crash sweep: one fault in one play."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from runwright.api.retentionpolicy import RetentionPolicySpec
from runwright.kube.clock import Clock
from tests.unit.fake.apiserver import ApiServer
from tests.unit.fake.artifacts import FakeArtifacts

LATE_SECONDS = 3.0
"""Delay, in seconds, of a late write or a late event: it comes after the next ones."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of this kind, once, at the call or watch event of this number."""

    kind: str = ""
    at: int = 0

    def __str__(self) -> str:
        return f"{self.kind}@{self.at}" if self.kind else "no fault"


class Surroundings(Protocol):
    """The environment of an operator process."""

    server: ApiServer
    fault: Fault
    calls: list[str]
    """Verb and resource of each API call of the faulty operator."""
    deliveries: int
    """Number of watch events of the faulty operator."""
    problems: list[str]
    retention: RetentionPolicySpec
    """The operators' default policy."""
    artifacts: FakeArtifacts
    """Metrics artifacts of the nodes."""

    @property
    def clock(self) -> Clock:
        """The operator's clock."""
        ...

    def crashed(self, operator: Process, down: float) -> None:
        """Record the crash; start another operator after `down` seconds."""
        ...

    def second_operator(self) -> None:
        """Start another operator beside the first one."""
        ...


class Process(Protocol):
    """An operator process, as the faulty client needs it."""

    world: Surroundings
    faulty: bool
    """Whether the world's fault hits this operator."""

    def crash(self) -> None:
        """Stop at once: no further call reaches the API server."""
        ...

    async def pause(self, seconds: float) -> None:
        """Pause the process, as SIGSTOP does. Events that arrive meanwhile wait."""
        ...
