"""What a scenario is: something that is played without faults and then with every fault at every place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from runwright.api.retentionpolicy import RetentionPolicySpec
from runwright.core.retention.periods import NO_POLICY
from tests.unit.fake.world import Play

Ends = tuple[str, str, str]
"""The run's phase, the reason of Succeeded, and the reason of Stalled where that is True; empty where the run is gone."""

GONE: Ends = ("", "", "")
SUCCEEDED: Ends = ("Succeeded", "Succeeded", "")
FAILED: Ends = ("Failed", "Failed", "")
WORKFLOW_DELETED: Ends = ("Error", "WorkflowDeleted", "")
TERMINATED: Ends = ("Failed", "Terminated", "")


def stalled(reason: str) -> Ends:
    return ("Pending", reason, reason)


@dataclass(frozen=True)
class Scenario:
    """A play, and what must hold of it."""

    name: str
    play: Play
    ends: Ends
    """How the run ends without faults; its faulty plays must end the same."""
    or_ends: tuple[Ends, ...]
    """How it may end besides where a fault kept the operator from seeing what happened meanwhile."""
    creates: int
    """Workflows that one run may have had, one after the other."""
    strays: int
    """Workflows beyond that, where one was deleted: made by a request or an operator that was under way meanwhile, or
    because the operator died before anybody knew of the first one."""
    writes: int
    """Writes of the operator at most, without faults."""
    collect: bool
    """Whether the garbage collector works by itself."""
    restart_heals: bool
    """Whether a lost event is made up for by the next start only: edits of a finished run, which resync does not list."""
    faults: str
    """`all`; `crashes` for a scenario that takes long; `one operator` where a second one is no matter."""
    retention: RetentionPolicySpec
    """The operators' own default."""
    lists: bool
    """Whether faults are put at lists too, which an operator makes at its start and every five minutes."""
    exact: bool
    """Whether faulty plays must also leave the same status, Workflows and snapshots, and not only end the same."""


SCENARIOS: list[Scenario] = []


def scenario(
    ends: Ends,
    *,
    or_ends: tuple[Ends, ...] = (),
    creates: int = 1,
    strays: int = 0,
    writes: int = 4,
    collect: bool = True,
    restart_heals: bool = False,
    faults: str = "all",
    retention: RetentionPolicySpec = NO_POLICY,
    lists: bool = False,
    exact: bool = True,
) -> Callable[[Play], Play]:
    def add(play: Play) -> Play:
        name = getattr(play, "__name__", "")
        SCENARIOS.append(
            Scenario(
                name,
                play,
                ends,
                or_ends,
                creates,
                strays,
                writes,
                collect,
                restart_heals,
                faults,
                retention,
                lists,
                exact,
            )
        )
        return play

    return add
