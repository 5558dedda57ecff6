"""Due times of finished runs, and the count of the newest ones."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from runwright.api.pipelinerun import PipelineRunStatus
from runwright.api.retentionpolicy import RetentionPolicySpec
from runwright.api.states import Phase
from runwright.controller.cache import RunCache
from runwright.controller.finished import FinishedRuns
from runwright.core.records import RunRecord
from runwright.core.retention.periods import NEVER, DueTimes
from runwright.kube.objects import Key
from tests.unit.controller.records import KEY, NOW, run

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NEVER_SECONDS = float("inf")


def ended(name: str = KEY.name, phase: Phase = Phase.SUCCEEDED, ago: timedelta = HOUR, **parts: object) -> RunRecord:
    status = PipelineRunStatus(phase=phase, finished_at=NOW - ago)
    return replace(run(key=Key("team", name)), status=status, **parts)


def seconds(times: DueTimes, *, workflow: bool = False, archived: bool = False) -> float | None:
    """Seconds until a run scheduled with these times is due."""
    finished = FinishedRuns(RunCache())
    finished.schedule(ended(archived=archived), times, workflow, NOW)
    return finished.seconds_until_due(KEY, False, NOW)


# ------------------------------------------------------------------------------------------------------ due times


def test_unscheduled_run_has_no_due_time() -> None:
    assert FinishedRuns(RunCache()).seconds_until_due(KEY, True, NOW) is None


def test_run_that_is_never_due_waits_without_end() -> None:
    assert seconds(NEVER) == NEVER_SECONDS


@pytest.mark.parametrize("field", ["archive_at", "delete_at"])
def test_run_is_due_at_its_archive_or_delete_time(field: str) -> None:
    assert seconds(DueTimes(**{field: NOW + HOUR})) == 3600
    assert seconds(DueTimes(**{field: NOW})) == 0
    assert seconds(DueTimes(**{field: NOW - DAY})) == 0


def test_run_is_due_at_its_earliest_time() -> None:
    times = DueTimes(archive_at=NOW + 2 * HOUR, delete_at=NOW + HOUR, drop_at=NOW + 3 * HOUR)
    assert seconds(times, workflow=True) == 3600
    assert seconds(replace(times, drop_at=NOW + timedelta(minutes=1)), workflow=True) == 60


def test_drop_time_counts_only_with_a_workflow() -> None:
    assert seconds(DueTimes(drop_at=NOW), workflow=False) == NEVER_SECONDS
    assert seconds(DueTimes(drop_at=NOW), workflow=True) == 0


def test_drop_time_counts_once_a_workflow_is_seen() -> None:
    finished = FinishedRuns(RunCache())
    finished.schedule(ended(), DueTimes(drop_at=NOW + HOUR), False, NOW)
    assert finished.seconds_until_due(KEY, False, NOW) == NEVER_SECONDS
    assert finished.seconds_until_due(KEY, True, NOW) == 3600
    assert finished.seconds_until_due(KEY, False, NOW) == 3600, "it was reported, and its deletion was not"


def test_schedule_without_a_read_keeps_the_known_workflow() -> None:
    for known, expected in ((True, 3600), (False, NEVER_SECONDS)):
        finished = FinishedRuns(RunCache())
        finished.schedule(ended(), DueTimes(drop_at=NOW + 2 * HOUR), known, NOW)
        finished.schedule(ended(), DueTimes(drop_at=NOW + HOUR), None, NOW)
        assert finished.seconds_until_due(KEY, False, NOW) == expected
        finished.schedule(ended(), DueTimes(drop_at=NOW + HOUR), not known, NOW)
        assert finished.seconds_until_due(KEY, False, NOW) != expected, "the Workflow was read"


def test_schedule_without_any_read_assumes_no_workflow() -> None:
    finished = FinishedRuns(RunCache())
    finished.schedule(ended(), DueTimes(drop_at=NOW), None, NOW)
    assert finished.seconds_until_due(KEY, False, NOW) == NEVER_SECONDS


def test_clock_set_back_makes_the_wait_longer() -> None:
    finished = FinishedRuns(RunCache())
    finished.schedule(ended(), DueTimes(delete_at=NOW + HOUR), False, NOW)
    assert finished.seconds_until_due(KEY, False, NOW - DAY) == 25 * 3600


# -------------------------------------------------------------------------------------------------------------- archived


@pytest.mark.parametrize(
    ("times", "workflow", "remembered"),
    [
        (NEVER, True, False),
        (DueTimes(delete_at=NOW + DAY + HOUR), False, False),
        (DueTimes(delete_at=NOW + DAY), False, True),
        (DueTimes(delete_at=NOW - HOUR), False, True),
        (DueTimes(drop_at=NOW - HOUR), False, False),
        (DueTimes(drop_at=NOW - HOUR), True, True),
        # No label selects a run with a Workflow to delete.
        (DueTimes(drop_at=NOW + 30 * DAY), True, True),
        (DueTimes(delete_at=NOW + 40 * DAY, drop_at=NOW + 30 * DAY), True, True),
        (DueTimes(delete_at=NOW + 40 * DAY, drop_at=NOW + 30 * DAY), False, False),
    ],
)
def test_archived_run_stays_cached_only_if_no_sweep_finds_it(times: DueTimes, workflow: bool, remembered: bool) -> None:
    finished = FinishedRuns(RunCache())
    finished.schedule(ended(), NEVER, workflow, NOW)
    finished.schedule(ended(archived=True), times, workflow, NOW)
    assert (finished.seconds_until_due(KEY, False, NOW) is not None) is remembered


def test_archived_run_leaves_the_count() -> None:
    finished = FinishedRuns(RunCache())
    for name in ("a", "b"):
        finished.put(ended(name), KEEP_ONE)
    finished.schedule(ended("b", archived=True), DueTimes(delete_at=NOW + HOUR), False, NOW)
    assert finished.put(ended("a"), KEEP_ONE) == (False, None)


# ------------------------------------------------------------------------------------------------------------------ wake


def test_run_marked_due_is_due_until_it_is_scheduled_again() -> None:
    finished = FinishedRuns(RunCache())
    finished.schedule(ended(), NEVER, False, NOW)
    assert finished.mark_due(KEY)
    assert finished.seconds_until_due(KEY, False, NOW) == 0
    assert not finished.mark_due(KEY), "it is in the queue already"
    finished.schedule(ended(), NEVER, False, NOW)
    assert finished.seconds_until_due(KEY, False, NOW) == NEVER_SECONDS
    assert finished.mark_due(KEY)


def test_unknown_run_is_not_marked_due() -> None:
    assert not FinishedRuns(RunCache()).mark_due(KEY)


def test_dropped_run_is_unknown() -> None:
    finished = FinishedRuns(RunCache())
    finished.put(ended(), KEEP_ONE)
    finished.schedule(ended(), NEVER, True, NOW)
    finished.drop(KEY)
    finished.drop(KEY)
    assert not finished.mark_due(KEY)
    assert finished.seconds_until_due(KEY, True, NOW) is None
    assert list(finished.phases()) == []


# --------------------------------------------------------------------------------------------------------------- surplus

KEEP_ONE = RetentionPolicySpec(keep_succeeded=1)


def test_run_that_ends_pushes_the_oldest_over_the_limit() -> None:
    finished = FinishedRuns(RunCache())
    assert finished.put(ended("a", ago=3 * HOUR), KEEP_ONE) == (False, None)
    assert finished.put(ended("b", ago=2 * HOUR), KEEP_ONE) == (False, Key("team", "a"))
    assert finished.put(ended("c", ago=HOUR), KEEP_ONE) == (False, Key("team", "b"))
    assert finished.put(ended("a", ago=3 * HOUR), KEEP_ONE) == (True, None)


def test_each_namespace_has_its_own_count() -> None:
    finished = FinishedRuns(RunCache())
    finished.put(ended("a"), KEEP_ONE)
    elsewhere = replace(ended("b"), key=Key("other", "b"))
    assert finished.put(elsewhere, KEEP_ONE) == (False, None)


def test_runs_are_counted_by_namespace_and_phase() -> None:
    finished = FinishedRuns(RunCache())
    finished.put(ended("a"), KEEP_ONE)
    finished.put(ended("b", Phase.FAILED), KEEP_ONE)
    assert sorted(finished.phases()) == [("team", Phase.FAILED), ("team", Phase.SUCCEEDED)]
    finished.drop(Key("team", "a"))
    assert list(finished.phases()) == [("team", Phase.FAILED)]
