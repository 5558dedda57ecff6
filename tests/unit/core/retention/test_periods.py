"""Due times of a finished run's retention steps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.api.pipelinerun import Condition, PipelineRunStatus
from runwright.api.retentionpolicy import RetentionPolicySpec
from runwright.api.states import Phase
from runwright.core.records import Periods, RunRecord
from runwright.core.retention.periods import (
    NEVER,
    LastRuns,
    RetentionTerms,
    add_period,
    due_times,
    fill_policy,
    has_passed,
    retention_terms,
    utc_day,
)
from runwright.core.status.conditions import ARCHIVED
from runwright.kube.objects import Key
from tests.unit.core.strategies import NOW, RUNS, TERMS, TIMES

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
POLICY = RetentionPolicySpec(archive_after="1h", delete_after="1d", keep_workflow="90s")


def finished(phase: Phase = Phase.FAILED, **fields: object) -> RunRecord:
    status = PipelineRunStatus(phase=phase, finished_at=NOW)
    run = RunRecord(Key("team", "train"), "run-uid", "7", generation=1, created_at=NOW - HOUR, status=status)
    return replace(run, **fields)


class TestTerms:
    def test_without_own_periods_the_policy_applies(self) -> None:
        assert retention_terms(finished(), POLICY, surplus=True) == RetentionTerms(
            HOUR, DAY, timedelta(seconds=90), surplus=True
        )

    def test_the_runs_own_periods_win_field_by_field(self) -> None:
        run = finished(periods=Periods(archive_after=timedelta(0)))
        assert retention_terms(run, POLICY, surplus=False) == RetentionTerms(timedelta(0), DAY, timedelta(seconds=90))

    def test_a_run_with_its_own_delete_after_is_not_counted(self) -> None:
        run = finished(periods=Periods(delete_after=9 * DAY))
        assert retention_terms(run, POLICY, surplus=True) == RetentionTerms(HOUR, 9 * DAY, timedelta(seconds=90))

    def test_a_run_of_a_gitops_tool_is_archived_instead_of_deleted(self) -> None:
        run = finished(owned_elsewhere=True)
        assert retention_terms(run, RetentionPolicySpec(delete_after="1d"), surplus=False) == RetentionTerms(
            archive_after=DAY
        )
        assert retention_terms(run, POLICY, surplus=False) == RetentionTerms(HOUR, None, timedelta(seconds=90))
        assert retention_terms(run, RetentionPolicySpec(), surplus=True) == RetentionTerms(archive_after=timedelta(0))

    def test_a_run_with_its_own_delete_after_is_deleted(self) -> None:
        run = finished(owned_elsewhere=True, periods=Periods(delete_after=HOUR))
        assert retention_terms(run, POLICY, surplus=True).delete_after == HOUR

    def test_absent_fields_of_a_policy_have_the_operators_defaults(self) -> None:
        assert fill_policy(None, POLICY) == POLICY
        filled = fill_policy(RetentionPolicySpec(delete_after="7d", keep_failed=0), POLICY)
        assert (filled.archive_after, filled.delete_after, filled.keep_failed) == ("1h", "7d", 0)


class TestTimes:
    def test_all_count_from_the_end(self) -> None:
        times = due_times(finished(), RetentionTerms(HOUR, DAY, timedelta(0)))
        assert (times.archive_at, times.delete_at, times.drop_at) == (NOW + HOUR, NOW + DAY, NOW)

    @pytest.mark.parametrize("phase", [Phase.PENDING, Phase.RUNNING])
    def test_an_unfinished_run_has_no_due_times(self, phase: Phase) -> None:
        assert due_times(finished(phase), RetentionTerms(HOUR, DAY, HOUR, surplus=True)) == NEVER

    def test_an_unarchived_run_is_not_archived_by_a_period(self) -> None:
        brought_back = Condition(type=ARCHIVED, status="False", reason="Unarchived", last_transition_time=NOW)
        run = finished(status=PipelineRunStatus(phase=Phase.FAILED, finished_at=NOW, conditions=[brought_back]))
        assert due_times(run, RetentionTerms(HOUR, DAY)).archive_at is None
        assert due_times(run, RetentionTerms(HOUR, DAY)).delete_at == NOW + DAY

    def test_the_workflow_of_an_archived_run_goes_at_once_unless_it_is_to_be_kept(self) -> None:
        assert due_times(finished(archived=True), RetentionTerms()).drop_at == NOW
        assert due_times(finished(archived=True), RetentionTerms(keep_workflow=DAY)).drop_at == NOW + DAY
        assert due_times(finished(), RetentionTerms()).drop_at is None

    def test_a_surplus_run_is_deleted_at_once_unless_it_is_archived(self) -> None:
        assert due_times(finished(), RetentionTerms(surplus=True)).delete_at == NOW
        assert due_times(finished(archived=True), RetentionTerms(surplus=True)).delete_at is None

    def test_no_period_is_too_long(self) -> None:
        assert add_period(datetime(9999, 12, 1, tzinfo=UTC), timedelta(days=36_525)) is None

    @given(RUNS, TERMS)
    def test_nothing_is_due_for_an_unfinished_run_and_nothing_before_its_end(
        self, run: RunRecord, terms: RetentionTerms
    ) -> None:
        times = due_times(run, terms)
        for moment in (times.archive_at, times.delete_at, times.drop_at):
            assert moment is None or (run.finished and run.status.finished_at and moment >= run.status.finished_at)

    @given(RUNS, TERMS, TIMES, st.integers(0, 10**6))
    def test_a_clock_that_is_set_back_delays_a_due_time(
        self, run: RunRecord, terms: RetentionTerms, now: datetime, back: int
    ) -> None:
        times = due_times(run, terms)
        for moment in (times.archive_at, times.delete_at, times.drop_at):
            assert has_passed(moment, now) or not has_passed(moment, now - timedelta(seconds=back))

    def test_the_day_is_the_one_in_utc(self) -> None:
        assert utc_day(datetime(2026, 12, 1, 1, tzinfo=UTC)) == "2026-12-01"
        assert utc_day(datetime.fromisoformat("2026-12-01T01:00+02:00")) == "2026-11-30"
        assert utc_day(None) == ""


def run_of(number: int, phase: Phase, **fields: Any) -> RunRecord:
    status = PipelineRunStatus(phase=phase, finished_at=NOW + timedelta(seconds=number // 2))
    return replace(finished(), key=Key("team", f"run-{number:03}"), status=status, **fields)


def gone(runs: Iterable[RunRecord], policy: RetentionPolicySpec) -> set[str]:
    """The runs beyond the last ones, once all of them are known."""
    last = LastRuns()
    filled = list(runs)
    for run in filled:
        last.put(run)
    return {run.key.name for run in filled if last.find_surplus(run.key, policy)[0]}


ENDINGS = st.lists(
    st.tuples(st.integers(0, 40), st.sampled_from([p for p in Phase if p.finished]), st.booleans()),
    unique_by=lambda one: one[0],
).map(
    lambda ones: [
        run_of(number, phase, periods=Periods(delete_after=None if counted else HOUR))
        for number, phase, counted in ones
    ]
)
POLICIES = st.builds(
    RetentionPolicySpec, keep_succeeded=st.none() | st.integers(0, 5), keep_failed=st.none() | st.integers(0, 5)
)


class TestLastRuns:
    def test_the_oldest_runs_are_surplus(self) -> None:
        runs = [run_of(number, Phase.SUCCEEDED) for number in (6, 1, 4)]
        assert gone(runs, RetentionPolicySpec(keep_succeeded=2)) == {"run-001"}

    def test_each_kind_has_its_own_count(self) -> None:
        phases = (Phase.SUCCEEDED, Phase.SKIPPED, Phase.FAILED, Phase.ERROR)
        runs = [run_of(number, phase) for number, phase in enumerate(phases)]
        assert gone(runs, RetentionPolicySpec(keep_succeeded=1, keep_failed=1)) == {"run-000", "run-002"}

    def test_without_a_limit_no_run_is_surplus(self) -> None:
        assert gone([run_of(1, Phase.FAILED)], RetentionPolicySpec(keep_succeeded=0)) == set()

    def test_a_run_without_a_finish_time_is_not_counted(self) -> None:
        unknown = finished(status=PipelineRunStatus(phase=Phase.FAILED))
        assert gone([unknown], RetentionPolicySpec(keep_failed=0)) == set()

    def test_a_run_with_an_unknown_phase_counts_as_failed(self) -> None:
        odd = finished(status=PipelineRunStatus(finished_at=NOW))
        assert gone([odd], RetentionPolicySpec(keep_failed=0)) == {"train"}
        assert gone([odd], RetentionPolicySpec(keep_succeeded=0)) == set()

    def test_a_run_that_ends_again_after_a_retry_moves(self) -> None:
        last, policy = LastRuns(), RetentionPolicySpec(keep_failed=1, keep_succeeded=1)
        for run in (run_of(1, Phase.FAILED), run_of(5, Phase.FAILED)):
            last.put(run)
        last.put(replace(run_of(1, Phase.SUCCEEDED), status=run_of(9, Phase.SUCCEEDED).status))
        assert last.find_surplus(Key("team", "run-005"), policy) == (False, None)
        assert len(last) == 2

    @given(ENDINGS, POLICIES)
    def test_exactly_the_last_ones_stay(self, runs: list[RunRecord], policy: RetentionPolicySpec) -> None:
        removed = gone(runs, policy)
        for limit, good in ((policy.keep_succeeded, True), (policy.keep_failed, False)):
            kind = [
                run
                for run in runs
                if run.periods.delete_after is None and (run.status.phase in (Phase.SUCCEEDED, Phase.SKIPPED)) is good
            ]
            in_order = sorted(kind, key=lambda run: (run.status.finished_at or NOW, run.key))
            expected = in_order[: max(0, len(in_order) - limit)] if limit is not None else []
            assert {run.key.name for run in kind} & removed == {run.key.name for run in expected}
        assert not removed & {run.key.name for run in runs if run.periods.delete_after is not None}

    @given(ENDINGS, POLICIES, st.data())
    def test_with_unknown_runs_fewer_are_surplus(
        self, runs: list[RunRecord], policy: RetentionPolicySpec, data: st.DataObject
    ) -> None:
        known = [run for run in runs if data.draw(st.booleans())]
        assert gone(known, policy) <= gone(runs, policy)

    @given(ENDINGS, POLICIES)
    def test_each_surplus_run_is_named_when_it_becomes_surplus(
        self, runs: list[RunRecord], policy: RetentionPolicySpec
    ) -> None:
        last, named = LastRuns(), set[str]()
        for run in runs:
            last.put(run)
            beyond, other = last.find_surplus(run.key, policy)
            named |= {run.key.name} if beyond else {other.name} if other else set()
        assert named == gone(runs, policy)

    @given(ENDINGS, POLICIES)
    def test_removed_runs_are_not_counted(self, runs: list[RunRecord], policy: RetentionPolicySpec) -> None:
        last = LastRuns()
        for run in runs:
            last.put(run)
        for run in runs:
            last.drop(run.key)
            assert last.find_surplus(run.key, policy) == (False, None)
        assert len(last) == 0
