"""Reconciling finished runs: archiving, restoring, cached state and API calls."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from runwright.api.retentionpolicy import RetentionPolicySpec
from runwright.controller.finished import LONGEST_WAIT
from runwright.controller.reconciler import RUN_LAG
from runwright.core.archive import snapshot as packing
from runwright.core.archive.storage import POLL
from runwright.kube.errors import ApiError
from tests.unit.controller.bench import KEY, Bench, after_first_call, failing, remembered, settled, status, virtually
from tests.unit.fake.client import Commit
from tests.unit.fake.rules import condition_of
from tests.unit.fake.world import RUN, manifest

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LOOK = {"get pipelineruns": 1, "get workflows": 1}


def archived(bench: Bench) -> tuple[str, str]:
    """The status of the condition Archived, and its reason."""
    condition = condition_of(status(bench), "Archived")
    return condition.get("status", ""), condition.get("reason", "")


async def archive(bench: Bench) -> float | None:
    """Label the run, deliver its event and reconcile it."""
    bench.world.archive()
    bench.deliver_run()
    bench.forget_calls()
    return await bench.reconcile()


# ------------------------------------------------------------------------------------------------------ when it is read


def test_workflow_of_an_uncached_run_reads_the_run_after_a_delay() -> None:
    """The run's event follows soon, or a crash left an archived run with its Workflow."""

    async def test(bench: Bench) -> None:
        await settled(bench)
        after_crash = Bench(bench.world)
        after_crash.deliver_workflow()
        after_crash.forget_calls()
        assert await after_crash.reconcile() == RUN_LAG
        assert after_crash.calls() == {}
        await after_crash.reconcile()
        assert after_crash.calls() == LOOK | {"get retentionpolicies": 1}
        assert set(remembered(after_crash)) == {"due", "finished_phase", "last"}

    virtually(test)


def test_workflow_of_a_run_that_arrives_in_time_reads_no_run() -> None:
    async def test(bench: Bench) -> None:
        await settled(bench)
        after_crash = Bench(bench.world)
        after_crash.deliver_workflow()
        assert await after_crash.reconcile() == RUN_LAG
        after_crash.deliver_run()
        after_crash.forget_calls()
        await after_crash.reconcile()
        assert after_crash.calls() == {"get retentionpolicies": 1}
        assert "unclaimed" not in remembered(after_crash)
        assert await after_crash.reconcile() is None, "the delay has passed"
        assert after_crash.calls() == {"get retentionpolicies": 1}

    virtually(test)


def test_workflow_of_a_deleted_run_is_dropped() -> None:
    async def test(bench: Bench) -> None:
        await settled(bench)
        after_crash = Bench(bench.world)
        after_crash.deliver_workflow()
        bench.world.delete("PipelineRun")
        after_crash.forget_calls()
        assert [await after_crash.reconcile(), await after_crash.reconcile()] == [RUN_LAG, None]
        assert after_crash.calls() == {"get pipelineruns": 1}
        assert remembered(after_crash) == {}

    virtually(test)


def test_workflow_event_of_a_finished_run_makes_no_call() -> None:
    async def test(bench: Bench) -> None:
        await settled(bench)
        for _ in range(3):
            bench.deliver_workflow()
            assert await bench.reconcile() is None
        assert bench.calls() == {} and bench.cache.workflows() == []

    virtually(test)


def test_workflow_restarted_by_argo_retry_is_read() -> None:
    async def test(bench: Bench) -> None:
        await settled(bench)
        bench.world.argo_retry()
        bench.deliver_workflow()
        bench.forget_calls()
        await bench.reconcile()
        assert bench.calls() == LOOK and bench.world.phase() == "Failed", "a finished run runs again only by a retry"

    virtually(test)


def test_deleted_run_is_dropped() -> None:
    async def test(bench: Bench) -> None:
        await settled(bench)
        body = bench.world.run() or {}
        bench.world.delete("PipelineRun")
        bench.intake.pipelinerun("DELETED", body)
        assert await bench.reconcile() is None
        assert bench.calls() == {"get pipelineruns": 1} and remembered(bench) == {}

    virtually(test)


def test_finished_run_that_is_being_deleted_makes_no_call() -> None:
    """With `kubectl delete --cascade=foreground` it is still there until its Workflow is gone."""

    async def test(bench: Bench) -> None:
        await settled(bench)
        body = bench.world.run() or {}
        going = {**body, "metadata": body["metadata"] | {"deletionTimestamp": "2026-11-24T12:00:00Z"}}
        bench.intake.pipelinerun("MODIFIED", going)
        assert await bench.reconcile() is None
        assert bench.calls() == {} and remembered(bench) == {}

    virtually(test, default=RetentionPolicySpec(keep_failed=5))


def test_a_settled_finished_run_has_no_live_part() -> None:
    """Of 10,000 finished runs, only the retention steps stay in memory."""

    async def test(bench: Bench) -> None:
        await settled(bench)
        state = bench.cache.find(KEY)
        assert state is not None and state.live is None

    virtually(test)


@pytest.mark.parametrize("error", [ApiError(500, "InternalError", "no"), asyncio.CancelledError(), KeyError("odd")])
def test_failed_read_of_an_unwatched_run_is_repeated(error: BaseException) -> None:
    async def test(bench: Bench) -> None:
        await settled(bench)
        bench.world.archive()
        bench.deliver_run()
        bench.client.handlers["get pipelineruns"] = failing(error)
        with pytest.raises(type(error)):
            await bench.reconcile()
        bench.client.handlers.clear()
        await bench.reconcile()
        assert bench.world.archived() and remembered(bench) == {}

    virtually(test)


def test_finished_run_with_an_unreadable_policy_stays_cached() -> None:
    async def test(bench: Bench) -> None:
        run = bench.finished(ago=2 * HOUR)
        bench.deliver_run()
        bench.client.handlers["get retentionpolicies"] = failing(ApiError(500, "InternalError", "no"))
        with pytest.raises(ApiError):
            await bench.reconcile()
        assert bench.world.run() is not None and bench.cache.run(KEY) == run
        bench.client.handlers.clear()
        assert await bench.reconcile() is None
        assert bench.world.run() is None

    virtually(test, default=RetentionPolicySpec(delete_after="1h"))


def test_edit_during_the_policy_read_is_kept_and_enqueued() -> None:
    """The first finished run of a namespace waits for the policy read; a retry can arrive in that time."""

    async def test(bench: Bench) -> None:
        bench.finished(phase="Failed")
        bench.deliver_run()
        await bench.take()

        def retry() -> None:
            bench.world.retry()
            bench.deliver_run()

        bench.client.handlers["get retentionpolicies"] = after_first_call(retry)
        await bench.reconcile()
        bench.client.handlers.clear()
        kept = bench.cache.run(KEY)
        assert kept is not None and kept.retries == 1
        assert len(bench.queue) == 1, "the run is enqueued again"
        await bench.reconcile()
        assert bench.world.workflow() is not None

    virtually(test)


def test_unfinished_run_reads_no_policy() -> None:
    async def test(bench: Bench) -> None:
        bench.world.apply(manifest("endless"))
        bench.deliver_run()
        await bench.reconcile()
        bench.deliver_workflow()
        await bench.reconcile()
        assert "get retentionpolicies" not in bench.calls()

    virtually(test)


# --------------------------------------------------------------------------------------------------------------- archive


def test_archiving_takes_one_reconcile_and_leaves_nothing_cached() -> None:
    async def test(bench: Bench) -> None:
        await settled(bench)
        workflow = bench.world.workflow() or {}
        assert await archive(bench) is None
        assert bench.calls() == {
            "get pipelineruns": 1,
            "get workflows": 2,
            "create workflowsnapshots": 1,
            "patch pipelineruns/status": 1,
            "delete workflows": 1,
        }
        assert status(bench)["storageState"] == "Archived" and archived(bench) == ("True", "WorkflowKept")
        assert "nodes" not in status(bench) and status(bench)["phase"] == "Failed"
        assert bench.world.workflow() is None and remembered(bench) == {}

        bench.intake.workflow("DELETED", workflow)
        bench.forget_calls()
        assert await bench.reconcile() is None
        assert bench.calls() == {} and remembered(bench) == {}

    virtually(test)


@pytest.mark.parametrize("at", ["create workflowsnapshots", "patch pipelineruns/status", "delete workflows"])
@pytest.mark.parametrize("done", [True, False])
def test_interrupted_archiving_is_completed(at: str, done: bool) -> None:
    async def test(bench: Bench) -> None:
        await settled(bench)

        async def unreachable(commit: Commit) -> Any:
            if done:
                commit()
            raise ApiError(0, "Unreachable", "no reply")

        bench.client.handlers[at] = unreachable
        with pytest.raises(ApiError):
            await archive(bench)
        bench.client.handlers.clear()
        assert await bench.reconcile() is None
        assert bench.world.archived() and bench.world.workflow() is None and remembered(bench) == {}
        assert len(bench.server.list("WorkflowSnapshot")) == 1

    virtually(test)


def test_run_labelled_archived_before_its_end_is_archived_after_it() -> None:
    async def test(bench: Bench) -> None:
        bench.world.apply(manifest("flaky"))
        bench.deliver_run()
        await bench.reconcile()
        bench.world.archive()
        bench.deliver_run()
        looks = 0
        while not bench.world.archived():
            bench.forget_calls()
            again = await bench.reconcile()
            looks += 1
            assert bench.calls().get("get pipelineruns") == 1, "no watch event shows its edits"
            if bench.world.archived():
                break
            assert again is not None and 0 < again <= POLL.total_seconds()
            await bench.wait(again)
        assert looks < 6 and archived(bench) == ("True", "WorkflowKept")
        assert status(bench)["phase"] == "Failed" and remembered(bench) == {}

    virtually(test)


def test_edit_of_an_unfinished_archived_run_takes_effect() -> None:
    async def test(bench: Bench) -> None:
        bench.world.apply(manifest("endless"))
        bench.deliver_run()
        await bench.reconcile()
        bench.world.archive()
        bench.deliver_run()
        await bench.wait(3)
        await bench.reconcile()
        assert bench.world.phase() == "Running"
        bench.world.apply(manifest("endless") | {"shutdown": "Terminate"})
        await bench.wait(POLL)
        await bench.reconcile()
        assert (bench.world.workflow() or {})["spec"]["shutdown"] == "Terminate"

    virtually(test)


def test_workflow_too_large_for_a_snapshot_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "MAX_SNAPSHOT", 100)

    async def test(bench: Bench) -> None:
        await settled(bench)
        assert await archive(bench) == LONGEST_WAIT.total_seconds()
        assert archived(bench) == ("True", "WorkflowTooLarge")
        assert bench.world.workflow() is not None and "nodes" in status(bench)

    virtually(test)


def test_workflow_kept_longer_than_its_run_is_deleted_when_due() -> None:
    async def test(bench: Bench) -> None:
        await settled(bench)
        assert await archive(bench) == LONGEST_WAIT.total_seconds()
        assert bench.world.archived() and bench.world.workflow() is not None
        assert set(remembered(bench)) == {"due"}
        bench.forget_calls()
        await bench.wait(2 * DAY)
        assert await bench.reconcile() == LONGEST_WAIT.total_seconds() and bench.calls() == {}
        await bench.wait(DAY)
        assert await bench.reconcile() is None
        assert bench.world.workflow() is None and remembered(bench) == {}

    virtually(test, default=RetentionPolicySpec(keep_workflow="3d"))


def test_unarchived_run_gets_its_workflow_and_nodes_back() -> None:
    async def test(bench: Bench) -> None:
        await settled(bench)
        before = status(bench)
        await archive(bench)
        bench.world.unarchive()
        bench.deliver_run()
        await bench.reconcile()
        assert status(bench)["storageState"] == "Available" and archived(bench) == ("False", "Unarchived")
        metadata = (bench.world.workflow() or {})["metadata"]
        changed = {"workflow": {"name": RUN, "uid": metadata["uid"]}, "storageState": "Available"}
        assert status(bench) == before | changed | {"conditions": status(bench)["conditions"]}
        bench.deliver_run()
        bench.deliver_workflow()
        await bench.reconcile()
        assert set(remembered(bench)) == {"due", "finished_phase", "last"}

    virtually(test)


def test_forbidden_restore_keeps_the_run_archived_until_it_is_allowed() -> None:
    async def test(bench: Bench) -> None:
        await settled(bench)
        await archive(bench)
        bench.world.unarchive()
        bench.deliver_run()
        bench.client.handlers["create workflows"] = failing(ApiError(403, "Forbidden", "exceeded quota: workflows"))
        assert await bench.reconcile() == 1
        assert bench.world.archived() and bench.world.stalled() == "Forbidden"
        bench.deliver_run()
        again = await bench.reconcile()
        assert again is not None and 0 < again <= 1, "the run is cached and requeued"
        bench.client.handlers.clear()
        await bench.wait(again)
        await bench.reconcile()
        assert not bench.world.archived() and bench.world.workflow() is not None and bench.world.stalled() == ""

    virtually(test)
