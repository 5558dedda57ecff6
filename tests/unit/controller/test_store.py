from dataclasses import replace

import pytest

from runwright.api.pipelinerun import PipelineRunStatus
from runwright.api.states import Phase
from runwright.controller.store import Store, later
from tests.unit.controller.records import KEY, run, workflow


def test_an_older_record_of_the_same_object_is_not_taken() -> None:
    store = Store()
    store.put_run(run("10"))
    store.put_run(run("9"))
    assert store.run(KEY) == run("10")
    store.put_workflow(workflow("10"))
    store.put_workflow(workflow("9", phase="Succeeded"))
    assert store.workflow(run()) == workflow("10")


def test_a_record_of_another_object_of_the_name_is_taken() -> None:
    store = Store()
    store.put_run(run("10"))
    store.put_run(run("9", uid="other"))
    assert store.run(KEY) == run("9", uid="other")


def test_only_the_runs_own_workflow_is_given() -> None:
    store = Store()
    store.put_workflow(workflow(owner="earlier"))
    assert store.workflow(run()) is None
    assert store.workflow(run(uid="earlier")) == workflow(owner="earlier")


def test_drop_is_of_the_uid_that_is_named() -> None:
    store = Store()
    store.put_run(run())
    store.put_workflow(workflow())
    store.drop_run(KEY, "other")
    store.drop_workflow(KEY, "other")
    assert store.runs() == [run()] and store.workflows() == [workflow()]
    store.drop_run(KEY)
    store.drop_workflow(KEY)
    assert store.runs() == [] and store.workflows() == []


def test_a_workflow_that_was_deleted_is_kept_only_if_it_had_ended() -> None:
    store = Store()
    store.put_workflow(workflow("1"))
    store.deleted_workflow(workflow("2", phase="Succeeded"))
    assert store.workflow(run()) == workflow("2", phase="Succeeded")
    store.deleted_workflow(workflow("3"))
    assert store.workflow(run()) is None


def test_the_end_of_a_workflow_tells_nothing_about_a_run_that_has_ended_before() -> None:
    store = Store()
    store.put_run(replace(run(), status=PipelineRunStatus(phase=Phase.FAILED)))
    store.put_workflow(workflow("1", phase="Failed"))
    store.deleted_workflow(workflow("2", phase="Failed"))
    assert store.workflow(run()) is None
    # But that of a further attempt does, of which the run does not tell yet.
    further = replace(workflow("4", phase="Failed"), attempt=1)
    store.deleted_workflow(further)
    assert store.workflow(run()) == further


def test_a_replaced_workflows_end_does_not_stand_for_its_successors() -> None:
    store = Store()
    store.put_workflow(workflow("5", uid="successor"))
    store.deleted_workflow(workflow("4", phase="Error"))
    assert store.workflow(run()) == workflow("5", uid="successor")


@pytest.mark.parametrize(
    ("phase", "unfinished"), [("", True), ("Running", True), ("Succeeded", False), ("Error", False)]
)
def test_has_unfinished_workflow(phase: str, unfinished: bool) -> None:
    store = Store()
    assert not store.has_unfinished_workflow(KEY)
    store.put_workflow(workflow(phase=phase))
    assert store.has_unfinished_workflow(KEY) is unfinished


@pytest.mark.parametrize(
    ("version", "other", "expected"),
    [("10", "9", True), ("9", "10", False), ("9", "9", False), ("", "9", False), ("9", "", False), ("b", "a", False)],
)
def test_resource_versions_are_compared_as_numbers(version: str, other: str, expected: bool) -> None:
    assert later(version, other) is expected


# ---------------------------------------------------------------------------------------------------- what is not watched


def test_a_run_that_has_left_the_watch_is_forgotten_and_that_is_told_once() -> None:
    store = Store()
    store.put_run(run())
    store.left_watch(KEY, "run-uid")
    assert store.run(KEY) is None
    assert store.take_unwatched(KEY) and not store.take_unwatched(KEY)


def test_a_run_of_the_name_that_came_since_stays() -> None:
    store = Store()
    store.put_run(run(uid="later"))
    store.left_watch(KEY, "run-uid")
    assert store.run(KEY) == run(uid="later")


def test_a_run_that_is_to_be_looked_at_again_stays_as_it_is_known() -> None:
    store = Store()
    store.put_run(run())
    assert not store.take_unwatched(KEY)
    store.look_again(KEY)
    assert store.run(KEY) == run() and store.take_unwatched(KEY)


# -------------------------------------------------------------------------------------------------- what we have deleted


def test_the_end_of_a_workflow_that_we_deleted_tells_nothing_and_is_told_once() -> None:
    store = Store()
    ours = workflow(phase="Succeeded")
    store.put_workflow(ours)
    store.expect_deletion(ours)
    store.deleted_workflow(ours)
    assert not store.has_workflow(KEY)
    store.deleted_workflow(ours)
    assert store.has_workflow(KEY), "nobody expects it any more"


def test_the_end_of_a_workflow_that_we_could_not_delete_tells_how_its_run_ended() -> None:
    store = Store()
    store.expect_deletion(workflow(phase="Succeeded"))
    store.expect_no_deletion(workflow(phase="Succeeded"))
    store.deleted_workflow(workflow(phase="Succeeded"))
    assert store.workflow(run()) == workflow(phase="Succeeded")


def test_a_workflow_that_was_put_in_the_place_of_one_we_deleted_is_another() -> None:
    store = Store()
    store.expect_deletion(workflow(uid="first", phase="Failed"))
    store.put_workflow(workflow(uid="put-back", phase="Failed"))
    store.deleted_workflow(workflow(uid="first", phase="Failed"))
    assert store.workflow(run()) == workflow(uid="put-back", phase="Failed")
    store.deleted_workflow(workflow("2", uid="put-back", phase="Failed"))
    assert store.workflow(run()) == workflow("2", uid="put-back", phase="Failed")


def test_has_workflow() -> None:
    store = Store()
    assert not store.has_workflow(KEY)
    store.put_workflow(workflow(owner="another-run"))
    assert store.has_workflow(KEY)


def test_what_is_not_known_can_be_dropped() -> None:
    store = Store()
    for uid in (None, "any"):
        store.drop_run(KEY, uid)
        store.drop_workflow(KEY, uid)
    store.deleted_workflow(workflow())
    assert store.runs() == [] and store.workflows() == []


def test_the_time_since_a_phase_was_told_is_given_once() -> None:
    store = Store()
    assert store.take_told(KEY) is None
    store.put_workflow(workflow("1"))
    store.put_workflow(workflow("2"))
    told = store.take_told(KEY)
    assert told is not None and 0 <= told < 10
    assert store.take_told(KEY) is None
    store.put_workflow(workflow("3"))
    assert store.take_told(KEY) is None, "the same phase"
    store.put_workflow(workflow("4", phase="Succeeded"))
    assert store.take_told(KEY) is not None
    store.put_workflow(workflow("5", phase="Failed"))
    store.drop_workflow(KEY)
    assert store.take_told(KEY) is None


def test_the_end_of_a_workflow_that_is_told_twice_does_not_make_it_be_there_for_a_run_that_has_ended() -> None:
    store = Store()
    ours = workflow("1", phase="Succeeded")
    store.put_workflow(ours)
    store.expect_deletion(ours)
    store.deleted_workflow(ours)
    store.deleted_workflow(ours)
    ended = replace(run(), status=PipelineRunStatus(phase=Phase.SUCCEEDED))
    assert store.workflow(ended) is None, "it is gone: nothing can be archived of it, or found in place"
    assert store.workflow(run()) is not None, "that is how the run ended"


def test_a_workflow_that_we_deleted_is_not_there_any_more_for_a_run_that_is_brought_back_before_its_end_is_told() -> (
    None
):
    store = Store()
    ours = workflow("1", phase="Succeeded")
    store.put_workflow(ours)
    store.expect_deletion(ours)
    assert store.workflow(replace(run(), status=PipelineRunStatus(phase=Phase.SUCCEEDED))) is None
    store.expect_no_deletion(ours)
    assert store.workflow(replace(run(), status=PipelineRunStatus(phase=Phase.SUCCEEDED))) == ours
