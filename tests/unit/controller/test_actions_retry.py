"""How a further attempt begins: in one write, from what there is, and only where it is still asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from runwright.controller.actions import Observation
from runwright.controller.snapshots import Snapshots
from runwright.core.decision import RecreateWorkflow, RetryWorkflow
from runwright.core.records import Absent, NotSeen, Refusal, RunRecord, WorkflowRecord
from runwright.core.retry.reset import RETRY_IMPOSSIBLE
from runwright.core.status.conditions import ARGO_NOT_INSTALLED
from runwright.core.workflow.record import workflow_record
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json
from tests.unit.controller.bench import KEY, Bench, after, first, uid_of, virtually
from tests.unit.fake.argo import pods_of
from tests.unit.fake.client import Commit
from tests.unit.fake.world import NAMESPACE, RUN

A, B = f"{RUN}.a", f"{RUN}.b"
"""Of the run that `flaky` makes: a has succeeded, and b has failed."""


async def asked(bench: Bench, entrypoint: str = "flaky") -> tuple[RunRecord, WorkflowRecord]:
    """A failed run for which one more attempt is asked, and its Workflow."""
    await bench.run_to_end(entrypoint)
    bench.world.retry()
    bench.forget_calls()
    return bench.tell(), workflow_record(bench.world.workflow() or {})


async def do(bench: Bench, run: RunRecord, action: RetryWorkflow | RecreateWorkflow) -> Observation:
    """Carry it out, as the queue does it: again while pods are still being deleted."""
    for _ in range(3):
        try:
            return await bench.actions.carry_out(run, NotSeen(), action)
        except ApiError as error:
            if "still being deleted" not in error.message:
                raise
            await bench.wait(2)
    raise AssertionError("the pods do not go")


def nodes(bench: Bench) -> dict[str, str]:
    found: dict[str, Json] = (bench.world.workflow() or {})["status"].get("nodes", {})
    return {name: node["phase"] for name, node in found.items()}


def left(bench: Bench) -> set[tuple[str, str]]:
    return set(pods_of(bench.server, RUN))


def attempt(bench: Bench) -> str:
    return (bench.world.workflow() or {})["metadata"]["annotations"]["runwright.dev/attempt"]


def written(bench: Bench) -> set[str]:
    """The kinds of writes that were made."""
    return {call for call in bench.calls() if not call.startswith(("get ", "list "))}


# ----------------------------------------------------------------------------------------------------------------- Retry


def test_a_workflow_is_set_back_and_numbered_in_one_write() -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await asked(bench)
        assert left(bench) == {(kind, node) for kind in ("Pod", "WorkflowTaskResult") for node in (A, B)}
        observed = await do(bench, run, RetryWorkflow(workflow))
        assert isinstance(observed.seen, WorkflowRecord) and observed.run == run
        assert (observed.seen.uid, observed.seen.attempt) == (workflow.uid, 1)
        assert bench.cache.workflow(run) == observed.seen
        assert nodes(bench) == {RUN: "Running", A: "Succeeded"}
        assert left(bench) == {("Pod", A), ("WorkflowTaskResult", A)}
        assert bench.calls()["update workflows"] == 1

    virtually(test)


def test_it_waits_until_the_pods_of_what_runs_again_are_gone() -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await asked(bench)
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
def test_one_that_is_another_by_now_is_left_as_it_is_and_looked_at(meanwhile: Meanwhile) -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await asked(bench)
        meanwhile(bench)
        there, remain = bench.world.workflow(), left(bench)
        observed = await do(bench, run, RetryWorkflow(workflow))
        assert observed.seen == workflow_record(there or {}) == bench.cache.workflow(run)
        assert bench.world.workflow() == there and left(bench) == remain
        assert bench.calls() == {"get workflows": 1}

    virtually(test)


def test_one_that_has_gone_is_looked_for_no_more() -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await asked(bench)
        bench.tell_workflow()
        bench.world.delete("Workflow")
        assert await do(bench, run, RetryWorkflow(workflow)) == Observation(run, Absent())
        assert bench.cache.workflows() == []
        assert bench.calls() == {"get workflows": 1}

    virtually(test)


def test_one_that_goes_just_before_it_is_written_is_not_created_here() -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await asked(bench)
        bench.client.handlers["update workflows"] = first(lambda: bench.world.delete("Workflow"))
        assert await do(bench, run, RetryWorkflow(workflow)) == Observation(run, Absent())
        assert bench.world.workflow() is None

    virtually(test)


@pytest.mark.parametrize("meanwhile", [runs_again, begun_by_another, replaced])
def test_one_that_somebody_writes_just_before_is_a_conflict(meanwhile: Meanwhile) -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await asked(bench)
        bench.client.handlers["update workflows"] = first(lambda: meanwhile(bench))
        with pytest.raises(ApiError) as error:
            await do(bench, run, RetryWorkflow(workflow))
        assert error.value.code == 409
        there = bench.world.workflow()
        assert (await do(bench, run, RetryWorkflow(workflow))).seen == workflow_record(there or {})
        assert bench.world.workflow() == there

    virtually(test)


def test_one_that_cannot_be_set_back_is_refused_before_anything_is_deleted() -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await asked(bench)
        status = (bench.world.workflow() or {})["status"] | {"offloadNodeStatusVersion": "fnv:1"}
        bench.server.replace("Workflow", NAMESPACE, RUN, status=status)
        remain = left(bench)
        observed = await do(bench, run, RetryWorkflow(workflow))
        assert isinstance(observed.seen, Refusal) and observed.seen.reason == RETRY_IMPOSSIBLE
        assert left(bench) == remain and written(bench) == set()
        memory = bench.cache.recall(KEY)
        assert (memory.refused_at, memory.refused_generation) == (bench.world.clock.now(), run.generation)

    virtually(test)


# --------------------------------------------------------------------------------------------------------------- Restart


async def gone(bench: Bench, *, snapshot: bool) -> RunRecord:
    """A failed run for which one more attempt is asked, and whose Workflow has gone, with its pods."""
    run, _ = await asked(bench)
    if snapshot:
        await Snapshots(bench.client).keep(run, bench.world.workflow() or {})
    bench.world.delete("Workflow")
    bench.world.collect()
    await bench.wait(2)
    bench.forget_calls()
    return run


def test_a_workflow_that_has_gone_is_created_as_its_snapshot_set_back() -> None:
    async def test(bench: Bench) -> None:
        run = await gone(bench, snapshot=True)
        observed = await do(bench, run, RecreateWorkflow())
        assert isinstance(observed.seen, WorkflowRecord) and observed.run == run
        assert (observed.seen.attempt, observed.seen.owner_uid, observed.seen.phase) == (1, run.uid, "Running")
        assert run.status.workflow and observed.seen.uid != run.status.workflow.uid
        assert nodes(bench) == {RUN: "Running", A: "Succeeded"}
        assert written(bench) == {"create workflows"}

    virtually(test)


def test_without_a_snapshot_it_begins_from_the_spec() -> None:
    async def test(bench: Bench) -> None:
        run = await gone(bench, snapshot=False)
        observed = await do(bench, run, RecreateWorkflow())
        assert isinstance(observed.seen, WorkflowRecord)
        assert (observed.seen.attempt, observed.seen.phase, observed.seen.restored_from) == (1, "", "")
        assert observed.seen.generation == run.generation == 2
        assert written(bench) == {"create workflows"}

    virtually(test)


def test_the_snapshot_of_an_attempt_before_the_last_one_is_better_than_none() -> None:
    async def test(bench: Bench) -> None:
        run = await gone(bench, snapshot=True)
        bench.server.patch_status("PipelineRun", NAMESPACE, RUN, {"retries": 1})
        bench.world.retry()
        await do(bench, run, RecreateWorkflow())
        assert nodes(bench) == {RUN: "Running", A: "Succeeded"} and attempt(bench) == "2"

    virtually(test)


def test_a_workflow_whose_volumes_went_with_it_begins_from_the_spec() -> None:
    async def test(bench: Bench) -> None:
        run, _ = await asked(bench)
        body = bench.world.workflow() or {}
        claims = {**body, "spec": {**body["spec"], "volumeClaimTemplates": [{"metadata": {"name": "work"}}]}}
        await Snapshots(bench.client).keep(run, claims)
        bench.world.delete("Workflow")
        observed = await do(bench, run, RecreateWorkflow())
        assert isinstance(observed.seen, WorkflowRecord) and observed.seen.phase == "" and attempt(bench) == "1"

    virtually(test)


def test_the_snapshot_of_an_earlier_run_is_none() -> None:
    async def test(bench: Bench) -> None:
        earlier = await gone(bench, snapshot=False)
        stranger = replace(earlier, uid="earlier-run")
        await Snapshots(bench.client).keep(stranger, {"metadata": {}, "status": {"phase": "Failed"}})
        observed = await do(bench, earlier, RecreateWorkflow())
        assert isinstance(observed.seen, WorkflowRecord) and observed.seen.phase == ""

    virtually(test)


def test_what_the_workflow_that_has_gone_left_behind_is_gone_before() -> None:
    """The garbage collector may come late, or not at all: somebody deleted the Workflow with --cascade=orphan."""

    async def test(bench: Bench) -> None:
        run, _ = await asked(bench)
        bench.world.delete("Workflow")
        assert len(left(bench)) == 4
        bench.client.handlers["create workflows"] = first(lambda: remaining.append(left(bench)))
        remaining: list[set[tuple[str, str]]] = []
        await do(bench, run, RecreateWorkflow())
        assert remaining == [set()], "it begins from the beginning"

    virtually(test)


def test_what_the_nodes_left_behind_that_stay_is_theirs() -> None:
    async def test(bench: Bench) -> None:
        run, _ = await asked(bench)
        await Snapshots(bench.client).keep(run, bench.world.workflow() or {})
        bench.world.delete("Workflow")
        await do(bench, run, RecreateWorkflow())
        assert ("Pod", A) in left(bench) and ("Pod", B) not in left(bench)

    virtually(test)


def deleted(bench: Bench) -> None:
    bench.world.delete("PipelineRun")


def is_another(bench: Bench) -> None:
    bench.world.delete("PipelineRun")
    bench.world.apply({"workflow": {"manifest": "kind: Workflow"}})


def is_another_that_asks_too(bench: Bench) -> None:
    bench.world.delete("PipelineRun")
    bench.finished(phase="Failed", spec={"retries": 1})


def archived(bench: Bench) -> None:
    bench.world.archive()


def attempt_began(bench: Bench) -> None:
    bench.server.patch_status("PipelineRun", NAMESPACE, RUN, {"retries": 1, "phase": "Running", "finishedAt": None})


def attempt_failed(bench: Bench) -> None:
    bench.server.patch_status("PipelineRun", NAMESPACE, RUN, {"retries": 1})


@pytest.mark.parametrize(
    "meanwhile", [deleted, is_another, is_another_that_asks_too, archived, attempt_began, attempt_failed]
)
@pytest.mark.parametrize("snapshot", [True, False])
def test_a_run_that_does_not_ask_for_it_any_more_gets_no_workflow(meanwhile: Meanwhile, snapshot: bool) -> None:
    async def test(bench: Bench) -> None:
        run = await gone(bench, snapshot=snapshot)
        bench.world.rules.operator_acts = False
        meanwhile(bench)
        observed = await do(bench, run, RecreateWorkflow())
        if meanwhile is deleted:
            assert observed == Observation(None, Absent())
        else:
            assert observed == Observation(bench.run(), NotSeen())
            assert bench.cache.run(KEY) == bench.run()
        assert bench.world.workflow() is None and written(bench) == set()

    virtually(test)


def test_a_run_that_is_being_deleted_gets_no_workflow() -> None:
    async def test(bench: Bench) -> None:
        run = await gone(bench, snapshot=True)
        body = bench.world.run() or {}
        going = {**body, "metadata": body["metadata"] | {"deletionTimestamp": "2026-11-24T12:00:00Z"}}

        async def get_run(_: Commit) -> Json:
            return going

        bench.client.handlers["get pipelineruns"] = get_run
        assert (await do(bench, run, RecreateWorkflow())).seen == NotSeen()
        assert written(bench) == set()

    virtually(test)


def test_one_that_somebody_else_has_created_meanwhile_is_looked_at() -> None:
    async def test(bench: Bench) -> None:
        run = await gone(bench, snapshot=True)

        async def late(commit: Commit) -> Json:
            await do(Bench(bench.world), run, RecreateWorkflow())
            return commit()

        bench.client.handlers["create workflows"] = late
        observed = await do(bench, run, RecreateWorkflow())
        assert observed.seen == workflow_record(bench.world.workflow() or {})
        assert [c.type for c in bench.server.changes if c.kind == "Workflow"].count("ADDED") == 2, (
            "the first, and theirs"
        )

    virtually(test)


def test_a_snapshot_that_cannot_be_reset_is_a_refusal() -> None:
    async def test(bench: Bench) -> None:
        run = await gone(bench, snapshot=False)
        good = {"metadata": {"annotations": {"runwright.dev/attempt": "0"}}, "status": {"phase": "Succeeded"}}
        await Snapshots(bench.client).keep(run, good)
        observed = await do(bench, run, RecreateWorkflow())
        assert isinstance(observed.seen, Refusal) and observed.seen.reason == RETRY_IMPOSSIBLE
        assert bench.world.workflow() is None and bench.cache.recall(KEY).refused_at is not None

    virtually(test)


def test_a_spec_that_has_become_invalid_is_a_refusal() -> None:
    async def test(bench: Bench) -> None:
        run = await gone(bench, snapshot=False)
        bench.server.objects["PipelineRun", NAMESPACE, RUN] = {
            **(bench.world.run() or {}),
            "spec": {"workflow": {"manifest": 7}, "retries": 1},
        }
        observed = await do(bench, run, RecreateWorkflow())
        assert isinstance(observed.seen, Refusal) and observed.seen.reason == "RunInvalid"

    virtually(test)


def test_a_creation_that_is_refused_may_heal() -> None:
    async def test(bench: Bench) -> None:
        run = await gone(bench, snapshot=True)
        bench.client.handlers["list workflowtaskresults"] = after(
            lambda: setattr(bench.server, "argo_installed", False)
        )
        observed = await do(bench, run, RecreateWorkflow())
        assert isinstance(observed.seen, Refusal)
        assert (observed.seen.reason, observed.seen.heals) == (ARGO_NOT_INSTALLED, True)
        bench.server.argo_installed = True
        assert isinstance((await do(bench, run, RecreateWorkflow())).seen, WorkflowRecord)
        assert uid_of(bench.world.workflow())

    virtually(test)
