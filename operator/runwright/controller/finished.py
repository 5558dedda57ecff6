"""What is remembered of finished runs: when something is due for them. No status, no Workflow; archived ones leave."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from runwright.api.retentionpolicy import RetentionPolicySpec
from runwright.api.states import Phase
from runwright.core.records import RunRecord
from runwright.core.retention.periods import DueTimes, LastRuns
from runwright.kube.objects import Key

SOON = timedelta(days=1)
"""An archived run that will be deleted later is not remembered, but found again by its label."""

LONGEST_WAIT = timedelta(hours=1)
"""After this long the clock is asked again: it may have been set."""


@dataclass(slots=True)
class Waiting:
    """A finished run for which nothing is to be done now."""

    times: DueTimes
    workflow: bool
    """Whether its Workflow was there."""
    now: bool = False
    """Whether something is due that has no time."""


class FinishedRuns:
    """The finished runs that are known, by namespace, and what is due for them."""

    def __init__(self) -> None:
        self._waiting: dict[Key, Waiting] = {}
        self._phases: dict[Key, Phase | None] = {}
        self._last: defaultdict[str, LastRuns] = defaultdict(LastRuns)

    def __len__(self) -> int:
        """How many runs are remembered."""
        return len(self._waiting)

    def phases(self) -> Iterator[tuple[str, Phase | None]]:
        """Namespace and phase of each run that is available."""
        return ((key.namespace, phase) for key, phase in self._phases.items())

    def put(self, run: RunRecord, policy: RetentionPolicySpec) -> tuple[bool, Key | None]:
        """A run that has ended and is available.

        Gives whether it is beyond the last ones of its namespace, and else which run is, now that this one has ended.
        """
        self._phases[run.key] = run.status.phase
        last = self._last[run.key.namespace]
        last.put(run)
        return last.beyond(run.key, policy)

    def drop(self, key: Key) -> None:
        """The run is gone, or archived, or runs again."""
        self._waiting.pop(key, None)
        self._phases.pop(key, None)
        last = self._last.get(key.namespace)
        if last is not None:
            last.drop(key)
            if not last:
                del self._last[key.namespace]

    def wait(self, run: RunRecord, times: DueTimes, workflow: bool | None, now: datetime) -> None:
        """Remember what is due for a run that is settled for now; for an archived one, only what nothing else leads to.

        `workflow` tells whether its Workflow is there; None where nobody looked, and what was known before holds.
        """
        before = self._waiting.get(run.key)
        if workflow is None:
            workflow = before is not None and before.workflow
        if run.archived:
            self.drop(run.key)
            deleted_soon = times.delete_at is not None and times.delete_at - now <= SOON
            # No label leads back to a Workflow that is still to go.
            if not deleted_soon and not (workflow and times.drop_at):
                return
        self._waiting[run.key] = Waiting(times, workflow)

    def wake(self, key: Key) -> bool:
        """Something is due now; false where it was known already, or the run is not."""
        waiting = self._waiting.get(key)
        if waiting is None or waiting.now:
            return False
        waiting.now = True
        return True

    def seconds(self, key: Key, workflow: bool, now: datetime) -> float | None:
        """Seconds until something is due for a known run, 0.0 if it is; infinite if never; None where it is not known."""
        waiting = self._waiting.get(key)
        if waiting is None:
            return None
        if waiting.now:
            return 0.0
        waiting.workflow = waiting.workflow or workflow
        return min((max(0.0, (moment - now).total_seconds()) for moment in moments(waiting)), default=float("inf"))


def moments(waiting: Waiting) -> list[datetime]:
    """When something is due. The Workflow's time counts only while it is there."""
    times = waiting.times
    due = [times.delete_at, times.archive_at, times.drop_at if waiting.workflow else None]
    return [moment for moment in due if moment is not None]
