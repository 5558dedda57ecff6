"""Due times of a finished run's retention steps: archive the run, delete its Workflow, delete the run.

All periods are counted from `status.finishedAt`, so the due times are the same after a restart.
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
    """The retention periods of one run: its own, or else its namespace's policy, or else the operator's defaults."""

    archive_after: timedelta | None = None
    delete_after: timedelta | None = None
    keep_workflow: timedelta | None = None
    surplus: bool = False
    """Whether the run exceeds `keepSucceeded` or `keepFailed`."""


NO_TERMS = RetentionTerms()


def retention_terms(run: RunRecord, policy: RetentionPolicySpec, surplus: bool) -> RetentionTerms:
    """The retention of a run under its namespace's policy, which has the operator's defaults filled in.

    A run that a GitOps tool or Helm manages is archived instead of deleted by a policy, because the tool would create it
    again (argo-cd#13851). A run's own `deleteAfter` always applies, and exempts it from `keepSucceeded` and `keepFailed`.
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
    """A namespace's policy, with the operator's defaults for absent fields."""
    if policy is None:
        return default
    return default.model_copy(update=policy.model_dump(exclude_none=True))


@dataclass(frozen=True, slots=True)
class DueTimes:
    """Due times; None: never."""

    archive_at: datetime | None = None
    delete_at: datetime | None = None
    drop_at: datetime | None = None
    """When to delete the Workflow."""


NEVER = DueTimes()


def due_times(run: RunRecord, terms: RetentionTerms) -> DueTimes:
    """Due times of a finished run's retention steps.

    A run that was unarchived is never archived again by a period.
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
    """The time `period` after `start`; None without a period, or if `datetime` cannot represent it."""
    try:
        return start + period if period is not None else None
    except OverflowError:
        return None


def has_passed(moment: datetime | None, now: datetime) -> bool:
    """Whether the time is reached; False for None."""
    return moment is not None and moment <= now


def utc_day(moment: datetime | None) -> str:
    """The UTC date of a time, as a label value; empty for None."""
    return moment.astimezone(UTC).date().isoformat() if moment else ""


class LastRuns:
    """The finished, available runs of one namespace in the order of their end, to apply `keepSucceeded` and `keepFailed`.

    While some runs are missing, fewer runs are surplus, and never a wrong one.
    """

    def __init__(self) -> None:
        self._ends: dict[Key, tuple[bool, datetime]] = {}
        self._order: dict[bool, list[tuple[datetime, Key]]] = {True: [], False: []}

    def __len__(self) -> int:
        """The number of runs."""
        return len(self._ends)

    def put(self, run: RunRecord) -> None:
        """Adds or updates a finished run; removes it if it sets its own `deleteAfter`."""
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
        """Removes a run, if it is included."""
        place = self._ends.pop(key, None)
        if place is not None:
            order = self._order[place[0]]
            del order[bisect_left(order, (place[1], key))]

    def find_surplus(self, key: Key, policy: RetentionPolicySpec) -> tuple[bool, Key | None]:
        """Whether a run is surplus; if it is not, also the newest run that is, because this one is kept."""
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
