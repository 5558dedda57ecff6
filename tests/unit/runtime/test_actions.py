"""What each action does and what it tells, also where somebody else was faster. Retries: test_actions_retry.py."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import pytest

from runwright.api.pipelinerun import Shutdown
from runwright.core import snapshot as packing
from runwright.core.decision import Create, Delete, DeleteRun, FindSnapshot, Keep, Label, Look, PutBack, ShutDown
from runwright.core.observe import workflow_record
from runwright.core.records import Absent, Kept, NotSeen, Refusal, RunRecord, WorkflowRecord
from runwright.core.snapshot import unpack
from runwright.ports import ApiError, Json
from runwright.runtime.actions import GONE, Observation
from runwright.runtime.snapshots import Snapshots
from tests.unit.fake.world import NAMESPACE, RUN, manifest
from tests.unit.runtime.bench import KEY, Bench, after, first, uid_of, virtually

ARCHIVED = "runwright.dev/storage-state"


async def ended(bench: Bench, entrypoint: str = "flaky") -> tuple[RunRecord, WorkflowRecord]:
    """A run that has ended, and its Workflow."""
    run = await bench.run_to_end(entrypoint)
    bench.forget_calls()
    return run, workflow_record(bench.world.workflow() or {})


def there(bench: Bench) -> WorkflowRecord:
    return workflow_record(bench.world.workflow() or {})


def snapshot(bench: Bench) -> Json | None:
    return bench.server.objects.get(("WorkflowSnapshot", NAMESPACE, RUN))


def replaced(bench: Bench) -> None:
    """Somebody deletes the Workflow and creates one of that name, which has ended."""
    body = dict(bench.world.workflow() or {})
    bench.world.delete("Workflow")
    bench.server.create("Workflow", body)


# ----------------------------------------------------------------------------------------------------------- Look, Create


def test_look_tells_of_both_as_they_are_now() -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await ended(bench)
        look = bench.actions.carry_out(run, NotSeen(), Look())
        assert await look == Observation(run, workflow)
        assert bench.store.run(KEY) == run and bench.store.workflow(run) == workflow
        bench.world.delete("Workflow")
        assert await bench.actions.look(KEY) == Observation(run, Absent())
        bench.world.delete("PipelineRun")
        bench.forget_calls()
        assert await bench.actions.look(KEY) == GONE
        assert bench.calls() == {"get pipelineruns": 1}

    virtually(test)


@pytest.mark.parametrize("edit", [{"shutdown": "Stop"}, {}])
def test_a_run_that_is_to_be_shut_down_or_is_another_by_now_gets_no_workflow(edit: dict[str, str]) -> None:
    async def test(bench: Bench) -> None:
        bench.world.apply(manifest())
        known = bench.tell()
        if not edit:
            bench.world.delete("PipelineRun")
        bench.world.apply(manifest() | edit)
        assert await bench.actions.carry_out(known, NotSeen(), Create()) == Observation(bench.run(), NotSeen())
        assert bench.calls() == {"get pipelineruns": 1}

    virtually(test)


def test_a_run_that_is_archived_before_it_has_begun_gets_its_workflow_all_the_same() -> None:
    async def test(bench: Bench) -> None:
        bench.world.apply(manifest())
        known = bench.tell()
        bench.world.archive()
        observed = await bench.actions.carry_out(known, NotSeen(), Create())
        assert observed == Observation(bench.run(), there(bench))

    virtually(test)


def test_the_first_attempt_has_the_number_that_the_run_was_created_with() -> None:
    async def test(bench: Bench) -> None:
        bench.world.apply(manifest() | {"retries": 3})
        await bench.actions.carry_out(bench.tell(), NotSeen(), Create())
        assert there(bench).attempt == 3

    virtually(test)


# ------------------------------------------------------------------------------------------------------ Delete, ShutDown


def test_a_workflow_that_we_delete_after_its_run_has_ended_tells_nothing_by_its_end() -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await ended(bench)
        await bench.actions.carry_out(run, workflow, Keep(workflow))
        body = bench.world.workflow() or {}
        assert await bench.actions.carry_out(run, workflow, Delete(workflow, "why")) == Observation(run, Absent())
        assert bench.world.workflow() is None
        bench.intake.workflow("DELETED", body)
        assert bench.store.workflows() == []
        bench.intake.workflow("DELETED", {**body, "metadata": body["metadata"] | {"uid": "somebody-elses"}})
        assert len(bench.store.workflows()) == 1, "the end of any other one tells how its run ended"

    virtually(test)


@pytest.mark.parametrize("faster", ["the event", "the reply"])
def test_the_last_event_of_a_workflow_that_we_delete_may_be_here_before_the_reply(faster: str) -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await ended(bench)
        await bench.actions.carry_out(run, workflow, Keep(workflow))
        body = bench.world.workflow() or {}
        delete = bench.cluster.delete_workflow
        if faster == "the event":
            bench.cluster.delete_workflow = after(delete, lambda: bench.intake.workflow("DELETED", body))
        await bench.actions.carry_out(run, workflow, Delete(workflow, "why"))
        if faster == "the reply":
            bench.intake.workflow("DELETED", body)
        assert bench.store.workflows() == [] and bench.store._deleted_by_us == set()

    virtually(test)


@pytest.mark.parametrize("done", [True, False])
def test_a_deletion_of_which_nothing_is_known_is_not_expected(done: bool) -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await ended(bench)
        await bench.actions.carry_out(run, workflow, Keep(workflow))
        bench.tell_workflow()
        delete = bench.cluster.delete_workflow

        async def unreachable(workflow: WorkflowRecord) -> None:
            if done:
                await delete(workflow)
            raise ApiError(0, "Unreachable", "no reply")

        bench.cluster.delete_workflow = unreachable
        with pytest.raises(ApiError, match="no reply"):
            await bench.actions.carry_out(run, workflow, Delete(workflow, "why"))
        assert bench.store._deleted_by_us == set() and bench.store.workflows() == [workflow]

    virtually(test)


def test_a_workflow_is_deleted_only_as_it_was_seen() -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await ended(bench)
        await bench.actions.carry_out(run, workflow, Keep(workflow))
        bench.server.patch_labels("Workflow", NAMESPACE, RUN, {"team": "a"})
        with pytest.raises(ApiError) as error:
            await bench.actions.carry_out(run, workflow, Delete(workflow, "why"))
        assert error.value.code == 409 and bench.world.workflow() is not None
        bench.world.delete("Workflow")
        assert await bench.actions.carry_out(run, workflow, Delete(workflow, "why")) == Observation(run, Absent())

    virtually(test)


def test_a_workflow_is_shut_down_and_told_as_it_is_then() -> None:
    async def test(bench: Bench) -> None:
        bench.world.apply(manifest("endless"))
        run = bench.tell()
        await bench.reconcile()
        workflow = there(bench)
        observed = await bench.actions.carry_out(run, workflow, ShutDown(workflow, Shutdown.STOP))
        assert observed == Observation(run, there(bench)) and there(bench).shutdown == "Stop"
        bench.world.delete("Workflow")
        observed = await bench.actions.carry_out(run, workflow, ShutDown(workflow, Shutdown.TERMINATE))
        assert observed == Observation(run, NotSeen()) and bench.store.workflows() == []

    virtually(test)


# --------------------------------------------------------------------------------------------------- Keep, FindSnapshot


def test_a_workflow_is_kept_before_it_goes() -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await ended(bench)
        assert await bench.actions.carry_out(run, workflow, Keep(workflow)) == Observation(run, Kept(workflow))
        packed = unpack(snapshot(bench) or {}) or {}
        assert packed["status"]["nodes"] == (bench.world.workflow() or {})["status"]["nodes"]
        assert await bench.actions.carry_out(run, workflow, Keep(workflow)) == Observation(run, Kept(workflow)), "again"

    virtually(test)


def test_the_nodes_of_a_large_workflow_are_kept_too() -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await ended(bench, "compressed-flaky")
        await bench.actions.carry_out(run, workflow, Keep(workflow))
        assert set((unpack(snapshot(bench) or {}) or {})["status"]["nodes"]) == {RUN, f"{RUN}.a", f"{RUN}.b"}

    virtually(test)


def test_what_is_written_since_it_was_seen_is_kept_as_it_is_now() -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await ended(bench)
        bench.server.patch_labels("Workflow", NAMESPACE, RUN, {"team": "a"})
        observed = await bench.actions.carry_out(run, workflow, Keep(workflow))
        assert observed == Observation(run, Kept(there(bench))), "of the version that may be deleted"
        assert (unpack(snapshot(bench) or {}) or {})["metadata"]["labels"]["team"] == "a"

    virtually(test)


@pytest.mark.parametrize("meanwhile", [replaced, lambda bench: bench.world.argo_retry()])
def test_a_workflow_that_is_another_by_now_or_runs_again_is_not_kept(meanwhile: Callable[[Bench], object]) -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await ended(bench)
        meanwhile(bench)
        assert await bench.actions.carry_out(run, workflow, Keep(workflow)) == Observation(run, there(bench))
        assert snapshot(bench) is None and bench.store.workflow(run) == there(bench)

    virtually(test)


def test_a_workflow_that_has_gone_cannot_be_kept() -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await ended(bench)
        bench.tell_workflow()
        bench.world.delete("Workflow")
        assert await bench.actions.carry_out(run, workflow, Keep(workflow)) == Observation(run, Absent())
        assert snapshot(bench) is None and bench.store.workflows() == []

    virtually(test)


def test_a_workflow_that_is_too_large_says_so_and_stays(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(packing, "MAX_SNAPSHOT", 100)

    async def test(bench: Bench) -> None:
        run, workflow = await ended(bench)
        observed = await bench.actions.carry_out(run, workflow, Keep(workflow))
        assert isinstance(observed.seen, Kept) and "too large" in observed.seen.problem
        assert observed.seen.workflow == workflow and bench.world.workflow() is not None

    with caplog.at_level(logging.WARNING):
        virtually(test)
    assert f"Workflow {KEY} is too large for a snapshot, and stays" in caplog.text


def test_a_snapshot_of_the_last_attempt_is_found_and_no_other_one() -> None:
    async def test(bench: Bench) -> None:
        run, _ = await ended(bench)
        assert (await bench.actions.carry_out(run, Absent(), FindSnapshot())).seen == Absent(snapshot=False)
        await Snapshots(bench.cluster).keep(run, bench.world.workflow() or {})
        assert (await bench.actions.carry_out(run, Absent(), FindSnapshot())).seen == Absent(snapshot=True)
        later = replace(run, status=run.status.model_copy(update={"retries": 1}))
        assert (await bench.actions.carry_out(later, Absent(), FindSnapshot())).seen == Absent(snapshot=False)

    virtually(test)


# -------------------------------------------------------------------------------------------------------------- PutBack


async def archived(bench: Bench) -> tuple[RunRecord, WorkflowRecord]:
    """A run whose Workflow was kept, and has gone."""
    run, workflow = await ended(bench)
    await Snapshots(bench.cluster).keep(run, bench.world.workflow() or {})
    bench.world.delete("Workflow")
    bench.forget_calls()
    return run, workflow


def test_a_workflow_is_put_back_finished_as_it_was() -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await archived(bench)
        assert await bench.actions.carry_out(run, Absent(), PutBack()) == Observation(run, there(bench))
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
        observed = await bench.actions.carry_out(run, Absent(), PutBack())
        assert observed == Observation(run, Absent(snapshot=False))
        assert bench.world.workflow() is None

    virtually(test)


def test_a_workflow_that_somebody_else_has_put_back_meanwhile_is_looked_at() -> None:
    async def test(bench: Bench) -> None:
        run, _ = await archived(bench)
        put_back = await Snapshots(bench.cluster).finished_workflow(run) or {}
        bench.cluster.create_workflow = first(
            bench.cluster.create_workflow, lambda: bench.server.create("Workflow", put_back)
        )
        assert await bench.actions.carry_out(run, Absent(), PutBack()) == Observation(run, there(bench))
        assert uid_of(bench.world.workflow()) == there(bench).uid

    virtually(test)


def test_why_a_workflow_may_not_be_put_back_is_told() -> None:
    async def test(bench: Bench) -> None:
        run, _ = await archived(bench)
        bench.server.terminating.add(NAMESPACE)
        seen = (await bench.actions.carry_out(run, Absent(), PutBack())).seen
        assert isinstance(seen, Refusal) and seen.heals
        assert "the namespace is being deleted" in seen.message

    virtually(test)


# ------------------------------------------------------------------------------------------------------ Label, DeleteRun


def test_labels_are_set_and_taken_away_and_the_run_is_known_as_it_is_then() -> None:
    async def test(bench: Bench) -> None:
        bench.finished(labels={"team": "a", "runwright.dev/delete-on": "2026-12-01"})
        action = Label(((ARCHIVED, "Archived"), ("runwright.dev/delete-on", None)))
        run, seen = bench.tell(), Absent()
        observed = await bench.actions.carry_out(run, seen, action)
        assert observed == Observation(bench.run(), seen) and observed.run and observed.run.archived
        assert (bench.world.run() or {})["metadata"]["labels"] == {"team": "a", ARCHIVED: "Archived"}
        assert bench.store.run(KEY) == observed.run

    virtually(test)


def test_a_run_that_was_written_meanwhile_is_not_labelled() -> None:
    async def test(bench: Bench) -> None:
        run = bench.finished()
        bench.world.label(team="a")
        with pytest.raises(ApiError) as error:
            await bench.actions.carry_out(run, Absent(), Label(((ARCHIVED, "Archived"),)))
        assert error.value.code == 409 and not bench.run().archived
        bench.world.delete("PipelineRun")
        assert await bench.actions.carry_out(run, Absent(), Label(((ARCHIVED, "Archived"),))) == GONE

    virtually(test)


def test_a_run_is_deleted_with_what_it_owns() -> None:
    async def test(bench: Bench) -> None:
        run, workflow = await ended(bench)
        await bench.actions.carry_out(run, workflow, Keep(workflow))
        assert await bench.actions.carry_out(run, Absent(), DeleteRun()) == GONE
        assert bench.world.run() is None
        bench.world.collect()
        bench.world.collect()
        await bench.wait(5)
        assert bench.server.objects == {}
        assert await bench.actions.carry_out(run, Absent(), DeleteRun()) == GONE, "again"

    virtually(test)


def another(bench: Bench) -> None:
    bench.world.delete("PipelineRun")
    bench.finished()


@pytest.mark.parametrize("meanwhile", [another, lambda bench: bench.world.label(keep="me")])
def test_a_run_that_is_another_or_was_written_meanwhile_is_not_deleted(meanwhile: Callable[[Bench], object]) -> None:
    async def test(bench: Bench) -> None:
        run = bench.finished()
        meanwhile(bench)
        with pytest.raises(ApiError) as error:
            await bench.actions.carry_out(run, Absent(), DeleteRun())
        assert error.value.code == 409 and bench.world.run() is not None

    virtually(test)
