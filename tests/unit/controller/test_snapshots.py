"""Snapshots: one for each run, of its last attempt; written before the Workflow is deleted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from runwright.controller.lane import Lane
from runwright.controller.snapshots import Snapshots
from runwright.core.archive import snapshot as packing
from runwright.core.archive.snapshot import pack_snapshot, unpack_snapshot
from runwright.core.records import RunRecord
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json
from tests.unit.controller.bench import Bench, before_first_call, failing, uid_of, virtually
from tests.unit.controller.records import run
from tests.unit.fake.world import NAMESPACE, RUN

CREATED = {"create workflowsnapshots": 1}
FOUND = {"create workflowsnapshots": 1, "get workflowsnapshots": 1}
REPLACED = {"create workflowsnapshots": 2, "get workflowsnapshots": 1, "delete workflowsnapshots": 1}


def failed_run(uid: str = "run-uid", attempt: int = 0) -> RunRecord:
    record = run(uid=uid)
    reference = {"name": RUN, "uid": "workflow-uid"}
    status = record.status.model_validate({"phase": "Failed", "retries": attempt, "workflow": reference})
    return replace(record, status=status)


def workflow(attempt: int = 0, uid: str = "workflow-uid", finished: str = "2026-11-24T12:00:05Z") -> dict[str, Any]:
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {
            "namespace": NAMESPACE,
            "name": RUN,
            "uid": uid,
            "resourceVersion": "7",
            "annotations": {"runwright.dev/attempt": str(attempt)},
        },
        "spec": {"entrypoint": "main"},
        "status": {
            "phase": "Failed",
            "startedAt": "2026-11-24T12:00:00Z",
            "finishedAt": finished,
            "nodes": {RUN: {"id": RUN, "type": "Pod", "phase": "Failed"}},
        },
    }


def stored(bench: Bench) -> Json | None:
    return bench.server.objects.get(("WorkflowSnapshot", NAMESPACE, RUN))


def kept(bench: Bench) -> Json:
    """The Workflow in the stored snapshot."""
    return unpack_snapshot(stored(bench) or {}) or {}


def test_keep_creates_one_snapshot_and_reuses_it() -> None:
    async def test(bench: Bench) -> None:
        snapshots = Snapshots(bench.client, Lane())
        assert await snapshots.keep(failed_run(), workflow())
        body = stored(bench) or {}
        assert bench.calls() == CREATED
        assert (body["attempt"], body["workflowUID"]) == (0, "workflow-uid")
        assert body["metadata"]["ownerReferences"][0]["uid"] == "run-uid"
        assert kept(bench)["status"] == workflow()["status"]

        bench.forget_calls()
        assert await snapshots.keep(failed_run(), workflow())
        assert bench.calls() == FOUND and stored(bench) == body, "as after a crash"

    virtually(test)


def test_keep_of_a_restored_workflow_leaves_the_snapshot() -> None:
    async def test(bench: Bench) -> None:
        snapshots = Snapshots(bench.client, Lane())
        await snapshots.keep(failed_run(), workflow())
        uid = uid_of(stored(bench))
        assert await snapshots.keep(failed_run(), workflow(uid="put-back"))
        assert uid_of(stored(bench)) == uid

    virtually(test)


@pytest.mark.parametrize(
    ("of", "later"),
    [
        (failed_run(), workflow(attempt=1)),
        (failed_run(), workflow(finished="2026-11-24T13:00:00Z")),  # `argo retry`: the same attempt, another end
        (failed_run(uid="later-run"), workflow()),
    ],
)
def test_keep_replaces_the_snapshot_of_an_earlier_attempt_or_run(of: RunRecord, later: Json) -> None:
    async def test(bench: Bench) -> None:
        snapshots = Snapshots(bench.client, Lane())
        await snapshots.keep(failed_run(), workflow())
        bench.forget_calls()
        assert await snapshots.keep(of, later)
        assert bench.calls() == REPLACED
        assert kept(bench)["status"] == later["status"]
        assert (stored(bench) or {})["metadata"]["ownerReferences"][0]["uid"] == of.uid

    virtually(test)


def test_keep_replaces_an_unreadable_snapshot() -> None:
    async def test(bench: Bench) -> None:
        body = pack_snapshot(failed_run(), workflow()) or {}
        bench.server.create("WorkflowSnapshot", {**body, "data": "H4sI"})
        assert await Snapshots(bench.client, Lane()).keep(failed_run(), workflow())
        assert kept(bench)["status"] == workflow()["status"]

    virtually(test)


def test_keep_creates_a_snapshot_deleted_before_its_read() -> None:
    async def test(bench: Bench) -> None:
        snapshots = Snapshots(bench.client, Lane())
        await snapshots.keep(failed_run(), workflow())
        bench.forget_calls()
        bench.client.handlers["get workflowsnapshots"] = before_first_call(
            lambda: bench.server.delete("WorkflowSnapshot", NAMESPACE, RUN)
        )
        assert await snapshots.keep(failed_run(), workflow())
        assert bench.calls() == {"create workflowsnapshots": 2, "get workflowsnapshots": 1}
        assert kept(bench)["status"] == workflow()["status"]

    virtually(test)


def test_keep_conflicts_with_a_concurrent_replacement() -> None:
    async def test(bench: Bench) -> None:
        snapshots = Snapshots(bench.client, Lane())
        await snapshots.keep(failed_run(), workflow())
        theirs = pack_snapshot(failed_run(), workflow(attempt=1)) or {}

        def other() -> None:
            bench.server.delete("WorkflowSnapshot", NAMESPACE, RUN)
            bench.server.create("WorkflowSnapshot", theirs)

        bench.client.handlers["delete workflowsnapshots"] = before_first_call(other)
        with pytest.raises(ApiError) as error:
            await snapshots.keep(failed_run(), workflow(attempt=1))
        assert error.value.code == 409
        assert (stored(bench) or {})["attempt"] == 1, "the concurrent snapshot has another uid and stays"
        assert await snapshots.keep(failed_run(), workflow(attempt=1))

    virtually(test)


def test_keep_of_a_too_large_workflow_makes_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "MAX_SNAPSHOT", 100)

    async def test(bench: Bench) -> None:
        assert not await Snapshots(bench.client, Lane()).keep(failed_run(), workflow())
        assert bench.calls() == {} and stored(bench) is None

    virtually(test)


@pytest.mark.parametrize("code", [0, 403, 500])
def test_keep_raises_the_error_of_a_refused_creation(code: int) -> None:
    async def test(bench: Bench) -> None:
        bench.client.handlers["create workflowsnapshots"] = failing(ApiError(code, "Why", "because"))
        with pytest.raises(ApiError, match="because"):
            await Snapshots(bench.client, Lane()).keep(failed_run(), workflow())
        assert bench.calls() == CREATED

    virtually(test)


# ------------------------------------------------------------------------------------------------------------------ read


@pytest.mark.parametrize(
    ("of", "there", "last"),
    [
        (failed_run(), True, True),
        (failed_run(attempt=1), False, True),  # an earlier attempt, from which a retry can continue
        (failed_run(uid="later-run"), False, False),
    ],
)
def test_reads_match_the_runs_uid_and_attempt(of: RunRecord, there: bool, last: bool) -> None:
    async def test(bench: Bench) -> None:
        snapshots = Snapshots(bench.client, Lane())
        await snapshots.keep(failed_run(), workflow())
        assert await snapshots.there(of) is there
        assert (await snapshots.finished_workflow(of) is not None) is there
        assert (await snapshots.last_workflow(of) is not None) is last

    virtually(test)


def test_reads_without_a_snapshot_return_none() -> None:
    async def test(bench: Bench) -> None:
        snapshots = Snapshots(bench.client, Lane())
        assert not await snapshots.there(failed_run())
        assert await snapshots.finished_workflow(failed_run()) is None
        assert await snapshots.last_workflow(failed_run()) is None
        assert bench.calls() == {"get workflowsnapshots": 3}

    virtually(test)


def test_finished_workflow_is_as_it_ended_and_names_the_one_it_replaces() -> None:
    async def test(bench: Bench) -> None:
        snapshots = Snapshots(bench.client, Lane())
        await snapshots.keep(failed_run(), workflow())
        restored = await snapshots.finished_workflow(failed_run()) or {}
        assert restored["status"] == workflow()["status"] and restored["spec"] == workflow()["spec"]
        metadata = restored["metadata"]
        assert not {"uid", "resourceVersion"} & metadata.keys()
        assert metadata["annotations"] == {
            "runwright.dev/attempt": "0",
            "runwright.dev/restored-from": "workflow-uid",
        }
        assert metadata["labels"]["workflows.argoproj.io/completed"] == "true"
        assert [owner["uid"] for owner in metadata["ownerReferences"]] == ["run-uid"]

    virtually(test)
