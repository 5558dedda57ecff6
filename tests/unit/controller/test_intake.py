"""A watch event updates the cache or a policy, and enqueues a run."""

from __future__ import annotations

import pytest

from runwright.api.retentionpolicy import RetentionPolicySpec
from runwright.kube.objects import Key
from tests.unit.controller.bench import Bench
from tests.unit.controller.records import KEY, run, run_body, workflow, workflow_body


@pytest.mark.parametrize("event", [None, "ADDED", "MODIFIED"])
async def test_an_event_becomes_a_record_and_a_key(event: str | None) -> None:
    it = Bench()
    it.intake.pipelinerun(event, run_body("3"))
    it.intake.workflow(event, workflow_body("4"))
    found = it.cache.run(KEY)
    assert found is not None and found.resource_version == "3"
    assert it.cache.workflow(found) == workflow("4")
    assert len(it.queue) == 1
    assert await it.queue.get() == KEY


UNDER_WAY = {"phase": "Running", "workflow": {"name": KEY.name, "uid": "workflow-uid"}}


RUNS, WORKFLOWS = "/runs", "/workflows"
BODIES = {"pipelinerun": run_body(status=UNDER_WAY), "workflow": workflow_body()}
OTHER = {"metadata": run_body()["metadata"] | {"name": "other", "uid": "other"}}


def lists_begin(it: Bench) -> None:
    """The initial lists begin; two runs and a Workflow are on their pages."""
    it.intake.lists.expect((RUNS, WORKFLOWS))
    it.intake.lists.add_page(RUNS, {"items": [BODIES["pipelinerun"], OTHER]}, first=True)
    it.intake.lists.add_page(WORKFLOWS, {"items": [BODIES["workflow"]]}, first=True)


@pytest.mark.parametrize(("first", "second"), [("pipelinerun", "workflow"), ("workflow", "pipelinerun")])
async def test_a_listed_run_and_its_workflow_wait_for_each_other(first: str, second: str) -> None:
    it = Bench()
    lists_begin(it)
    getattr(it.intake, first)(None, BODIES[first])
    assert len(it.queue) == 0, f"the {second} is about to arrive"
    getattr(it.intake, second)(None, BODIES[second])
    assert await it.take() == {KEY}
    it.intake.pipelinerun(None, OTHER)
    assert await it.take() == {Key(KEY.namespace, "other")}, "it is enqueued once"


@pytest.mark.parametrize("kind", ["pipelinerun", "workflow"])
async def test_what_was_listed_alone_is_enqueued_when_the_lists_have_finished(kind: str) -> None:
    it = Bench()
    it.intake.lists.expect((RUNS, WORKFLOWS))
    path = {"pipelinerun": RUNS, "workflow": WORKFLOWS}[kind]
    it.intake.lists.add_page(path, {"items": [BODIES[kind]]}, first=True)
    getattr(it.intake, kind)(None, BODIES[kind])
    assert await it.take() == set(), "the other list goes on"
    it.intake.lists.add_page(WORKFLOWS if kind == "pipelinerun" else RUNS, {"items": []}, first=True)
    assert await it.take() == {KEY}
    getattr(it.intake, kind)(None, BODIES[kind])
    assert await it.take() == {KEY}, "a later list is not waited for"


@pytest.mark.parametrize("kind", ["pipelinerun", "workflow"])
async def test_nothing_waits_without_initial_lists(kind: str) -> None:
    it = Bench()
    getattr(it.intake, kind)(None, BODIES[kind])
    assert await it.take() == {KEY}


async def test_a_workflow_that_has_ended_waits_for_no_run() -> None:
    it = Bench()
    it.intake.workflow(None, workflow_body(phase="Succeeded"))
    assert len(it.queue) == 1


@pytest.mark.parametrize(
    ("event", "status"), [("MODIFIED", UNDER_WAY), (None, {}), (None, {**UNDER_WAY, "phase": "Succeeded"})], ids=str
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
    it.intake.pipelinerun(None, run_body(status=UNDER_WAY))
    assert (len(it.queue), it.queue.delayed) == (1, 0)


async def test_a_deleted_run_is_forgotten_and_looked_at() -> None:
    it = Bench()
    it.cache.put_run(run())
    it.intake.pipelinerun("DELETED", run_body("2"))
    assert it.cache.run(KEY) is None
    assert await it.queue.get() == KEY
    assert it.cache.pop_unwatched(KEY), "it may be archived: only the API server can tell"


async def test_a_run_that_leaves_its_watch_waits_for_those_that_run() -> None:
    it = Bench()
    it.intake.pipelinerun("DELETED", run_body("2") | {"metadata": run_body()["metadata"] | {"name": "archived"}})
    it.intake.pipelinerun("ADDED", run_body())
    assert [(await it.queue.get()).name, (await it.queue.get()).name] == [KEY.name, "archived"]


async def test_the_deletion_of_an_earlier_run_of_the_name_is_not_of_this_one() -> None:
    it = Bench()
    it.cache.put_run(run("9"))
    it.intake.pipelinerun("DELETED", run_body("8", uid="earlier"))
    assert it.cache.run(KEY) == run("9")


async def test_a_deleted_workflow_is_forgotten_and_its_run_looked_at() -> None:
    it = Bench()
    it.cache.put_workflow(workflow())
    it.intake.workflow("DELETED", workflow_body("2"))
    assert it.cache.workflows() == []
    assert await it.queue.get() == KEY


async def test_a_workflow_that_ended_and_was_deleted_at_once_tells_how_it_ended() -> None:
    it = Bench()
    it.cache.put_workflow(workflow())
    it.intake.workflow("DELETED", workflow_body("2", phase="Failed"))
    assert [record.phase for record in it.cache.workflows()] == ["Failed"]


async def test_a_late_event_changes_nothing() -> None:
    it = Bench()
    it.intake.workflow("MODIFIED", workflow_body("5", phase="Succeeded"))
    it.intake.workflow("MODIFIED", workflow_body("4"))
    assert [record.phase for record in it.cache.workflows()] == ["Succeeded"]


async def test_an_odd_object_is_taken() -> None:
    it = Bench()
    it.intake.pipelinerun("ADDED", {"metadata": {"name": "odd"}, "spec": 7, "status": []})
    it.intake.workflow("ADDED", {"metadata": {"name": "odd"}, "spec": 7, "status": []})
    assert await it.queue.get() == Key("", "odd")


def policy(name: str = "default", **spec: object) -> dict[str, object]:
    return {"metadata": {"namespace": "team", "name": name}, "spec": spec}


def changed(it: Bench) -> set[str]:
    return set(it.sweep._changed)


async def test_a_policy_that_is_first_reported_holds_and_changes_nothing() -> None:
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
