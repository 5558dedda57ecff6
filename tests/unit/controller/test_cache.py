from dataclasses import replace

import pytest

from runwright.api.pipelinerun import PipelineRunStatus
from runwright.api.states import Phase
from runwright.controller.cache import RunCache, is_later
from tests.unit.controller.records import KEY, run, workflow


def test_put_ignores_an_older_record_of_the_object() -> None:
    cache = RunCache()
    cache.put_run(run("10"))
    cache.put_run(run("9"))
    assert cache.run(KEY) == run("10")
    cache.put_workflow(workflow("10"))
    cache.put_workflow(workflow("9", phase="Succeeded"))
    assert cache.workflow(run()) == workflow("10")


def test_put_replaces_a_record_with_another_uid() -> None:
    cache = RunCache()
    cache.put_run(run("10"))
    cache.put_run(run("9", uid="other"))
    assert cache.run(KEY) == run("9", uid="other")


def test_workflow_returns_the_runs_own_workflow_only() -> None:
    cache = RunCache()
    cache.put_workflow(workflow(owner="earlier"))
    assert cache.workflow(run()) is None
    assert cache.workflow(run(uid="earlier")) == workflow(owner="earlier")


def test_drop_removes_only_the_given_uid() -> None:
    cache = RunCache()
    cache.put_run(run())
    cache.put_workflow(workflow())
    cache.drop_run(KEY, "other")
    cache.drop_workflow(KEY, "other")
    assert cache.runs() == [run()] and cache.workflows() == [workflow()]
    cache.drop_run(KEY)
    cache.drop_workflow(KEY)
    assert cache.runs() == [] and cache.workflows() == []


def test_a_deleted_workflow_stays_cached_only_if_it_had_ended() -> None:
    cache = RunCache()
    cache.put_workflow(workflow("1"))
    cache.mark_workflow_deleted(workflow("2", phase="Succeeded"))
    assert cache.workflow(run()) == workflow("2", phase="Succeeded")
    cache.mark_workflow_deleted(workflow("3"))
    assert cache.workflow(run()) is None


def test_a_deleted_workflow_of_a_finished_run_is_dropped() -> None:
    cache = RunCache()
    cache.put_run(replace(run(), status=PipelineRunStatus(phase=Phase.FAILED)))
    cache.put_workflow(workflow("1", phase="Failed"))
    cache.mark_workflow_deleted(workflow("2", phase="Failed"))
    assert cache.workflow(run()) is None
    # The Workflow of a later attempt, which the run does not show yet, stays.
    further = replace(workflow("4", phase="Failed"), attempt=1)
    cache.mark_workflow_deleted(further)
    assert cache.workflow(run()) == further


def test_a_late_deletion_of_a_replaced_workflow_keeps_the_new_one() -> None:
    cache = RunCache()
    cache.put_workflow(workflow("5", uid="successor"))
    cache.mark_workflow_deleted(workflow("4", phase="Error"))
    assert cache.workflow(run()) == workflow("5", uid="successor")


@pytest.mark.parametrize(
    ("phase", "unfinished"), [("", True), ("Running", True), ("Succeeded", False), ("Error", False)]
)
def test_has_unfinished_workflow_follows_the_phase(phase: str, unfinished: bool) -> None:
    cache = RunCache()
    assert not cache.has_unfinished_workflow(KEY)
    cache.put_workflow(workflow(phase=phase))
    assert cache.has_unfinished_workflow(KEY) is unfinished


@pytest.mark.parametrize(
    ("version", "other", "expected"),
    [("10", "9", True), ("9", "10", False), ("9", "9", False), ("", "9", False), ("9", "", False), ("b", "a", False)],
)
def test_resource_versions_are_compared_as_numbers(version: str, other: str, expected: bool) -> None:
    assert is_later(version, other) is expected


# ---------------------------------------------------------------------------------------------------- what is not watched


def test_a_run_that_left_the_watch_is_dropped_and_reported_once() -> None:
    cache = RunCache()
    cache.put_run(run())
    cache.leave_watch(KEY, "run-uid")
    assert cache.run(KEY) is None
    assert cache.pop_unwatched(KEY) and not cache.pop_unwatched(KEY)


def test_leave_watch_keeps_a_run_with_another_uid() -> None:
    cache = RunCache()
    cache.put_run(run(uid="later"))
    cache.leave_watch(KEY, "run-uid")
    assert cache.run(KEY) == run(uid="later")


def test_mark_unwatched_keeps_the_cached_run() -> None:
    cache = RunCache()
    cache.put_run(run())
    assert not cache.pop_unwatched(KEY)
    cache.mark_unwatched(KEY)
    assert cache.run(KEY) == run() and cache.pop_unwatched(KEY)


# -------------------------------------------------------------------------------------------------- what we have deleted


def test_an_expected_deletion_drops_the_workflow_once() -> None:
    cache = RunCache()
    ours = workflow(phase="Succeeded")
    cache.put_workflow(ours)
    cache.expect_deletion(ours)
    cache.mark_workflow_deleted(ours)
    assert not cache.has_workflow(KEY)
    cache.mark_workflow_deleted(ours)
    assert cache.has_workflow(KEY), "the second deletion is not expected"


def test_a_deletion_after_cancel_deletion_keeps_the_ended_workflow() -> None:
    cache = RunCache()
    cache.expect_deletion(workflow(phase="Succeeded"))
    cache.cancel_deletion(workflow(phase="Succeeded"))
    cache.mark_workflow_deleted(workflow(phase="Succeeded"))
    assert cache.workflow(run()) == workflow(phase="Succeeded")


def test_an_expected_deletion_does_not_drop_the_restored_workflow() -> None:
    cache = RunCache()
    cache.expect_deletion(workflow(uid="first", phase="Failed"))
    cache.put_workflow(workflow(uid="put-back", phase="Failed"))
    cache.mark_workflow_deleted(workflow(uid="first", phase="Failed"))
    assert cache.workflow(run()) == workflow(uid="put-back", phase="Failed")
    cache.mark_workflow_deleted(workflow("2", uid="put-back", phase="Failed"))
    assert cache.workflow(run()) == workflow("2", uid="put-back", phase="Failed")


def test_has_workflow_ignores_the_owner() -> None:
    cache = RunCache()
    assert not cache.has_workflow(KEY)
    cache.put_workflow(workflow(owner="another-run"))
    assert cache.has_workflow(KEY)


def test_drop_of_an_unknown_key_does_nothing() -> None:
    cache = RunCache()
    for uid in (None, "any"):
        cache.drop_run(KEY, uid)
        cache.drop_workflow(KEY, uid)
    cache.mark_workflow_deleted(workflow())
    assert cache.runs() == [] and cache.workflows() == []


def test_pop_phase_lag_returns_each_phase_change_once() -> None:
    cache = RunCache()
    assert cache.pop_phase_lag(KEY) is None
    cache.put_workflow(workflow("1"))
    cache.put_workflow(workflow("2"))
    lag = cache.pop_phase_lag(KEY)
    assert lag is not None and 0 <= lag < 10
    assert cache.pop_phase_lag(KEY) is None
    cache.put_workflow(workflow("3"))
    assert cache.pop_phase_lag(KEY) is None, "the same phase"
    cache.put_workflow(workflow("4", phase="Succeeded"))
    assert cache.pop_phase_lag(KEY) is not None
    cache.put_workflow(workflow("5", phase="Failed"))
    cache.drop_workflow(KEY)
    assert cache.pop_phase_lag(KEY) is None


def test_a_repeated_deletion_event_does_not_restore_the_workflow_of_a_finished_run() -> None:
    cache = RunCache()
    ours = workflow("1", phase="Succeeded")
    cache.put_workflow(ours)
    cache.expect_deletion(ours)
    cache.mark_workflow_deleted(ours)
    cache.mark_workflow_deleted(ours)
    ended = replace(run(), status=PipelineRunStatus(phase=Phase.SUCCEEDED))
    assert cache.workflow(ended) is None, "the Workflow does not exist any more"
    assert cache.workflow(run()) is not None, "it holds the run's result"


def test_an_expected_deletion_hides_the_workflow_of_a_finished_run() -> None:
    cache = RunCache()
    ours = workflow("1", phase="Succeeded")
    cache.put_workflow(ours)
    cache.expect_deletion(ours)
    assert cache.workflow(replace(run(), status=PipelineRunStatus(phase=Phase.SUCCEEDED))) is None
    cache.cancel_deletion(ours)
    assert cache.workflow(replace(run(), status=PipelineRunStatus(phase=Phase.SUCCEEDED))) == ours
