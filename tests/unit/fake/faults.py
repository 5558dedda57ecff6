"""What can go wrong, and where: one fault in one play."""

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
    """What goes wrong, once, at the call or watch event of this number."""

    kind: str = ""
    at: int = 0

    def __str__(self) -> str:
        return f"{self.kind}@{self.at}" if self.kind else "no fault"


class Surroundings(Protocol):
    """What an operator process runs in."""

    server: ApiServer
    fault: Fault
    calls: list[str]
    """The API calls of the operator that the fault is for, so far: verb and resource."""
    deliveries: int
    """The watch events for it, so far."""
    problems: list[str]
    retention: RetentionPolicySpec
    """The operators' own default."""
    artifacts: FakeArtifacts
    """What the nodes leave in the object store."""

    @property
    def clock(self) -> Clock:
        """What the operator takes for the time."""
        ...

    def crashed(self, operator: Process, down: float) -> None:
        """The operator is gone; another one starts after so many seconds."""
        ...

    def second_operator(self) -> None:
        """Start another operator beside the first one."""
        ...


class Process(Protocol):
    """An operator, as far as its calls can do something to it."""

    world: Surroundings
    faulty: bool
    """Whether the world's fault is for this one."""

    def crash(self) -> None:
        """End at once: nothing that it would do in its last moments reaches the API server."""
        ...

    async def pause(self, seconds: float) -> None:
        """The process stands still, as under SIGSTOP: what is sent to it meanwhile waits."""
        ...
