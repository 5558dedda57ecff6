"""Retention: when a finished run is archived, its Workflow dropped, or the run deleted.

All times count from `status.finishedAt`, so they survive a restart. A run that has not ended has none.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from runwright.api.duration import duration_of
from runwright.api.retentionpolicy import RetentionPolicySpec
from runwright.api.states import Phase
from runwright.core.records import Periods, RunRecord
from runwright.core.status.conditions import ARCHIVED, find_condition
from runwright.kube.objects import Key

NO_POLICY = RetentionPolicySpec()

SUCCESSES = (Phase.SUCCEEDED, Phase.SKIPPED)


@dataclass(frozen=True, slots=True)
class RetentionTerms:
    """What holds for one run: its own words, else its namespace's policy, else the operator's default."""

    archive_after: timedelta | None = None
    delete_after: timedelta | None = None
    keep_workflow: timedelta | None = None
    surplus: bool = False
    """Whether the run is beyond the last ones that are kept."""


NO_TERMS = RetentionTerms()


def retention_terms(run: RunRecord, policy: RetentionPolicySpec, surplus: bool) -> RetentionTerms:
    """The terms of a run under its namespace's policy, with the operator's defaults filled in.

    A run that a GitOps tool or Helm keeps is not deleted by a default, since it would be made anew (argo-cd#13851): it is
    archived instead. A run's own `deleteAfter` counts always, and takes it out of the last ones that are kept.
    """
    own, default = run.periods, policy_periods(policy)
    archive_after = own.archive_after if own.archive_after is not None else default.archive_after
    keep_workflow = own.keep_workflow if own.keep_workflow is not None else default.keep_workflow
    if own.delete_after is not None:
        return RetentionTerms(archive_after, own.delete_after, keep_workflow)
    if not run.owned_elsewhere:
        return RetentionTerms(archive_after, default.delete_after, keep_workflow, surplus)
    wishes = [after for after in (archive_after, default.delete_after) if after is not None]
    return RetentionTerms(timedelta(0) if surplus else min(wishes, default=None), None, keep_workflow)


def policy_periods(policy: RetentionPolicySpec) -> Periods:
    """The durations of a policy."""
    return Periods(
        archive_after=duration_of(policy.archive_after) if policy.archive_after else None,
        delete_after=duration_of(policy.delete_after) if policy.delete_after else None,
        keep_workflow=duration_of(policy.keep_workflow) if policy.keep_workflow else None,
    )


def fill_policy(policy: RetentionPolicySpec | None, default: RetentionPolicySpec) -> RetentionPolicySpec:
    """A namespace's policy, with the operator's words where it has none."""
    if policy is None:
        return default
    return default.model_copy(update=policy.model_dump(exclude_none=True))


@dataclass(frozen=True, slots=True)
class DueTimes:
    """When what is due; None: never."""

    archive_at: datetime | None = None
    delete_at: datetime | None = None
    drop_at: datetime | None = None
    """When the Workflow is to go."""


NEVER = DueTimes()


def due_times(run: RunRecord, terms: RetentionTerms) -> DueTimes:
    """When what is due for a finished run.

    A run that was archived once and brought back is not archived by a period again: somebody wanted it back.
    """
    end = run.status.finished_at
    if end is None or not run.finished:
        return NEVER
    settled = run.archived or find_condition(run.status.conditions, ARCHIVED) is not None
    keep = terms.keep_workflow if terms.keep_workflow is not None or not run.archived else timedelta(0)
    return DueTimes(
        archive_at=None if settled else add_period(end, terms.archive_after),
        delete_at=end if terms.surplus and not run.archived else add_period(end, terms.delete_after),
        drop_at=add_period(end, keep),
    )


def add_period(start: datetime, period: timedelta | None) -> datetime | None:
    """The moment that long after, or None where there is none."""
    try:
        return start + period if period is not None else None
    except OverflowError:
        return None


def has_passed(moment: datetime | None, now: datetime) -> bool:
    """Whether the moment has come. A clock that steps back only makes it come later."""
    return moment is not None and moment <= now


def utc_day(moment: datetime | None) -> str:
    """The day of a moment in UTC, as a label's value; empty for none."""
    return moment.astimezone(UTC).date().isoformat() if moment else ""


class LastRuns:
    """The finished, available runs of one namespace in the order of their end: which of them are the last ones.

    With some of the runs unknown, fewer are beyond the last ones, and never other ones.
    """

    def __init__(self) -> None:
        self._ends: dict[Key, tuple[bool, datetime]] = {}
        self._order: dict[bool, list[tuple[datetime, Key]]] = {True: [], False: []}

    def __len__(self) -> int:
        """How many runs there are."""
        return len(self._ends)

    def put(self, run: RunRecord) -> None:
        """Take in a run that has ended; not one that says itself when it is to be deleted."""
        end = run.status.finished_at
        if end is None or run.periods.delete_after is not None:
            self.drop(run.key)
            return
        place = (run.status.phase in SUCCESSES, end)
        if self._ends.get(run.key) != place:
            self.drop(run.key)
            self._ends[run.key] = place
            insort(self._order[place[0]], (end, run.key))

    def drop(self, key: Key) -> None:
        """Leave out a run, where it is there."""
        place = self._ends.pop(key, None)
        if place is not None:
            order = self._order[place[0]]
            del order[bisect_left(order, (place[1], key))]

    def beyond(self, key: Key, policy: RetentionPolicySpec) -> tuple[bool, Key | None]:
        """Whether a run is beyond the last ones that are kept; and if not, the last one that is because of it."""
        place = self._ends.get(key)
        if place is None:
            return False, None
        order = self._order[place[0]]
        limit = policy.keep_succeeded if place[0] else policy.keep_failed
        edge = len(order) - limit if limit is not None else 0
        if edge <= 0:
            return False, None
        beyond = bisect_left(order, (place[1], key)) < edge
        return beyond, None if beyond else order[edge - 1][1]
