"""What comes of a watch event: a record, a key, and word of a policy."""

from __future__ import annotations

import asyncio

import pytest

from runwright.api.retentionpolicy import RetentionPolicySpec
from runwright.controller.intake import LISTS_AT_MOST, LISTS_SECONDS
from runwright.kube.objects import Key
from tests.unit.controller.bench import Bench
from tests.unit.controller.records import KEY, run, run_body, workflow, workflow_body
from tests.unit.fake.virtual_time import run_virtually


@pytest.mark.parametrize("event", [None, "ADDED", "MODIFIED"])
async def test_an_event_becomes_a_record_and_a_key(event: str | None) -> None:
    it = Bench()
    it.intake.pipelinerun(event, run_body("3"))
    it.intake.workflow(event, workflow_body("4"))
    found = it.store.run(KEY)
    assert found is not None and found.resource_version == "3"
    assert it.store.workflow(found) == workflow("4")
    assert len(it.queue) == 1
    assert await it.queue.get() == KEY


TOLD = {"phase": "Running", "workflow": {"name": KEY.name, "uid": "workflow-uid"}}


async def test_a_run_and_its_workflow_of_the_first_lists_wait_for_each_other() -> None:
    for first, second in (("pipelinerun", "workflow"), ("workflow", "pipelinerun")):
        it = Bench()
        bodies = {"pipelinerun": run_body(status=TOLD), "workflow": workflow_body()}
        getattr(it.intake, first)(None, bodies[first])
        assert len(it.queue) == 0, f"the {second} is about to be told of"
        getattr(it.intake, second)(None, bodies[second])
        assert len(it.queue) == 1


@pytest.mark.parametrize("kind", ["pipelinerun", "workflow"])
def test_what_is_alone_is_looked_at_once_the_lists_are_over(kind: str) -> None:
    async def lists() -> None:
        it = Bench()
        alone = {"pipelinerun": run_body(status=TOLD), "workflow": workflow_body()}[kind]
        getattr(it.intake, kind)(None, alone)
        for number in range(5):
            await asyncio.sleep(0.9 * LISTS_SECONDS)
            it.intake.pipelinerun(None, {"metadata": run_body()["metadata"] | {"name": f"other-{number}"}})
        assert KEY not in await it.take(), "the lists still go on"
        await asyncio.sleep(LISTS_SECONDS)
        assert await it.take() == {KEY}
        await asyncio.sleep(3 * LISTS_SECONDS)
        assert await it.take() == set(), "it is looked at once"
        getattr(it.intake, kind)(None, alone)
        assert await it.take() == {KEY}, "a later list is not waited for"

    run_virtually(lists())


def test_lists_that_begin_again_and_again_are_not_waited_for_without_end() -> None:
    async def lists() -> None:
        it = Bench()
        began = asyncio.get_running_loop().time()
        it.intake.pipelinerun(None, run_body(status=TOLD))
        while KEY not in await it.take():
            await asyncio.sleep(0.5 * LISTS_SECONDS)
            it.intake.pipelinerun(None, {"metadata": run_body()["metadata"] | {"name": "other"}})
        assert asyncio.get_running_loop().time() - began <= LISTS_AT_MOST + LISTS_SECONDS

    run_virtually(lists())


@pytest.mark.parametrize("kind", ["pipelinerun", "workflow"])
async def test_nothing_waits_for_lists_that_were_empty(kind: str) -> None:
    it = Bench()
    it.intake.pipelinerun("ADDED", {"metadata": run_body()["metadata"] | {"name": "other"}})
    await it.take()
    getattr(it.intake, kind)(None, {"pipelinerun": run_body(status=TOLD), "workflow": workflow_body()}[kind])
    assert await it.take() == {KEY}


async def test_a_workflow_that_has_ended_waits_for_no_run() -> None:
    it = Bench()
    it.intake.workflow(None, workflow_body(phase="Succeeded"))
    assert len(it.queue) == 1


@pytest.mark.parametrize(
    ("event", "status"), [("MODIFIED", TOLD), (None, {}), (None, {**TOLD, "phase": "Succeeded"})], ids=str
)
async def test_no_other_run_waits_for_it(event: str | None, status: dict[str, object]) -> None:
    it = Bench()
    it.intake.pipelinerun(event, run_body(status=status))
    assert (len(it.queue), it.queue.delayed) == (1, 0)


async def test_a_run_whose_workflow_is_known_waits_for_nothing() -> None:
    it = Bench()
    it.intake.pipelinerun(None, {"metadata": run_body()["metadata"] | {"name": "other"}})
    it.intake.workflow("ADDED", workflow_body())
    await it.take()
    it.intake.pipelinerun(None, run_body(status=TOLD))
    assert (len(it.queue), it.queue.delayed) == (1, 0)


async def test_a_deleted_run_is_forgotten_and_looked_at() -> None:
    it = Bench()
    it.store.put_run(run())
    it.intake.pipelinerun("DELETED", run_body("2"))
    assert it.store.run(KEY) is None
    assert await it.queue.get() == KEY
    assert it.store.take_unwatched(KEY), "it may be archived: only the API server can tell"


async def test_a_run_that_leaves_its_watch_waits_for_those_that_run() -> None:
    it = Bench()
    it.intake.pipelinerun("DELETED", run_body("2") | {"metadata": run_body()["metadata"] | {"name": "archived"}})
    it.intake.pipelinerun("ADDED", run_body())
    assert [(await it.queue.get()).name, (await it.queue.get()).name] == [KEY.name, "archived"]


async def test_the_deletion_of_an_earlier_run_of_the_name_is_not_of_this_one() -> None:
    it = Bench()
    it.store.put_run(run("9"))
    it.intake.pipelinerun("DELETED", run_body("8", uid="earlier"))
    assert it.store.run(KEY) == run("9")


async def test_a_deleted_workflow_is_forgotten_and_its_run_looked_at() -> None:
    it = Bench()
    it.store.put_workflow(workflow())
    it.intake.workflow("DELETED", workflow_body("2"))
    assert it.store.workflows() == []
    assert await it.queue.get() == KEY


async def test_a_workflow_that_ended_and_was_deleted_at_once_tells_how_it_ended() -> None:
    it = Bench()
    it.store.put_workflow(workflow())
    it.intake.workflow("DELETED", workflow_body("2", phase="Failed"))
    assert [record.phase for record in it.store.workflows()] == ["Failed"]


async def test_a_late_event_changes_nothing() -> None:
    it = Bench()
    it.intake.workflow("MODIFIED", workflow_body("5", phase="Succeeded"))
    it.intake.workflow("MODIFIED", workflow_body("4"))
    assert [record.phase for record in it.store.workflows()] == ["Succeeded"]


async def test_an_odd_object_is_taken() -> None:
    it = Bench()
    it.intake.pipelinerun("ADDED", {"metadata": {"name": "odd"}, "spec": 7, "status": []})
    it.intake.workflow("ADDED", {"metadata": {"name": "odd"}, "spec": 7, "status": []})
    assert await it.queue.get() == Key("", "odd")


def policy(name: str = "default", **spec: object) -> dict[str, object]:
    return {"metadata": {"namespace": "team", "name": name}, "spec": spec}


def changed(it: Bench) -> set[str]:
    return set(it.sweep._changed)


async def test_a_policy_that_is_first_told_of_holds_and_changes_nothing() -> None:
    it = Bench(default=RetentionPolicySpec(keep_failed=3))
    it.intake.policy(None, policy(archiveAfter="1h"))
    assert await it.policies.of("team") == RetentionPolicySpec(archive_after="1h", keep_failed=3)
    assert changed(it) == set() and len(it.queue) == 0


async def test_a_policy_that_changes_has_the_runs_of_its_namespace_looked_at() -> None:
    it = Bench()
    it.intake.policy("ADDED", policy(archiveAfter="1h"))
    it.intake.policy("MODIFIED", policy(archiveAfter="1h"))
    assert changed(it) == set(), "only its metadata was written"
    it.intake.policy("MODIFIED", policy(archiveAfter="2h"))
    assert changed(it) == {"team"}


async def test_a_policy_that_is_deleted_leaves_the_operators_default() -> None:
    it = Bench(default=RetentionPolicySpec(delete_after="7d"))
    it.intake.policy("ADDED", policy(archiveAfter="1h"))
    it.intake.policy("DELETED", policy(archiveAfter="1h"))
    assert await it.policies.of("team") == RetentionPolicySpec(delete_after="7d")
    assert changed(it) == {"team"}


async def test_a_policy_of_another_name_says_nothing() -> None:
    it = Bench()
    it.intake.policy("ADDED", policy(archiveAfter="1h"))
    it.intake.policy("ADDED", policy("other", archiveAfter="1s"))
    it.intake.policy("DELETED", policy("other"))
    assert await it.policies.of("team") == RetentionPolicySpec(archive_after="1h")
    assert changed(it) == set()
