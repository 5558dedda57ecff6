"""Watch events become cached records, queue keys and policy updates."""

from __future__ import annotations

import pytest

from runwright.api.retentionpolicy import RetentionPolicySpec
from runwright.kube.objects import Key
from tests.unit.controller.bench import Bench
from tests.unit.controller.records import KEY, run, run_body, workflow, workflow_body


@pytest.mark.parametrize("event", [None, "ADDED", "MODIFIED"])
async def test_event_is_cached_and_enqueued(event: str | None) -> None:
    bench = Bench()
    bench.intake.pipelinerun(event, run_body("3"))
    bench.intake.workflow(event, workflow_body("4"))
    found = bench.cache.run(KEY)
    assert found is not None and found.resource_version == "3"
    assert bench.cache.workflow(found) == workflow("4")
    assert len(bench.queue) == 1
    assert await bench.queue.get() == KEY


RUNNING = {"phase": "Running", "workflow": {"name": KEY.name, "uid": "workflow-uid"}}


RUNS, WORKFLOWS = "/runs", "/workflows"
BODIES = {"pipelinerun": run_body(status=RUNNING), "workflow": workflow_body()}
OTHER = {"metadata": run_body()["metadata"] | {"name": "other", "uid": "other"}}


def begin_lists(bench: Bench) -> None:
    """Begin the initial lists; their pages have two runs and a Workflow."""
    bench.intake.lists.expect((RUNS, WORKFLOWS))
    bench.intake.lists.add_page(RUNS, {"items": [BODIES["pipelinerun"], OTHER]}, first=True)
    bench.intake.lists.add_page(WORKFLOWS, {"items": [BODIES["workflow"]]}, first=True)


@pytest.mark.parametrize(("first", "second"), [("pipelinerun", "workflow"), ("workflow", "pipelinerun")])
async def test_listed_run_and_workflow_are_enqueued_once_both_arrived(first: str, second: str) -> None:
    bench = Bench()
    begin_lists(bench)
    getattr(bench.intake, first)(None, BODIES[first])
    assert len(bench.queue) == 0, f"the {second} is about to arrive"
    getattr(bench.intake, second)(None, BODIES[second])
    assert await bench.take() == {KEY}
    bench.intake.pipelinerun(None, OTHER)
    assert await bench.take() == {Key(KEY.namespace, "other")}, "enqueued once"


@pytest.mark.parametrize("kind", ["pipelinerun", "workflow"])
async def test_object_without_a_counterpart_is_enqueued_after_the_initial_lists(kind: str) -> None:
    bench = Bench()
    bench.intake.lists.expect((RUNS, WORKFLOWS))
    path = {"pipelinerun": RUNS, "workflow": WORKFLOWS}[kind]
    bench.intake.lists.add_page(path, {"items": [BODIES[kind]]}, first=True)
    getattr(bench.intake, kind)(None, BODIES[kind])
    assert await bench.take() == set(), "the other list has not finished"
    bench.intake.lists.add_page(WORKFLOWS if kind == "pipelinerun" else RUNS, {"items": []}, first=True)
    assert await bench.take() == {KEY}
    getattr(bench.intake, kind)(None, BODIES[kind])
    assert await bench.take() == {KEY}, "a later list is not waited for"


@pytest.mark.parametrize("kind", ["pipelinerun", "workflow"])
async def test_event_outside_the_initial_lists_is_enqueued_at_once(kind: str) -> None:
    bench = Bench()
    getattr(bench.intake, kind)(None, BODIES[kind])
    assert await bench.take() == {KEY}


async def test_listed_workflow_that_has_ended_is_enqueued_at_once() -> None:
    bench = Bench()
    bench.intake.workflow(None, workflow_body(phase="Succeeded"))
    assert len(bench.queue) == 1


@pytest.mark.parametrize(
    ("event", "status"), [("MODIFIED", RUNNING), (None, {}), (None, {**RUNNING, "phase": "Succeeded"})], ids=str
)
async def test_run_that_needs_no_workflow_is_enqueued_at_once(event: str | None, status: dict[str, object]) -> None:
    bench = Bench()
    bench.intake.pipelinerun(event, run_body(status=status))
    assert (len(bench.queue), bench.queue.delayed) == (1, 0)


async def test_run_with_a_cached_workflow_is_enqueued_at_once() -> None:
    bench = Bench()
    bench.intake.pipelinerun(None, {"metadata": run_body()["metadata"] | {"name": "other"}})
    bench.intake.workflow("ADDED", workflow_body())
    await bench.take()
    bench.intake.pipelinerun(None, run_body(status=RUNNING))
    assert (len(bench.queue), bench.queue.delayed) == (1, 0)


async def test_deleted_run_is_dropped_and_enqueued() -> None:
    bench = Bench()
    bench.cache.put_run(run())
    bench.intake.pipelinerun("DELETED", run_body("2"))
    assert bench.cache.run(KEY) is None
    assert await bench.queue.get() == KEY
    assert bench.cache.pop_unwatched(KEY), "the run may be archived; the reconciler reads it"


async def test_run_that_leaves_the_watch_is_enqueued_with_low_priority() -> None:
    bench = Bench()
    bench.intake.pipelinerun("DELETED", run_body("2") | {"metadata": run_body()["metadata"] | {"name": "archived"}})
    bench.intake.pipelinerun("ADDED", run_body())
    assert [(await bench.queue.get()).name, (await bench.queue.get()).name] == [KEY.name, "archived"]


async def test_deletion_of_an_earlier_run_keeps_the_current_one() -> None:
    bench = Bench()
    bench.cache.put_run(run("9"))
    bench.intake.pipelinerun("DELETED", run_body("8", uid="earlier"))
    assert bench.cache.run(KEY) == run("9")


async def test_deleted_workflow_is_dropped_and_its_run_enqueued() -> None:
    bench = Bench()
    bench.cache.put_workflow(workflow())
    bench.intake.workflow("DELETED", workflow_body("2"))
    assert bench.cache.workflows() == []
    assert await bench.queue.get() == KEY


async def test_deleted_workflow_that_had_ended_stays_cached() -> None:
    bench = Bench()
    bench.cache.put_workflow(workflow())
    bench.intake.workflow("DELETED", workflow_body("2", phase="Failed"))
    assert [record.phase for record in bench.cache.workflows()] == ["Failed"]


async def test_event_with_an_older_version_is_ignored() -> None:
    bench = Bench()
    bench.intake.workflow("MODIFIED", workflow_body("5", phase="Succeeded"))
    bench.intake.workflow("MODIFIED", workflow_body("4"))
    assert [record.phase for record in bench.cache.workflows()] == ["Succeeded"]


async def test_malformed_object_is_enqueued() -> None:
    bench = Bench()
    bench.intake.pipelinerun("ADDED", {"metadata": {"name": "odd"}, "spec": 7, "status": []})
    bench.intake.workflow("ADDED", {"metadata": {"name": "odd"}, "spec": 7, "status": []})
    assert await bench.queue.get() == Key("", "odd")


def policy(name: str = "default", **spec: object) -> dict[str, object]:
    return {"metadata": {"namespace": "team", "name": name}, "spec": spec}


def changed(bench: Bench) -> set[str]:
    return set(bench.sweep._changed)


async def test_first_policy_event_applies_without_a_change() -> None:
    bench = Bench(default=RetentionPolicySpec(keep_failed=3))
    bench.intake.policy(None, policy(archiveAfter="1h"))
    assert await bench.policies.of("team") == RetentionPolicySpec(archive_after="1h", keep_failed=3)
    assert changed(bench) == set() and len(bench.queue) == 0


async def test_policy_spec_change_marks_the_namespace_changed() -> None:
    bench = Bench()
    bench.intake.policy("ADDED", policy(archiveAfter="1h"))
    bench.intake.policy("MODIFIED", policy(archiveAfter="1h"))
    assert changed(bench) == set(), "only the metadata changed"
    bench.intake.policy("MODIFIED", policy(archiveAfter="2h"))
    assert changed(bench) == {"team"}


async def test_policy_deletion_restores_the_default() -> None:
    bench = Bench(default=RetentionPolicySpec(delete_after="7d"))
    bench.intake.policy("ADDED", policy(archiveAfter="1h"))
    bench.intake.policy("DELETED", policy(archiveAfter="1h"))
    assert await bench.policies.of("team") == RetentionPolicySpec(delete_after="7d")
    assert changed(bench) == {"team"}


async def test_policy_with_another_name_is_ignored() -> None:
    bench = Bench()
    bench.intake.policy("ADDED", policy(archiveAfter="1h"))
    bench.intake.policy("ADDED", policy("other", archiveAfter="1s"))
    bench.intake.policy("DELETED", policy("other"))
    assert await bench.policies.of("team") == RetentionPolicySpec(archive_after="1h")
    assert changed(bench) == set()
