"""What is remembered of finished runs: when something is due for them. No status, no Workflow; archived ones leave."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from runwright.api.pipelinerun import Phase
from runwright.api.retentionpolicy import RetentionPolicySpec
from runwright.core.records import Key, RunRecord
from runwright.core.retention import FinishedRun, Times, surplus

SOON = timedelta(days=1)
"""An archived run that will be deleted later is not remembered, but found again by its label."""

LONGEST_WAIT = timedelta(hours=1)
"""After this long the clock is asked again: it may have been set."""


@dataclass(slots=True)
class Waiting:
    """A finished run for which nothing is to be done now."""

    times: Times
    workflow: bool
    """Whether its Workflow was there."""
    now: bool = False
    """Whether something is due that has no time."""


class FinishedRuns:
    """The finished runs that are known, by namespace, and what is due for them."""

    def __init__(self) -> None:
        self._waiting: dict[Key, Waiting] = {}
        self._available: defaultdict[str, dict[Key, FinishedRun]] = defaultdict(dict)

    def __len__(self) -> int:
        """How many runs are remembered."""
        return len(self._waiting)

    def phases(self) -> Iterator[tuple[str, Phase | None]]:
        """Namespace and phase of each run that is available."""
        return ((run.key.namespace, run.phase) for runs in self._available.values() for run in runs.values())

    def put(self, run: RunRecord) -> None:
        """A run that has ended and is available: it counts among the last ones of its namespace."""
        if run.status.finished_at is not None:
            counted = run.periods.delete_after is None
            self._available[run.key.namespace][run.key] = FinishedRun(
                run.key, run.uid, run.status.phase, run.status.finished_at, counted
            )

    def surplus(self, namespace: str, policy: RetentionPolicySpec) -> set[Key]:
        """The runs of the namespace beyond the last ones that its policy keeps."""
        if policy.keep_succeeded is None and policy.keep_failed is None:
            return set()
        return surplus(self._available[namespace].values(), policy)

    def drop(self, key: Key) -> None:
        """The run is gone, or archived, or runs again."""
        self._waiting.pop(key, None)
        available = self._available.get(key.namespace)
        if available is not None:
            available.pop(key, None)
            if not available:
                del self._available[key.namespace]

    def wait(self, run: RunRecord, times: Times, workflow: bool | None, now: datetime) -> None:
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
