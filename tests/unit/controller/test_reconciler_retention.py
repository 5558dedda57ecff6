"""Retention of finished runs: due times, and the newest runs that are kept."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from runwright.api.retentionpolicy import RetentionPolicySpec
from runwright.controller.finished import LONGEST_WAIT
from runwright.core.archive.storage import POLL
from runwright.kube.errors import ApiError
from runwright.kube.objects import Key
from tests.unit.controller.bench import Bench, before_first_call, remembered, settled, status, virtually
from tests.unit.fake.world import NAMESPACE, manifest

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LOOK = {"get pipelineruns": 1, "get workflows": 1}


def test_finished_run_waits_without_calls_until_it_is_due() -> None:
    async def test(bench: Bench) -> None:
        await settled(bench, retention={"archiveAfter": "150m"})
        waits: list[float | None] = [await bench.reconcile()]
        while (again := waits[-1]) is not None and bench.calls() == {}:
            await bench.wait(again)
            waits.append(await bench.reconcile())
        assert waits[:2] == [3600, 3600] and 1700 < (waits[2] or 0) <= 1800 and len(waits) == 4
        assert bench.world.archived() and remembered(bench) == {}

    virtually(test)


def test_clock_set_back_delays_by_at_most_one_hour() -> None:
    async def test(bench: Bench) -> None:
        await settled(bench, retention={"deleteAfter": "1h"})
        bench.world.clock.ahead = -2 * DAY
        await bench.wait(HOUR)
        assert await bench.reconcile() == 3600
        bench.world.clock.ahead = timedelta(0)
        await bench.wait(HOUR)
        assert await bench.reconcile() is None and bench.world.run() is None

    virtually(test)


def test_archived_run_gets_its_deletion_date_as_a_label() -> None:
    async def test(bench: Bench) -> None:
        await settled(bench, retention={"archiveAfter": "1h", "deleteAfter": "10d"})
        await bench.wait(HOUR)
        assert await bench.reconcile() is None
        labels = (bench.world.run() or {})["metadata"]["labels"]
        assert labels["runwright.dev/delete-on"] == "2026-12-04" and remembered(bench) == {}
        await bench.wait(9 * DAY)
        await bench.sweep.expiring()
        (key,) = await bench.take()
        assert await bench.reconcile(key.name) == LONGEST_WAIT.total_seconds(), "less than a day is left"
        await bench.wait(DAY)
        assert await bench.reconcile() is None and bench.world.run() is None and remembered(bench) == {}

    virtually(test)


def test_run_with_a_restarted_workflow_is_deleted_after_its_end() -> None:
    async def test(bench: Bench) -> None:
        await settled(bench, retention={"deleteAfter": "1h"})
        await bench.wait(HOUR)
        bench.world.argo_retry()
        assert await bench.reconcile() == POLL.total_seconds()
        await bench.wait(POLL)
        assert bench.world.argo_phase() == "Failed" and bench.world.run() is not None
        assert await bench.reconcile() is None and bench.world.run() is None

    virtually(test)


def test_run_changed_before_its_deletion_is_read_again() -> None:
    async def test(bench: Bench) -> None:
        await settled(bench, retention={"deleteAfter": "1h"})
        await bench.wait(HOUR)
        bench.client.handlers["delete pipelineruns"] = before_first_call(lambda: bench.world.label(keep="me"))
        with pytest.raises(ApiError) as error:
            await bench.reconcile()
        assert error.value.code == 409 and bench.world.run() is not None
        bench.deliver_run()
        assert await bench.reconcile() is None and bench.world.run() is None

    virtually(test)


def test_workflow_past_keep_workflow_is_deleted_and_the_run_stays() -> None:
    async def test(bench: Bench) -> None:
        await settled(bench, retention={"keepWorkflow": "1h"})
        await bench.wait(HOUR)
        before = status(bench)
        assert await bench.reconcile() is None
        assert bench.world.workflow() is None and status(bench) == before
        assert len(bench.server.list("WorkflowSnapshot")) == 1
        assert set(remembered(bench)) == {"due", "finished_phase", "last"}

    virtually(test)


def test_edit_of_a_run_with_a_due_workflow_deletes_the_workflow() -> None:
    async def test(bench: Bench) -> None:
        await settled(bench, retention={"keepWorkflow": "90m"})
        await bench.wait(2 * HOUR)
        bench.world.label(team="a")
        bench.deliver_run()
        bench.forget_calls()
        assert await bench.reconcile() == 0, "its Workflow is not cached and may exist"
        assert bench.calls() == {"get retentionpolicies": 1}
        assert await bench.reconcile() is None and bench.world.workflow() is None

    virtually(test)


@pytest.mark.parametrize("due", ["archive", "delete"])
def test_due_run_that_was_deleted_is_dropped(due: str) -> None:
    async def test(bench: Bench) -> None:
        await settled(bench, retention={f"{due}After": "1h"})
        await bench.wait(HOUR)
        bench.world.delete("PipelineRun")
        assert await bench.reconcile() is None and remembered(bench) == {}

    virtually(test)


def test_each_action_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        test_archived_run_gets_its_deletion_date_as_a_label()
    messages = [record.getMessage() for record in caplog.records]
    assert "labelling the run: runwright.dev/storage-state=Archived, runwright.dev/delete-on=2026-12-04" in messages
    assert messages.count("phase Failed") == 1 and messages.count("storage state Archived") == 1
    assert "deleting the run: its retention period has ended" in messages


# ----------------------------------------------------------------------------------------------------------- the newest runs

KEEP_ONE = RetentionPolicySpec(keep_succeeded=1)


async def ends(bench: Bench, name: str, **parts: Any) -> float | None:
    bench.finished(name, **parts)
    bench.deliver_run(name)
    return await bench.reconcile(name)


def test_end_of_a_run_enqueues_the_runs_beyond_the_limit() -> None:
    async def test(bench: Bench) -> None:
        assert await ends(bench, "first") is None and bench.woken == []
        await bench.wait(HOUR)
        assert await ends(bench, "second") is None
        assert bench.woken == [Key(NAMESPACE, "first")] and bench.world.run("first") is not None
        assert await bench.reconcile("first") is None
        assert bench.world.run("first") is None and bench.world.run("second") is not None
        await bench.wait(HOUR)
        await ends(bench, "failed", phase="Failed")
        assert bench.woken == [Key(NAMESPACE, "first")], "another phase has its own limit"

    virtually(test, default=KEEP_ONE)


def test_run_beyond_the_limit_is_deleted_at_its_first_event() -> None:
    """As at the start of the operator: in whatever order they are messages, it is the older ones that go."""

    async def test(bench: Bench) -> None:
        await ends(bench, "last")
        await ends(bench, "before", ago=HOUR)
        assert bench.world.run("before") is None and bench.world.run("last") is not None
        assert bench.woken == []

    virtually(test, default=KEEP_ONE)


def test_gitops_run_beyond_the_limit_is_archived() -> None:
    async def test(bench: Bench) -> None:
        await ends(bench, "last")
        await ends(bench, "owned", ago=HOUR, annotations={"argocd.argoproj.io/tracking-id": "a"})
        assert bench.world.archived("owned")

    virtually(test, default=KEEP_ONE)


def test_run_within_the_limit_again_stays() -> None:
    async def test(bench: Bench) -> None:
        await ends(bench, "first")
        await bench.wait(HOUR)
        await ends(bench, "second")
        bench.world.delete("PipelineRun", "second")
        bench.intake.pipelinerun("DELETED", {"metadata": {"namespace": NAMESPACE, "name": "second"}})
        await bench.reconcile("second")
        bench.forget_calls()
        assert await bench.reconcile("first") is None and bench.world.run("first") is not None
        assert bench.calls() == LOOK
        assert await bench.reconcile("first") is None and bench.calls() == LOOK, "it is no longer due"

    virtually(test, default=KEEP_ONE)


@pytest.mark.parametrize(
    "leaves", [lambda bench: bench.world.delete("PipelineRun"), lambda bench: bench.world.archive()]
)
def test_deleted_or_archived_run_leaves_the_count(leaves: Callable[[Bench], object]) -> None:
    async def test(bench: Bench) -> None:
        await settled(bench)
        body = bench.world.run() or {}
        leaves(bench)
        bench.intake.pipelinerun("DELETED", body)
        await bench.reconcile()
        assert remembered(bench) == {}

    virtually(test)


def test_retried_run_leaves_the_count() -> None:
    async def test(bench: Bench) -> None:
        await settled(bench)
        bench.world.delete("Workflow")
        bench.world.retry()
        bench.deliver_run()
        while not bench.world.workflow():
            with suppress(ApiError):
                await bench.reconcile()
            await bench.wait(2)
        await bench.reconcile()
        assert not bench.run().finished
        bench.deliver_run()
        await bench.reconcile()
        assert not {"due", "finished_phase", "last"} & remembered(bench).keys()

    virtually(test)


@pytest.mark.parametrize("call", ["get pipelineruns", "get retentionpolicies"])
def test_workflow_reported_while_its_finished_run_is_read_is_still_dropped_when_due(call: str) -> None:
    """Another operator finished the run; this one has only its creation, and reads the rest."""

    async def test(bench: Bench) -> None:
        retention = {"keepWorkflow": "1h"}
        bench.world.apply(manifest("flaky") | {"retention": retention})
        bench.deliver_run()
        await Bench(bench.world).run_to_end(retention=retention)
        bench.client.handlers[call] = before_first_call(bench.deliver_workflow)
        await bench.reconcile()
        assert await bench.reconcile() is not None
        await bench.wait(HOUR)
        await bench.reconcile()
        assert bench.world.workflow() is None

    virtually(test)
