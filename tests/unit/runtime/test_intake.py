import pytest

from runwright.core.records import Key
from runwright.runtime.intake import Intake
from runwright.runtime.queue import WorkQueue
from runwright.runtime.store import Store
from tests.unit.runtime.records import KEY, run, run_body, workflow, workflow_body


class Fixture:
    def __init__(self) -> None:
        self.store, self.queue = Store(), WorkQueue[Key]()
        self.intake = Intake(self.store, self.queue)


@pytest.mark.parametrize("event", [None, "ADDED", "MODIFIED"])
async def test_an_event_becomes_a_record_and_a_key(event: str | None) -> None:
    it = Fixture()
    it.intake.pipelinerun(event, run_body("3"))
    it.intake.workflow(event, workflow_body("4"))
    found = it.store.run(KEY)
    assert found is not None and found.resource_version == "3"
    assert it.store.workflow(found) == workflow("4")
    assert len(it.queue) == 1
    assert await it.queue.get() == KEY


async def test_a_deleted_run_is_forgotten_and_looked_at() -> None:
    it = Fixture()
    it.store.put_run(run())
    it.intake.pipelinerun("DELETED", run_body("2"))
    assert it.store.run(KEY) is None
    assert await it.queue.get() == KEY


async def test_the_deletion_of_an_earlier_run_of_the_name_is_not_of_this_one() -> None:
    it = Fixture()
    it.store.put_run(run("9"))
    it.intake.pipelinerun("DELETED", run_body("8", uid="earlier"))
    assert it.store.run(KEY) == run("9")


async def test_a_deleted_workflow_is_forgotten_and_its_run_looked_at() -> None:
    it = Fixture()
    it.store.put_workflow(workflow())
    it.intake.workflow("DELETED", workflow_body("2"))
    assert it.store.workflows() == []
    assert await it.queue.get() == KEY


async def test_a_workflow_that_ended_and_was_deleted_at_once_tells_how_it_ended() -> None:
    it = Fixture()
    it.store.put_workflow(workflow())
    it.intake.workflow("DELETED", workflow_body("2", phase="Failed"))
    assert [record.phase for record in it.store.workflows()] == ["Failed"]


async def test_a_late_event_changes_nothing() -> None:
    it = Fixture()
    it.intake.workflow("MODIFIED", workflow_body("5", phase="Succeeded"))
    it.intake.workflow("MODIFIED", workflow_body("4"))
    assert [record.phase for record in it.store.workflows()] == ["Succeeded"]


async def test_an_odd_object_is_taken() -> None:
    it = Fixture()
    it.intake.pipelinerun("ADDED", {"metadata": {"name": "odd"}, "spec": 7, "status": []})
    it.intake.workflow("ADDED", {"metadata": {"name": "odd"}, "spec": 7, "status": []})
    assert await it.queue.get() == Key("", "odd")
