"""Scenarios of the crash sweep. Each is played without faults, then with each fault at each place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from runwright.api.retentionpolicy import RetentionPolicySpec
from runwright.core.retention.periods import NO_POLICY
from tests.unit.fake.world import Play

Ends = tuple[str, str, str]
"""The run's phase, the reason of Succeeded, and the reason of Stalled where that is True; empty if the run does not exist."""

GONE: Ends = ("", "", "")
SUCCEEDED: Ends = ("Succeeded", "Succeeded", "")
FAILED: Ends = ("Failed", "Failed", "")
WORKFLOW_DELETED: Ends = ("Error", "WorkflowDeleted", "")
TERMINATED: Ends = ("Failed", "Terminated", "")


def stalled(reason: str) -> Ends:
    return ("Pending", reason, reason)


@dataclass(frozen=True)
class Scenario:
    """A play and its expected results."""

    name: str
    play: Play
    ends: Ends
    """The end of the run without faults; plays with a fault must end the same."""
    or_ends: tuple[Ends, ...]
    """Other permitted ends, if a fault kept the operator from seeing a change."""
    creates: int
    """Limit of Workflows created for one run, one after the other."""
    strays: int
    """Limit of further Workflows, if one was deleted: created by a concurrent request or operator, or
    because the operator crashed before the first one was recorded."""
    writes: int
    """Limit of the operator's writes without faults."""
    collect: bool
    """Whether the garbage collector runs by itself."""
    restart_heals: bool
    """Whether only a restart repairs a lost event: resync does not list edits of finished runs."""
    faults: str
    """`all`; `crashes` for a long scenario; `one operator` if a second operator makes no difference."""
    retention: RetentionPolicySpec
    """The operators' default policy."""
    lists: bool
    """Whether list calls get faults too: an operator lists at its start and every five minutes."""
    exact: bool
    """Whether plays with a fault must also leave the same status, Workflows and snapshots."""


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
