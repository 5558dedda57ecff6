"""The reconciler on the in-memory API server. Faults are tested in test_crash_sweep.py."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from runwright.controller.reconciler import MAX_STEPS
from runwright.core.retry.reset import pack_json
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json
from tests.unit.controller.bench import (
    KEY,
    Bench,
    after_first_call,
    before_first_call,
    failing,
    remembered,
    status,
    virtually,
)
from tests.unit.fake.client import Commit
from tests.unit.fake.rules import condition_of
from tests.unit.fake.world import NAMESPACE, RUN, World, manifest


def test_unknown_run_makes_no_call() -> None:
    async def test(bench: Bench) -> None:
        assert await bench.reconcile() is None
        assert bench.calls() == {}

    virtually(test)


def test_new_run_takes_two_calls_and_delays_its_status() -> None:
    async def test(bench: Bench) -> None:
        bench.world.apply(manifest("slow"))
        bench.deliver_run()
        again = await bench.reconcile()
        assert again is not None and 1 < again <= 2
        assert bench.calls() == {"get pipelineruns": 1, "create workflows": 1}

    virtually(test)


def test_workflow_records_its_run_attempt_and_source() -> None:
    async def test(bench: Bench) -> None:
        bench.world.apply(manifest("slow"))
        record = bench.deliver_run()
        await bench.reconcile()
        metadata = (bench.world.workflow() or {})["metadata"]
        assert metadata["labels"]["runwright.dev/run"] == RUN
        assert metadata["annotations"] == {
            "runwright.dev/attempt": "0",
            "runwright.dev/generation": "1",
            "runwright.dev/source-digest": record.source_digest,
        }
        assert [owner["uid"] for owner in metadata["ownerReferences"]] == [record.uid]

    virtually(test)


def test_run_deleted_before_the_reconcile_gets_no_workflow() -> None:
    async def test(bench: Bench) -> None:
        bench.world.apply(manifest())
        bench.deliver_run()
        bench.world.delete("PipelineRun")
        assert await bench.reconcile() is None
        assert bench.calls() == {"get pipelineruns": 1}
        assert bench.cache.runs() == []

    virtually(test)


def test_workflow_is_created_from_the_stored_run_not_the_cached_one() -> None:
    async def test(bench: Bench) -> None:
        bench.world.apply(manifest("slow"))
        bench.deliver_run()
        bench.world.apply(manifest("failing"))
        await bench.reconcile()
        assert (bench.world.workflow() or {})["spec"]["entrypoint"] == "failing"

    virtually(test)


def test_finished_run_is_dropped_from_the_cache() -> None:
    async def test(bench: Bench) -> None:
        bench.world.apply(manifest())
        bench.deliver_run()
        await bench.reconcile()
        await bench.world.until(lambda: bench.world.argo_phase() == "Succeeded")
        bench.cache.drop_workflow(KEY)
        bench.world.server.patch_status("PipelineRun", NAMESPACE, RUN, {"workflow": ref(bench.world)})
        bench.deliver_run()
        await bench.reconcile()
        assert bench.world.phase() == "Succeeded"
        await bench.reconcile()
        assert bench.cache.runs() == [] and bench.cache.workflows() == []
        assert remembered(bench).get("memory") is None

    virtually(test)


def ref(world: World) -> Json:
    metadata = (world.workflow() or {})["metadata"]
    return {"name": metadata["name"], "uid": metadata["uid"]}


def test_status_conflict_rereads_the_run_and_requeues() -> None:
    async def test(bench: Bench) -> None:
        bench.world.apply({"workflow": {"manifest": "kind: CronWorkflow"}})
        bench.deliver_run()
        bench.client.handlers["get pipelineruns"] = after_first_call(lambda: bench.world.label(team="a"))
        with pytest.raises(ApiError) as error:
            await bench.reconcile()
        assert error.value.code == 409
        found = bench.cache.run(KEY)
        assert found is not None
        assert found.resource_version == (bench.world.run() or {})["metadata"]["resourceVersion"]
        await bench.reconcile()
        assert bench.world.stalled() != ""

    virtually(test)


def test_run_deleted_before_the_status_write_is_dropped() -> None:
    async def test(bench: Bench) -> None:
        bench.world.apply({"workflow": {"manifest": "kind: CronWorkflow"}})
        bench.deliver_run()
        bench.client.handlers["patch pipelineruns/status"] = before_first_call(
            lambda: bench.world.delete("PipelineRun")
        )
        assert await bench.reconcile() is None
        assert bench.cache.runs() == []

    virtually(test)


def test_event_is_posted_after_the_status_and_its_failure_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def test(bench: Bench) -> None:
        bench.world.apply({"workflow": {"manifest": "kind: CronWorkflow"}})
        bench.deliver_run()
        stalled_when_posted: list[str] = []

        async def post(_: Commit) -> None:
            stalled_when_posted.append(bench.world.stalled())
            raise ApiError(403, "Forbidden", "events are not for you")

        bench.client.handlers["create events"] = post
        assert await bench.reconcile() is None
        assert stalled_when_posted == [bench.world.stalled()] and stalled_when_posted[0]

    with caplog.at_level(logging.WARNING):
        virtually(test)
    assert "events are not for you" in caplog.text


def test_invalid_stored_run_stalls_with_the_field_path() -> None:
    async def test(bench: Bench) -> None:
        bench.world.apply({"workflow": {"manifest": 7}})
        bench.deliver_run()
        await bench.reconcile()
        assert bench.world.stalled() == "RunInvalid"
        message = condition_of((bench.world.run() or {})["status"], "Stalled")["message"]
        assert message.startswith("spec.workflow.manifest: ")

    virtually(test)


def test_forbidden_read_stalls_the_run_and_is_retried() -> None:
    async def test(bench: Bench) -> None:
        bench.world.apply({"workflow": {"manifestFrom": {"configMapKeyRef": {"name": "pipeline", "key": "wf"}}}})
        bench.deliver_run()
        bench.client.handlers["get configmaps"] = failing(ApiError(403, "Forbidden", "configmaps are not for you"))
        assert await bench.reconcile() == 1
        assert bench.world.stalled() == "Forbidden"

    virtually(test)


@pytest.mark.parametrize("code", [0, 429, 500, 503])
def test_transient_error_is_raised_without_a_status_write(code: int) -> None:
    async def test(bench: Bench) -> None:
        bench.world.apply(manifest())
        bench.deliver_run()
        bench.client.handlers["create workflows"] = failing(ApiError(code, "Passing", "try again"))
        with pytest.raises(ApiError):
            await bench.reconcile()
        assert (bench.world.run() or {}).get("status") is None

    virtually(test)


def test_workflow_created_before_a_crash_is_adopted() -> None:
    async def test(bench: Bench) -> None:
        bench.world.apply(manifest("endless"))
        bench.deliver_run()
        await bench.reconcile()
        await bench.world.sleep(5)
        after_crash = Bench(bench.world)
        after_crash.deliver_run()
        await after_crash.reconcile()
        assert bench.world.phase() == "Running"
        assert [change.type for change in bench.server.changes if change.kind == "Workflow"].count("ADDED") == 1

    virtually(test)


def test_phase_lag_starts_at_the_watch_event_of_the_phase() -> None:
    """After a restart, the first events have phases that the status shows already; they have no lag."""

    async def test(bench: Bench) -> None:
        bench.world.apply(manifest("endless"))
        bench.deliver_run()
        await bench.reconcile()
        await bench.world.until(lambda: bench.world.argo_phase() == "Running")
        bench.deliver_workflow()
        assert bench.cache.live(KEY).phase_changed_at is not None
        await bench.reconcile()
        assert bench.world.phase() == "Running"
        assert bench.cache.live(KEY).phase_changed_at is None, "it was observed when the status was written"
        restarted = Bench(bench.world)
        restarted.deliver_run()
        restarted.deliver_workflow()
        assert restarted.cache.live(KEY).phase_changed_at is not None
        await restarted.reconcile()
        assert restarted.cache.pop_phase_lag(KEY) is None

    virtually(test)


def test_phase_lag_of_a_delayed_status_keeps_counting() -> None:
    async def test(bench: Bench) -> None:
        bench.world.apply(manifest("slow"))
        bench.deliver_run()
        again = await bench.reconcile()
        assert again is not None
        assert bench.cache.pop_phase_lag(KEY) is not None

    virtually(test)


def test_run_that_needs_too_many_steps_is_requeued() -> None:
    async def test(bench: Bench) -> None:
        bench.world.apply(manifest("endless"))
        bench.world.server.patch_status("PipelineRun", NAMESPACE, RUN, {"workflow": {"name": RUN, "uid": "the-first"}})
        owner = {"kind": "PipelineRun", "controller": True, "uid": bench.deliver_run().uid, "name": RUN}
        deleted: list[str] = []

        async def another(_: Commit) -> Json:
            metadata = {
                "namespace": NAMESPACE,
                "name": RUN,
                "uid": f"stray-{len(deleted)}",
                "ownerReferences": [owner],
            }
            return {"metadata": metadata}

        async def delete(_: Commit) -> bool:
            deleted.append(f"stray-{len(deleted)}")
            return True

        bench.client.handlers["get workflows"] = another
        bench.client.handlers["delete workflows"] = delete
        with pytest.raises(ApiError) as error:
            await bench.reconcile()
        assert error.value.code == 409
        assert deleted == [f"stray-{number}" for number in range(MAX_STEPS // 2)]

    virtually(test)


@pytest.mark.parametrize(
    "status", [{"phase": "Succeeded"}, {"phase": "Running", "workflow": {"name": RUN, "uid": "another"}}]
)
def test_run_started_concurrently_gets_no_second_workflow(status: Json) -> None:
    async def test(bench: Bench) -> None:
        bench.world.apply(manifest())
        bench.deliver_run()
        bench.world.server.patch_status("PipelineRun", NAMESPACE, RUN, status)
        await bench.reconcile()
        assert "create workflows" not in bench.calls()

    virtually(test)


def test_run_is_read_before_its_workflow() -> None:
    async def test(bench: Bench) -> None:
        bench.world.apply(manifest("endless"))
        first = {"name": RUN, "uid": "the-first"}
        bench.world.server.patch_status("PipelineRun", NAMESPACE, RUN, {"phase": "Running", "workflow": first})
        bench.deliver_run()
        await bench.reconcile()
        assert bench.client.calls[:2] == ["get pipelineruns", "get workflows"], (
            "in the other order, a Workflow created between the reads would look deleted"
        )

    virtually(test)


def test_referenced_object_is_read_once() -> None:
    async def test(bench: Bench) -> None:
        bench.world.add("ServiceAccount", "trainer")
        bench.world.apply({**manifest(), "serviceAccountName": "trainer"})
        bench.deliver_run()
        await bench.reconcile()
        assert bench.calls()["get serviceaccounts"] == 1
        assert bench.world.workflow() is not None

    virtually(test)


def test_progress_is_written_at_most_every_two_seconds() -> None:
    async def test(bench: Bench) -> None:
        bench.world.apply(manifest("slow"))
        bench.deliver_run()
        await bench.reconcile()
        await bench.world.until(lambda: bench.world.argo_phase() == "Running")
        bench.deliver_workflow()
        assert await bench.reconcile() is None and bench.world.phase() == "Running"
        bench.deliver_run()
        body = bench.world.workflow() or {}
        bench.server.replace("Workflow", NAMESPACE, RUN, status={**body["status"], "progress": "1/7"})
        bench.deliver_workflow()
        bench.forget_calls()
        again = await bench.reconcile()
        assert again is not None and 1.9 < again <= 2 and bench.calls() == {}
        await bench.wait(again)
        await bench.reconcile()
        assert bench.calls() == {"patch pipelineruns/status": 1}
        assert (bench.world.run() or {})["status"]["progress"] == "1/7"

    virtually(test)


def test_status_write_is_measured() -> None:
    async def test(bench: Bench) -> None:
        await bench.run_to_end("flaky")
        samples = bench.reconciler._measures.registry.get_sample_value
        labels = {"namespace": NAMESPACE, "phase": "Failed", "reason": "Failed"}
        assert samples("runwright_runs_finished_total", labels) == 1
        assert samples("runwright_mirror_lag_seconds_count") == 1, "one phase change, one lag"

    virtually(test)


def test_run_that_is_being_deleted_makes_no_call() -> None:
    """With `kubectl delete --cascade=foreground` the run exists until its Workflow is deleted."""

    async def test(bench: Bench) -> None:
        bench.world.apply(manifest("endless"))
        bench.deliver_run()
        await bench.reconcile()
        bench.deliver_workflow()
        body = bench.world.run() or {}
        going = {
            **body,
            "metadata": body["metadata"] | {"deletionTimestamp": "2026-11-24T12:00:00Z", "resourceVersion": "99"},
        }
        bench.intake.pipelinerun("MODIFIED", going)
        bench.forget_calls()
        assert await bench.reconcile() is None
        assert bench.calls() == {} and remembered(bench) == {}

    virtually(test)


# ------------------------------------------------------------------------------------------ Workflows with many nodes


async def with_packed_nodes(bench: Bench, nodes: dict[str, Any]) -> None:
    """A started run, whose Workflow has packed nodes now, as the watch reports."""
    bench.world.apply(manifest())
    bench.deliver_run()
    await bench.reconcile()
    status = {
        "phase": "Running",
        "compressedNodes": pack_json(nodes),
        "nodes": None,
        "startedAt": "2026-11-24T12:00:00Z",
    }
    bench.server.patch("Workflow", NAMESPACE, RUN, {"status": status})
    bench.deliver_workflow()
    bench.deliver_run()
    bench.forget_calls()


def test_packed_nodes_are_read_for_the_run_that_owns_the_workflow() -> None:
    async def test(bench: Bench) -> None:
        await with_packed_nodes(bench, {"a": {"phase": "Failed", "type": "Pod"}})
        assert all(workflow.partial and not workflow.nodes for workflow in bench.cache.workflows())
        await bench.reconcile()
        assert [node["id"] for node in status(bench)["nodes"]] == ["a"]
        assert bench.calls()["get workflows"] == 1
        assert not any(workflow.partial for workflow in bench.cache.workflows())

    virtually(test)


def test_packed_nodes_of_a_workflow_that_belongs_to_others_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    unpacked: list[object] = []
    monkeypatch.setattr("runwright.core.workflow.record.unpack_json", lambda packed: unpacked.append(packed) or {})

    async def test(bench: Bench) -> None:
        bench.server.create(
            "Workflow",
            {
                "metadata": {"namespace": NAMESPACE, "name": RUN, "labels": {"runwright.dev/run": RUN}},
                "status": {"phase": "Succeeded", "compressedNodes": "x"},
            },
        )
        bench.intake.workflow("MODIFIED", bench.world.workflow() or {})
        bench.world.apply(manifest())
        bench.deliver_run()
        await bench.reconcile()
        assert unpacked == []

    virtually(test)
