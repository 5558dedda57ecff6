"""Saving and restoring Workflow snapshots, also under concurrent writes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import pytest

from runwright.controller.actions import Observation
from runwright.controller.lane import Lane
from runwright.controller.snapshots import Snapshots
from runwright.core.archive import snapshot as packing
from runwright.core.archive.snapshot import unpack_snapshot
from runwright.core.decision import FindSnapshot, RestoreWorkflow, SaveSnapshot
from runwright.core.records import Absent, Kept, Refusal, RunRecord, WorkflowRecord
from runwright.kube.objects import INCOMPLETE, Incompleteness, Json
from tests.unit.controller.bench import KEY, Bench, before_first_call, ended, stored_workflow, uid_of, virtually
from tests.unit.fake.client import Commit
from tests.unit.fake.world import NAMESPACE, RUN


def snapshot(bench: Bench) -> Json | None:
    return bench.server.objects.get(("WorkflowSnapshot", NAMESPACE, RUN))


def replaced(bench: Bench) -> None:
    """Replace the Workflow with an ended one of the same name."""
    body = dict(bench.world.workflow() or {})
    bench.world.delete("Workflow")
    bench.server.create("Workflow", body)


def test_save_snapshot_stores_the_nodes_and_measures_the_size() -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await ended(bench)
        assert await bench.actions.carry_out(run, workflow, SaveSnapshot(workflow)) == Observation(run, Kept(workflow))
        packed = unpack_snapshot(snapshot(bench) or {}) or {}
        assert packed["status"]["nodes"] == (bench.world.workflow() or {})["status"]["nodes"]
        size = bench.actions._measures.registry.get_sample_value("runwright_snapshot_size_bytes_sum")
        assert size == len((snapshot(bench) or {})["data"])
        assert await bench.actions.carry_out(run, workflow, SaveSnapshot(workflow)) == Observation(
            run, Kept(workflow)
        ), "again"

    virtually(test)


def test_save_snapshot_stores_compressed_nodes() -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await ended(bench, "compressed-flaky")
        await bench.actions.carry_out(run, workflow, SaveSnapshot(workflow))
        assert set((unpack_snapshot(snapshot(bench) or {}) or {})["status"]["nodes"]) == {RUN, f"{RUN}.a", f"{RUN}.b"}

    virtually(test)


def test_save_snapshot_stores_the_latest_version() -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await ended(bench)
        bench.server.patch_labels("Workflow", NAMESPACE, RUN, {"team": "a"})
        observed = await bench.actions.carry_out(run, workflow, SaveSnapshot(workflow))
        assert observed == Observation(run, Kept(stored_workflow(bench))), "the version for the delete's precondition"
        assert (unpack_snapshot(snapshot(bench) or {}) or {})["metadata"]["labels"]["team"] == "a"

    virtually(test)


@pytest.mark.parametrize("meanwhile", [replaced, lambda bench: bench.world.argo_retry()])
def test_save_snapshot_skips_a_replaced_or_restarted_workflow(meanwhile: Callable[[Bench], object]) -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await ended(bench)
        meanwhile(bench)
        assert await bench.actions.carry_out(run, workflow, SaveSnapshot(workflow)) == Observation(
            run, stored_workflow(bench)
        )
        assert snapshot(bench) is None and bench.cache.workflow(run) == stored_workflow(bench)

    virtually(test)


def test_save_snapshot_of_a_deleted_workflow_reports_it_absent() -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await ended(bench)
        bench.deliver_workflow()
        bench.world.delete("Workflow")
        assert await bench.actions.carry_out(run, workflow, SaveSnapshot(workflow)) == Observation(run, Absent())
        assert snapshot(bench) is None and bench.cache.workflows() == []

    virtually(test)


def test_save_snapshot_of_a_too_large_workflow_reports_why(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(packing, "MAX_SNAPSHOT", 100)

    async def test(bench: Bench) -> None:
        run, workflow = await ended(bench)
        observed = await bench.actions.carry_out(run, workflow, SaveSnapshot(workflow))
        assert isinstance(observed.seen, Kept) and "too large" in observed.seen.problem
        assert observed.seen.workflow == workflow and bench.world.workflow() is not None

    with caplog.at_level(logging.WARNING):
        virtually(test)
    assert f"Workflow {KEY} is too large for a snapshot, and stays" in caplog.text


def test_save_snapshot_of_a_workflow_that_was_cut_reports_why() -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await ended(bench)
        body = bench.world.workflow() or {}

        async def get_workflow(_: Commit) -> Json:
            return {**body, INCOMPLETE: Incompleteness("TooDeep", "spec.x is nested deeper than 100 levels")}

        bench.client.handlers["get workflows"] = get_workflow
        observed = await bench.actions.carry_out(run, workflow, SaveSnapshot(workflow))
        assert isinstance(observed.seen, Kept) and "spec.x is nested deeper" in observed.seen.problem
        assert snapshot(bench) is None

    virtually(test)


def test_find_snapshot_finds_the_last_attempt_only() -> None:
    async def test(bench: Bench) -> None:
        run, _ = await ended(bench)
        assert (await bench.actions.carry_out(run, Absent(), FindSnapshot())).seen == Absent(snapshot=False)
        await Snapshots(bench.client, Lane()).keep(run, bench.world.workflow() or {})
        assert (await bench.actions.carry_out(run, Absent(), FindSnapshot())).seen == Absent(snapshot=True)
        later = replace(run, status=run.status.model_copy(update={"retries": 1}))
        assert (await bench.actions.carry_out(later, Absent(), FindSnapshot())).seen == Absent(snapshot=False)

    virtually(test)


# -------------------------------------------------------------------------------------------------------------- PutBack


async def archived(bench: Bench) -> tuple[RunRecord, WorkflowRecord]:
    """A run with a snapshot and without its Workflow."""
    run, workflow = await ended(bench)
    await Snapshots(bench.client, Lane()).keep(run, bench.world.workflow() or {})
    bench.world.delete("Workflow")
    bench.forget_calls()
    return run, workflow


def test_restore_creates_the_finished_workflow() -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await archived(bench)
        assert await bench.actions.carry_out(run, Absent(), RestoreWorkflow()) == Observation(
            run, stored_workflow(bench)
        )
        assert stored_workflow(bench).restored_from == workflow.uid
        back, was = stored_workflow(bench), workflow
        assert (back.phase, back.nodes, back.finished_at, back.attempt, back.owner_uid) == (
            was.phase,
            was.nodes,
            was.finished_at,
            was.attempt,
            run.uid,
        )
        await bench.wait(60)
        assert stored_workflow(bench) == back, "Argo does not change it"

    virtually(test)


def test_restore_without_a_snapshot_reports_it_absent() -> None:
    async def test(bench: Bench) -> None:
        run, _ = await ended(bench)
        bench.world.delete("Workflow")
        observed = await bench.actions.carry_out(run, Absent(), RestoreWorkflow())
        assert observed == Observation(run, Absent(snapshot=False))
        assert bench.world.workflow() is None

    virtually(test)


def test_restore_reads_a_workflow_that_exists_already() -> None:
    async def test(bench: Bench) -> None:
        run, _ = await archived(bench)
        put_back = await Snapshots(bench.client, Lane()).finished_workflow(run) or {}
        bench.client.handlers["create workflows"] = before_first_call(lambda: bench.server.create("Workflow", put_back))
        assert await bench.actions.carry_out(run, Absent(), RestoreWorkflow()) == Observation(
            run, stored_workflow(bench)
        )
        assert uid_of(bench.world.workflow()) == stored_workflow(bench).uid

    virtually(test)


def test_restore_returns_the_refusal_of_the_api_server() -> None:
    async def test(bench: Bench) -> None:
        run, _ = await archived(bench)
        bench.server.terminating.add(NAMESPACE)
        seen = (await bench.actions.carry_out(run, Absent(), RestoreWorkflow())).seen
        assert isinstance(seen, Refusal) and seen.heals
        assert "the namespace is being deleted" in seen.message

    virtually(test)
