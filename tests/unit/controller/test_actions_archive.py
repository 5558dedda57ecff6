"""How a Workflow is kept before it goes, and put back, also where somebody else was faster."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import pytest

from runwright.controller.actions import Observation
from runwright.controller.snapshots import Snapshots
from runwright.core.archive import snapshot as packing
from runwright.core.archive.snapshot import unpack_snapshot
from runwright.core.decision import FindSnapshot, RestoreWorkflow, SaveSnapshot
from runwright.core.records import Absent, Kept, Refusal, RunRecord, WorkflowRecord
from runwright.kube.objects import Json
from tests.unit.controller.bench import KEY, Bench, ended, first, there, uid_of, virtually
from tests.unit.fake.world import NAMESPACE, RUN


def snapshot(bench: Bench) -> Json | None:
    return bench.server.objects.get(("WorkflowSnapshot", NAMESPACE, RUN))


def replaced(bench: Bench) -> None:
    """Somebody deletes the Workflow and creates one of that name, which has ended."""
    body = dict(bench.world.workflow() or {})
    bench.world.delete("Workflow")
    bench.server.create("Workflow", body)


def test_a_workflow_is_kept_before_it_goes() -> None:
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


def test_the_nodes_of_a_large_workflow_are_kept_too() -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await ended(bench, "compressed-flaky")
        await bench.actions.carry_out(run, workflow, SaveSnapshot(workflow))
        assert set((unpack_snapshot(snapshot(bench) or {}) or {})["status"]["nodes"]) == {RUN, f"{RUN}.a", f"{RUN}.b"}

    virtually(test)


def test_what_is_written_since_it_was_seen_is_kept_as_it_is_now() -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await ended(bench)
        bench.server.patch_labels("Workflow", NAMESPACE, RUN, {"team": "a"})
        observed = await bench.actions.carry_out(run, workflow, SaveSnapshot(workflow))
        assert observed == Observation(run, Kept(there(bench))), "of the version that may be deleted"
        assert (unpack_snapshot(snapshot(bench) or {}) or {})["metadata"]["labels"]["team"] == "a"

    virtually(test)


@pytest.mark.parametrize("meanwhile", [replaced, lambda bench: bench.world.argo_retry()])
def test_a_workflow_that_is_another_by_now_or_runs_again_is_not_kept(meanwhile: Callable[[Bench], object]) -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await ended(bench)
        meanwhile(bench)
        assert await bench.actions.carry_out(run, workflow, SaveSnapshot(workflow)) == Observation(run, there(bench))
        assert snapshot(bench) is None and bench.cache.workflow(run) == there(bench)

    virtually(test)


def test_a_workflow_that_has_gone_cannot_be_kept() -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await ended(bench)
        bench.tell_workflow()
        bench.world.delete("Workflow")
        assert await bench.actions.carry_out(run, workflow, SaveSnapshot(workflow)) == Observation(run, Absent())
        assert snapshot(bench) is None and bench.cache.workflows() == []

    virtually(test)


def test_a_workflow_that_is_too_large_says_so_and_stays(
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


def test_a_snapshot_of_the_last_attempt_is_found_and_no_other_one() -> None:
    async def test(bench: Bench) -> None:
        run, _ = await ended(bench)
        assert (await bench.actions.carry_out(run, Absent(), FindSnapshot())).seen == Absent(snapshot=False)
        await Snapshots(bench.client).keep(run, bench.world.workflow() or {})
        assert (await bench.actions.carry_out(run, Absent(), FindSnapshot())).seen == Absent(snapshot=True)
        later = replace(run, status=run.status.model_copy(update={"retries": 1}))
        assert (await bench.actions.carry_out(later, Absent(), FindSnapshot())).seen == Absent(snapshot=False)

    virtually(test)


# -------------------------------------------------------------------------------------------------------------- PutBack


async def archived(bench: Bench) -> tuple[RunRecord, WorkflowRecord]:
    """A run whose Workflow was kept, and has gone."""
    run, workflow = await ended(bench)
    await Snapshots(bench.client).keep(run, bench.world.workflow() or {})
    bench.world.delete("Workflow")
    bench.forget_calls()
    return run, workflow


def test_a_workflow_is_put_back_finished_as_it_was() -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await archived(bench)
        assert await bench.actions.carry_out(run, Absent(), RestoreWorkflow()) == Observation(run, there(bench))
        assert there(bench).restored_from == workflow.uid
        back, was = there(bench), workflow
        assert (back.phase, back.nodes, back.finished_at, back.attempt, back.owner_uid) == (
            was.phase,
            was.nodes,
            was.finished_at,
            was.attempt,
            run.uid,
        )
        await bench.wait(60)
        assert there(bench) == back, "Argo leaves it alone"

    virtually(test)


def test_without_a_snapshot_there_is_nothing_to_put_back() -> None:
    async def test(bench: Bench) -> None:
        run, _ = await ended(bench)
        bench.world.delete("Workflow")
        observed = await bench.actions.carry_out(run, Absent(), RestoreWorkflow())
        assert observed == Observation(run, Absent(snapshot=False))
        assert bench.world.workflow() is None

    virtually(test)


def test_a_workflow_that_somebody_else_has_put_back_meanwhile_is_looked_at() -> None:
    async def test(bench: Bench) -> None:
        run, _ = await archived(bench)
        put_back = await Snapshots(bench.client).finished_workflow(run) or {}
        bench.client.handlers["create workflows"] = first(lambda: bench.server.create("Workflow", put_back))
        assert await bench.actions.carry_out(run, Absent(), RestoreWorkflow()) == Observation(run, there(bench))
        assert uid_of(bench.world.workflow()) == there(bench).uid

    virtually(test)


def test_why_a_workflow_may_not_be_restored_is_in_the_refusal() -> None:
    async def test(bench: Bench) -> None:
        run, _ = await archived(bench)
        bench.server.terminating.add(NAMESPACE)
        seen = (await bench.actions.carry_out(run, Absent(), RestoreWorkflow())).seen
        assert isinstance(seen, Refusal) and seen.heals
        assert "the namespace is being deleted" in seen.message

    virtually(test)
