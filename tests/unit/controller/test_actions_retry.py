"""Retrying and recreating Workflows for a further attempt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from runwright.controller.actions import Observation
from runwright.controller.lane import Lane
from runwright.controller.snapshots import Snapshots
from runwright.core.decision import RecreateWorkflow, RetryWorkflow
from runwright.core.records import Absent, NotSeen, Refusal, RunRecord, WorkflowRecord
from runwright.core.retry.reset import RETRY_IMPOSSIBLE
from runwright.core.status.conditions import ARGO_NOT_INSTALLED
from runwright.core.workflow.record import workflow_record
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json
from tests.unit.controller.bench import KEY, Bench, after_first_call, before_first_call, uid_of, virtually
from tests.unit.fake.argo import pods_of
from tests.unit.fake.client import Commit
from tests.unit.fake.world import NAMESPACE, RUN

A, B = f"{RUN}.a", f"{RUN}.b"
"""Nodes of the `flaky` run: a has succeeded, and b has failed."""


async def retry_requested(bench: Bench, entrypoint: str = "flaky") -> tuple[RunRecord, WorkflowRecord]:
    """A failed run with one more attempt requested, and its Workflow."""
    await bench.run_to_end(entrypoint)
    bench.world.retry()
    bench.forget_calls()
    return bench.deliver_run(), workflow_record(bench.world.workflow() or {})


async def carry_out(bench: Bench, run: RunRecord, action: RetryWorkflow | RecreateWorkflow) -> Observation:
    """Carry out the action; repeat it while pods are being deleted, as the queue does."""
    for _ in range(3):
        try:
            return await bench.actions.carry_out(run, NotSeen(), action)
        except ApiError as error:
            if "still being deleted" not in error.message:
                raise
            await bench.wait(2)
    raise AssertionError("the pods are not deleted")


def nodes(bench: Bench) -> dict[str, str]:
    found: dict[str, Json] = (bench.world.workflow() or {})["status"].get("nodes", {})
    return {name: node["phase"] for name, node in found.items()}


def pods_and_results(bench: Bench) -> set[tuple[str, str]]:
    return set(pods_of(bench.server, RUN))


def attempt(bench: Bench) -> str:
    return (bench.world.workflow() or {})["metadata"]["annotations"]["runwright.dev/attempt"]


def written(bench: Bench) -> set[str]:
    """The writes by verb and resource."""
    return {call for call in bench.calls() if not call.startswith(("get ", "list "))}


# ----------------------------------------------------------------------------------------------------------------- Retry


def test_retry_resets_and_numbers_the_workflow_in_one_write() -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await retry_requested(bench)
        assert pods_and_results(bench) == {(kind, node) for kind in ("Pod", "WorkflowTaskResult") for node in (A, B)}
        observed = await carry_out(bench, run, RetryWorkflow(workflow))
        assert isinstance(observed.seen, WorkflowRecord) and observed.run == run
        assert (observed.seen.uid, observed.seen.attempt) == (workflow.uid, 1)
        assert bench.cache.workflow(run) == observed.seen
        assert nodes(bench) == {RUN: "Running", A: "Succeeded"}
        assert pods_and_results(bench) == {("Pod", A), ("WorkflowTaskResult", A)}
        assert bench.calls()["update workflows"] == 1

    virtually(test)


def test_retry_waits_for_the_pods_of_reset_nodes_to_be_deleted() -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await retry_requested(bench)
        with pytest.raises(ApiError, match=B) as error:
            await bench.actions.carry_out(run, workflow, RetryWorkflow(workflow))
        assert error.value.code == 409
        assert "update workflows" not in bench.calls() and attempt(bench) == "0"

    virtually(test)


Meanwhile = Callable[[Bench], object]


def runs_again(bench: Bench) -> None:
    bench.world.argo_retry()


def begun_by_another(bench: Bench) -> None:
    metadata = (bench.world.workflow() or {})["metadata"]
    body = bench.world.workflow() or {}
    annotations = metadata["annotations"] | {"runwright.dev/attempt": "1"}
    bench.server.update("Workflow", {**body, "metadata": metadata | {"annotations": annotations}})


def replaced(bench: Bench) -> None:
    body = dict(bench.world.workflow() or {})
    bench.world.delete("Workflow")
    bench.server.create("Workflow", {**body, "metadata": body["metadata"] | {"uid": ""}})


@pytest.mark.parametrize("meanwhile", [runs_again, begun_by_another, replaced])
def test_retry_leaves_a_restarted_or_replaced_workflow_unchanged(meanwhile: Meanwhile) -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await retry_requested(bench)
        meanwhile(bench)
        there, remain = bench.world.workflow(), pods_and_results(bench)
        observed = await carry_out(bench, run, RetryWorkflow(workflow))
        assert observed.seen == workflow_record(there or {}) == bench.cache.workflow(run)
        assert bench.world.workflow() == there and pods_and_results(bench) == remain
        assert bench.calls() == {"get workflows": 1}

    virtually(test)


def test_retry_of_a_deleted_workflow_reports_it_absent() -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await retry_requested(bench)
        bench.deliver_workflow()
        bench.world.delete("Workflow")
        assert await carry_out(bench, run, RetryWorkflow(workflow)) == Observation(run, Absent())
        assert bench.cache.workflows() == []
        assert bench.calls() == {"get workflows": 1}

    virtually(test)


def test_retry_does_not_create_a_workflow_deleted_before_the_write() -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await retry_requested(bench)
        bench.client.handlers["update workflows"] = before_first_call(lambda: bench.world.delete("Workflow"))
        assert await carry_out(bench, run, RetryWorkflow(workflow)) == Observation(run, Absent())
        assert bench.world.workflow() is None

    virtually(test)


@pytest.mark.parametrize("meanwhile", [runs_again, begun_by_another, replaced])
def test_retry_of_a_workflow_changed_before_the_write_is_a_conflict(meanwhile: Meanwhile) -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await retry_requested(bench)
        bench.client.handlers["update workflows"] = before_first_call(lambda: meanwhile(bench))
        with pytest.raises(ApiError) as error:
            await carry_out(bench, run, RetryWorkflow(workflow))
        assert error.value.code == 409
        there = bench.world.workflow()
        assert (await carry_out(bench, run, RetryWorkflow(workflow))).seen == workflow_record(there or {})
        assert bench.world.workflow() == there

    virtually(test)


def test_retry_of_offloaded_nodes_is_refused_before_any_deletion() -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await retry_requested(bench)
        status = (bench.world.workflow() or {})["status"] | {"offloadNodeStatusVersion": "fnv:1"}
        bench.server.replace("Workflow", NAMESPACE, RUN, status=status)
        remain = pods_and_results(bench)
        observed = await carry_out(bench, run, RetryWorkflow(workflow))
        assert isinstance(observed.seen, Refusal) and observed.seen.reason == RETRY_IMPOSSIBLE
        assert pods_and_results(bench) == remain and written(bench) == set()
        memory = bench.cache.recall(KEY)
        assert (memory.refused_at, memory.refused_generation) == (bench.world.clock.now(), run.generation)

    virtually(test)


# --------------------------------------------------------------------------------------------------------------- Restart


async def workflow_deleted(bench: Bench, *, snapshot: bool) -> RunRecord:
    """A failed run with one more attempt requested; its Workflow and pods are deleted."""
    run, _ = await retry_requested(bench)
    if snapshot:
        await Snapshots(bench.client, Lane()).keep(run, bench.world.workflow() or {})
    bench.world.delete("Workflow")
    bench.world.collect()
    await bench.wait(2)
    bench.forget_calls()
    return run


def test_recreate_creates_the_workflow_from_the_snapshot() -> None:
    async def test(bench: Bench) -> None:
        run = await workflow_deleted(bench, snapshot=True)
        observed = await carry_out(bench, run, RecreateWorkflow())
        assert isinstance(observed.seen, WorkflowRecord) and observed.run == run
        assert (observed.seen.attempt, observed.seen.owner_uid, observed.seen.phase) == (1, run.uid, "Running")
        assert run.status.workflow and observed.seen.uid != run.status.workflow.uid
        assert nodes(bench) == {RUN: "Running", A: "Succeeded"}
        assert written(bench) == {"create workflows"}

    virtually(test)


def test_recreate_without_a_snapshot_starts_from_the_spec() -> None:
    async def test(bench: Bench) -> None:
        run = await workflow_deleted(bench, snapshot=False)
        observed = await carry_out(bench, run, RecreateWorkflow())
        assert isinstance(observed.seen, WorkflowRecord)
        assert (observed.seen.attempt, observed.seen.phase, observed.seen.restored_from) == (1, "", "")
        assert observed.seen.generation == run.generation == 2
        assert written(bench) == {"create workflows"}

    virtually(test)


def test_recreate_uses_the_snapshot_of_an_earlier_attempt() -> None:
    async def test(bench: Bench) -> None:
        run = await workflow_deleted(bench, snapshot=True)
        bench.server.patch_status("PipelineRun", NAMESPACE, RUN, {"retries": 1})
        bench.world.retry()
        await carry_out(bench, run, RecreateWorkflow())
        assert nodes(bench) == {RUN: "Running", A: "Succeeded"} and attempt(bench) == "2"

    virtually(test)


def test_recreate_of_a_workflow_with_volume_claims_starts_from_the_spec() -> None:
    async def test(bench: Bench) -> None:
        run, _ = await retry_requested(bench)
        body = bench.world.workflow() or {}
        claims = {**body, "spec": {**body["spec"], "volumeClaimTemplates": [{"metadata": {"name": "work"}}]}}
        await Snapshots(bench.client, Lane()).keep(run, claims)
        bench.world.delete("Workflow")
        observed = await carry_out(bench, run, RecreateWorkflow())
        assert isinstance(observed.seen, WorkflowRecord) and observed.seen.phase == "" and attempt(bench) == "1"

    virtually(test)


def test_recreate_ignores_the_snapshot_of_an_earlier_run() -> None:
    async def test(bench: Bench) -> None:
        earlier = await workflow_deleted(bench, snapshot=False)
        stranger = replace(earlier, uid="earlier-run")
        await Snapshots(bench.client, Lane()).keep(stranger, {"metadata": {}, "status": {"phase": "Failed"}})
        observed = await carry_out(bench, earlier, RecreateWorkflow())
        assert isinstance(observed.seen, WorkflowRecord) and observed.seen.phase == ""

    virtually(test)


def test_recreate_deletes_leftover_pods_before_the_creation() -> None:
    """The garbage collector runs late, or never, after a deletion with --cascade=orphan."""

    async def test(bench: Bench) -> None:
        run, _ = await retry_requested(bench)
        bench.world.delete("Workflow")
        assert len(pods_and_results(bench)) == 4
        bench.client.handlers["create workflows"] = before_first_call(lambda: remaining.append(pods_and_results(bench)))
        remaining: list[set[tuple[str, str]]] = []
        await carry_out(bench, run, RecreateWorkflow())
        assert remaining == [set()], "no pod is pods_and_results"

    virtually(test)


def test_recreate_keeps_the_pods_of_finished_nodes() -> None:
    async def test(bench: Bench) -> None:
        run, _ = await retry_requested(bench)
        await Snapshots(bench.client, Lane()).keep(run, bench.world.workflow() or {})
        bench.world.delete("Workflow")
        await carry_out(bench, run, RecreateWorkflow())
        assert ("Pod", A) in pods_and_results(bench) and ("Pod", B) not in pods_and_results(bench)

    virtually(test)


def deleted(bench: Bench) -> None:
    bench.world.delete("PipelineRun")


def is_another(bench: Bench) -> None:
    bench.world.delete("PipelineRun")
    bench.world.apply({"workflow": {"manifest": "kind: Workflow"}})


def is_another_with_retries(bench: Bench) -> None:
    bench.world.delete("PipelineRun")
    bench.finished(phase="Failed", spec={"retries": 1})


def archived(bench: Bench) -> None:
    bench.world.archive()


def attempt_began(bench: Bench) -> None:
    bench.server.patch_status("PipelineRun", NAMESPACE, RUN, {"retries": 1, "phase": "Running", "finishedAt": None})


def attempt_failed(bench: Bench) -> None:
    bench.server.patch_status("PipelineRun", NAMESPACE, RUN, {"retries": 1})


@pytest.mark.parametrize(
    "meanwhile", [deleted, is_another, is_another_with_retries, archived, attempt_began, attempt_failed]
)
@pytest.mark.parametrize("snapshot", [True, False])
def test_recreate_skips_a_run_that_needs_no_retry_any_more(meanwhile: Meanwhile, snapshot: bool) -> None:
    async def test(bench: Bench) -> None:
        run = await workflow_deleted(bench, snapshot=snapshot)
        bench.world.rules.operator_acts = False
        meanwhile(bench)
        observed = await carry_out(bench, run, RecreateWorkflow())
        if meanwhile is deleted:
            assert observed == Observation(None, Absent())
        else:
            assert observed == Observation(bench.run(), NotSeen())
            assert bench.cache.run(KEY) == bench.run()
        assert bench.world.workflow() is None and written(bench) == set()

    virtually(test)


def test_recreate_skips_a_run_that_is_being_deleted() -> None:
    async def test(bench: Bench) -> None:
        run = await workflow_deleted(bench, snapshot=True)
        body = bench.world.run() or {}
        going = {**body, "metadata": body["metadata"] | {"deletionTimestamp": "2026-11-24T12:00:00Z"}}

        async def get_run(_: Commit) -> Json:
            return going

        bench.client.handlers["get pipelineruns"] = get_run
        assert (await carry_out(bench, run, RecreateWorkflow())).seen == NotSeen()
        assert written(bench) == set()

    virtually(test)


def test_recreate_reads_a_workflow_that_exists_already() -> None:
    async def test(bench: Bench) -> None:
        run = await workflow_deleted(bench, snapshot=True)

        async def late(commit: Commit) -> Json:
            await carry_out(Bench(bench.world), run, RecreateWorkflow())
            return commit()

        bench.client.handlers["create workflows"] = late
        observed = await carry_out(bench, run, RecreateWorkflow())
        assert observed.seen == workflow_record(bench.world.workflow() or {})
        assert [c.type for c in bench.server.changes if c.kind == "Workflow"].count("ADDED") == 2, (
            "the first, and theirs"
        )

    virtually(test)


def test_recreate_from_a_succeeded_snapshot_is_refused() -> None:
    async def test(bench: Bench) -> None:
        run = await workflow_deleted(bench, snapshot=False)
        good = {"metadata": {"annotations": {"runwright.dev/attempt": "0"}}, "status": {"phase": "Succeeded"}}
        await Snapshots(bench.client, Lane()).keep(run, good)
        observed = await carry_out(bench, run, RecreateWorkflow())
        assert isinstance(observed.seen, Refusal) and observed.seen.reason == RETRY_IMPOSSIBLE
        assert bench.world.workflow() is None and bench.cache.recall(KEY).refused_at is not None

    virtually(test)


def test_recreate_from_an_invalid_spec_is_refused() -> None:
    async def test(bench: Bench) -> None:
        run = await workflow_deleted(bench, snapshot=False)
        bench.server.objects["PipelineRun", NAMESPACE, RUN] = {
            **(bench.world.run() or {}),
            "spec": {"workflow": {"manifest": 7}, "retries": 1},
        }
        observed = await carry_out(bench, run, RecreateWorkflow())
        assert isinstance(observed.seen, Refusal) and observed.seen.reason == "RunInvalid"

    virtually(test)


def test_recreate_returns_a_refusal_that_can_heal() -> None:
    async def test(bench: Bench) -> None:
        run = await workflow_deleted(bench, snapshot=True)
        bench.client.handlers["list workflowtaskresults"] = after_first_call(
            lambda: setattr(bench.server, "argo_installed", False)
        )
        observed = await carry_out(bench, run, RecreateWorkflow())
        assert isinstance(observed.seen, Refusal)
        assert (observed.seen.reason, observed.seen.heals) == (ARGO_NOT_INSTALLED, True)
        bench.server.argo_installed = True
        assert isinstance((await carry_out(bench, run, RecreateWorkflow())).seen, WorkflowRecord)
        assert uid_of(bench.world.workflow())

    virtually(test)
