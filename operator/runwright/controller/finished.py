"""Finished runs: their retention steps, and which of them are the last of their namespace."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta

from runwright.api.retentionpolicy import RetentionPolicySpec
from runwright.api.states import Phase
from runwright.controller.cache import RunCache
from runwright.core.records import RunRecord
from runwright.core.retention.periods import DueTimes, LastRuns
from runwright.kube.objects import Key

SOON = timedelta(days=1)
"""An archived run that is deleted later is not held in memory: the sweep finds it by its label."""

LONGEST_WAIT = timedelta(hours=1)
"""Longest requeue delay: the clock may have been set meanwhile."""


class FinishedRuns:
    """The retention steps in the states of finished runs, and the order of their ends in each namespace."""

    def __init__(self, cache: RunCache) -> None:
        self._cache = cache
        self._last: defaultdict[str, LastRuns] = defaultdict(LastRuns)

    def phases(self) -> Iterator[tuple[str, Phase]]:
        """Namespace and phase of each available finished run."""
        return ((key.namespace, state.finished_phase) for key, state in self._cache.states() if state.finished_phase)

    def put(self, run: RunRecord, policy: RetentionPolicySpec) -> tuple[bool, Key | None]:
        """Add a finished, available run.

        Returns whether it is surplus under keepSucceeded and keepFailed, and otherwise the run that its end made surplus.
        """
        # A newer version may have written a phase that this one does not know.
        self._cache.state(run.key).finished_phase = run.status.phase or Phase.PENDING
        last = self._last[run.key.namespace]
        last.put(run)
        return last.find_surplus(run.key, policy)

    def drop(self, key: Key) -> None:
        """Drop a run that is gone, archived, or runs again."""
        state = self._cache.find(key)
        if state is not None:
            state.due = state.finished_phase = None
            state.has_workflow = state.due_now = False
            self._cache.prune(key)
        last = self._last.get(key.namespace)
        if last is not None:
            last.drop(key)
            if not last:
                del self._last[key.namespace]

    def schedule(self, run: RunRecord, times: DueTimes, has_workflow: bool | None, now: datetime) -> None:
        """Hold the due times of a settled run; of an archived one, only those that no label leads back to.

        `has_workflow` is None where the Workflow was not read: the former value holds.
        """
        state = self._cache.state(run.key)
        if has_workflow is None:
            has_workflow = state.has_workflow
        if run.archived:
            self.drop(run.key)
            deleted_soon = times.delete_at is not None and times.delete_at - now <= SOON
            if not deleted_soon and not (has_workflow and times.drop_at):
                return
        state = self._cache.state(run.key)
        state.due, state.has_workflow, state.due_now = times, has_workflow, False

    def mark_due(self, key: Key) -> bool:
        """Let a step of the run be due now; False where it was already, or the run is unknown."""
        state = self._cache.find(key)
        if state is None or state.due is None or state.due_now:
            return False
        state.due_now = True
        return True

    def seconds_until_due(self, key: Key, has_workflow: bool, now: datetime) -> float | None:
        """Seconds until a step of the run is due: 0.0 if one is, infinite if none ever is; None for an unknown run."""
        state = self._cache.find(key)
        if state is None or state.due is None:
            return None
        if state.due_now:
            return 0.0
        state.has_workflow = state.has_workflow or has_workflow
        moments = due_moments(state.due, state.has_workflow)
        return min((max(0.0, (at - now).total_seconds()) for at in moments), default=float("inf"))


def due_moments(times: DueTimes, has_workflow: bool) -> list[datetime]:
    """The times at which steps are due. That of the Workflow counts only while it exists."""
    due = [times.delete_at, times.archive_at, times.drop_at if has_workflow else None]
    return [at for at in due if at is not None]
