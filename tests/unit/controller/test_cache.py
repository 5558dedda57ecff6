from dataclasses import replace

import pytest

from runwright.api.pipelinerun import PipelineRunStatus
from runwright.api.states import Phase
from runwright.controller.cache import RunCache, is_later
from tests.unit.controller.records import KEY, run, workflow


def test_an_older_record_of_the_same_object_is_not_taken() -> None:
    cache = RunCache()
    cache.put_run(run("10"))
    cache.put_run(run("9"))
    assert cache.run(KEY) == run("10")
    cache.put_workflow(workflow("10"))
    cache.put_workflow(workflow("9", phase="Succeeded"))
    assert cache.workflow(run()) == workflow("10")


def test_a_record_of_another_object_of_the_name_is_taken() -> None:
    cache = RunCache()
    cache.put_run(run("10"))
    cache.put_run(run("9", uid="other"))
    assert cache.run(KEY) == run("9", uid="other")


def test_only_the_runs_own_workflow_is_given() -> None:
    cache = RunCache()
    cache.put_workflow(workflow(owner="earlier"))
    assert cache.workflow(run()) is None
    assert cache.workflow(run(uid="earlier")) == workflow(owner="earlier")


def test_drop_is_of_the_uid_that_is_named() -> None:
    cache = RunCache()
    cache.put_run(run())
    cache.put_workflow(workflow())
    cache.drop_run(KEY, "other")
    cache.drop_workflow(KEY, "other")
    assert cache.runs() == [run()] and cache.workflows() == [workflow()]
    cache.drop_run(KEY)
    cache.drop_workflow(KEY)
    assert cache.runs() == [] and cache.workflows() == []


def test_a_workflow_that_was_deleted_is_kept_only_if_it_had_ended() -> None:
    cache = RunCache()
    cache.put_workflow(workflow("1"))
    cache.mark_workflow_deleted(workflow("2", phase="Succeeded"))
    assert cache.workflow(run()) == workflow("2", phase="Succeeded")
    cache.mark_workflow_deleted(workflow("3"))
    assert cache.workflow(run()) is None


def test_the_end_of_a_workflow_tells_nothing_about_a_run_that_has_ended_before() -> None:
    cache = RunCache()
    cache.put_run(replace(run(), status=PipelineRunStatus(phase=Phase.FAILED)))
    cache.put_workflow(workflow("1", phase="Failed"))
    cache.mark_workflow_deleted(workflow("2", phase="Failed"))
    assert cache.workflow(run()) is None
    # The end of a further attempt counts: the run does not have it yet.
    further = replace(workflow("4", phase="Failed"), attempt=1)
    cache.mark_workflow_deleted(further)
    assert cache.workflow(run()) == further


def test_a_replaced_workflows_end_does_not_stand_for_its_successors() -> None:
    cache = RunCache()
    cache.put_workflow(workflow("5", uid="successor"))
    cache.mark_workflow_deleted(workflow("4", phase="Error"))
    assert cache.workflow(run()) == workflow("5", uid="successor")


@pytest.mark.parametrize(
    ("phase", "unfinished"), [("", True), ("Running", True), ("Succeeded", False), ("Error", False)]
)
def test_has_unfinished_workflow(phase: str, unfinished: bool) -> None:
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


def test_a_run_that_has_left_the_watch_is_dropped_and_read_once() -> None:
    cache = RunCache()
    cache.put_run(run())
    cache.leave_watch(KEY, "run-uid")
    assert cache.run(KEY) is None
    assert cache.pop_unwatched(KEY) and not cache.pop_unwatched(KEY)


def test_a_run_of_the_name_that_came_since_stays() -> None:
    cache = RunCache()
    cache.put_run(run(uid="later"))
    cache.leave_watch(KEY, "run-uid")
    assert cache.run(KEY) == run(uid="later")


def test_a_run_that_is_to_be_looked_at_again_stays_as_it_is_known() -> None:
    cache = RunCache()
    cache.put_run(run())
    assert not cache.pop_unwatched(KEY)
    cache.mark_unwatched(KEY)
    assert cache.run(KEY) == run() and cache.pop_unwatched(KEY)


# -------------------------------------------------------------------------------------------------- what we have deleted


def test_the_end_of_a_workflow_that_we_deleted_is_ignored_once() -> None:
    cache = RunCache()
    ours = workflow(phase="Succeeded")
    cache.put_workflow(ours)
    cache.expect_deletion(ours)
    cache.mark_workflow_deleted(ours)
    assert not cache.has_workflow(KEY)
    cache.mark_workflow_deleted(ours)
    assert cache.has_workflow(KEY), "nobody expects it any more"


def test_the_end_of_a_workflow_that_we_could_not_delete_tells_how_its_run_ended() -> None:
    cache = RunCache()
    cache.expect_deletion(workflow(phase="Succeeded"))
    cache.cancel_deletion(workflow(phase="Succeeded"))
    cache.mark_workflow_deleted(workflow(phase="Succeeded"))
    assert cache.workflow(run()) == workflow(phase="Succeeded")


def test_a_workflow_that_was_put_in_the_place_of_one_we_deleted_is_another() -> None:
    cache = RunCache()
    cache.expect_deletion(workflow(uid="first", phase="Failed"))
    cache.put_workflow(workflow(uid="put-back", phase="Failed"))
    cache.mark_workflow_deleted(workflow(uid="first", phase="Failed"))
    assert cache.workflow(run()) == workflow(uid="put-back", phase="Failed")
    cache.mark_workflow_deleted(workflow("2", uid="put-back", phase="Failed"))
    assert cache.workflow(run()) == workflow("2", uid="put-back", phase="Failed")


def test_has_workflow() -> None:
    cache = RunCache()
    assert not cache.has_workflow(KEY)
    cache.put_workflow(workflow(owner="another-run"))
    assert cache.has_workflow(KEY)


def test_what_is_not_known_can_be_dropped() -> None:
    cache = RunCache()
    for uid in (None, "any"):
        cache.drop_run(KEY, uid)
        cache.drop_workflow(KEY, uid)
    cache.mark_workflow_deleted(workflow())
    assert cache.runs() == [] and cache.workflows() == []


def test_the_lag_of_a_phase_is_popped_once() -> None:
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


def test_the_end_of_a_workflow_that_is_delivered_twice_is_not_held_for_a_finished_run() -> None:
    cache = RunCache()
    ours = workflow("1", phase="Succeeded")
    cache.put_workflow(ours)
    cache.expect_deletion(ours)
    cache.mark_workflow_deleted(ours)
    cache.mark_workflow_deleted(ours)
    ended = replace(run(), status=PipelineRunStatus(phase=Phase.SUCCEEDED))
    assert cache.workflow(ended) is None, "it is gone: nothing can be archived of it, or found in place"
    assert cache.workflow(run()) is not None, "that is how the run ended"


def test_a_workflow_that_we_deleted_is_not_given_to_a_run_that_is_unarchived_before_its_event() -> None:
    cache = RunCache()
    ours = workflow("1", phase="Succeeded")
    cache.put_workflow(ours)
    cache.expect_deletion(ours)
    assert cache.workflow(replace(run(), status=PipelineRunStatus(phase=Phase.SUCCEEDED))) is None
    cache.cancel_deletion(ours)
    assert cache.workflow(replace(run(), status=PipelineRunStatus(phase=Phase.SUCCEEDED))) == ours
