"""There is one snapshot of a run, of its last attempt, before its Workflow goes; and it is read as what it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

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


def the_run(uid: str = "run-uid", attempt: int = 0) -> RunRecord:
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
    """The Workflow that is in the snapshot."""
    return unpack_snapshot(stored(bench) or {}) or {}


def test_it_is_made_once() -> None:
    async def test(bench: Bench) -> None:
        snapshots = Snapshots(bench.client)
        assert await snapshots.keep(the_run(), workflow())
        body = stored(bench) or {}
        assert bench.calls() == CREATED
        assert (body["attempt"], body["workflowUID"]) == (0, "workflow-uid")
        assert body["metadata"]["ownerReferences"][0]["uid"] == "run-uid"
        assert kept(bench)["status"] == workflow()["status"]

        bench.forget_calls()
        assert await snapshots.keep(the_run(), workflow())
        assert bench.calls() == FOUND and stored(bench) == body, "a crash after it was made"

    virtually(test)


def test_one_of_the_same_end_stays_though_the_workflow_was_put_back_since() -> None:
    async def test(bench: Bench) -> None:
        snapshots = Snapshots(bench.client)
        await snapshots.keep(the_run(), workflow())
        uid = uid_of(stored(bench))
        assert await snapshots.keep(the_run(), workflow(uid="put-back"))
        assert uid_of(stored(bench)) == uid

    virtually(test)


@pytest.mark.parametrize(
    ("of", "later"),
    [
        (the_run(), workflow(attempt=1)),
        (the_run(), workflow(finished="2026-11-24T13:00:00Z")),  # `argo retry`: the same attempt, another end
        (the_run(uid="later-run"), workflow()),
    ],
)
def test_one_of_an_earlier_attempt_or_an_earlier_run_gives_way(of: RunRecord, later: Json) -> None:
    async def test(bench: Bench) -> None:
        snapshots = Snapshots(bench.client)
        await snapshots.keep(the_run(), workflow())
        bench.forget_calls()
        assert await snapshots.keep(of, later)
        assert bench.calls() == REPLACED
        assert kept(bench)["status"] == later["status"]
        assert (stored(bench) or {})["metadata"]["ownerReferences"][0]["uid"] == of.uid

    virtually(test)


def test_one_that_cannot_be_read_gives_way() -> None:
    async def test(bench: Bench) -> None:
        body = pack_snapshot(the_run(), workflow()) or {}
        bench.server.create("WorkflowSnapshot", {**body, "data": "H4sI"})
        assert await Snapshots(bench.client).keep(the_run(), workflow())
        assert kept(bench)["status"] == workflow()["status"]

    virtually(test)


def test_one_that_has_gone_by_the_time_it_is_read_is_made() -> None:
    async def test(bench: Bench) -> None:
        snapshots = Snapshots(bench.client)
        await snapshots.keep(the_run(), workflow())
        bench.forget_calls()
        bench.client.handlers["get workflowsnapshots"] = before_first_call(
            lambda: bench.server.delete("WorkflowSnapshot", NAMESPACE, RUN)
        )
        assert await snapshots.keep(the_run(), workflow())
        assert bench.calls() == {"create workflowsnapshots": 2, "get workflowsnapshots": 1}
        assert kept(bench)["status"] == workflow()["status"]

    virtually(test)


def test_of_two_that_make_it_at_a_time_one_comes_back() -> None:
    async def test(bench: Bench) -> None:
        snapshots = Snapshots(bench.client)
        await snapshots.keep(the_run(), workflow())
        theirs = pack_snapshot(the_run(), workflow(attempt=1)) or {}

        def other() -> None:
            bench.server.delete("WorkflowSnapshot", NAMESPACE, RUN)
            bench.server.create("WorkflowSnapshot", theirs)

        bench.client.handlers["delete workflowsnapshots"] = before_first_call(other)
        with pytest.raises(ApiError) as error:
            await snapshots.keep(the_run(), workflow(attempt=1))
        assert error.value.code == 409
        assert (stored(bench) or {})["attempt"] == 1, "theirs has another uid, and stays"
        assert await snapshots.keep(the_run(), workflow(attempt=1))

    virtually(test)


def test_one_that_is_too_large_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "MAX_SNAPSHOT", 100)

    async def test(bench: Bench) -> None:
        assert not await Snapshots(bench.client).keep(the_run(), workflow())
        assert bench.calls() == {} and stored(bench) is None

    virtually(test)


@pytest.mark.parametrize("code", [0, 403, 500])
def test_a_creation_that_is_refused_is_left_to_the_caller(code: int) -> None:
    async def test(bench: Bench) -> None:
        bench.client.handlers["create workflowsnapshots"] = failing(ApiError(code, "Why", "because"))
        with pytest.raises(ApiError, match="because"):
            await Snapshots(bench.client).keep(the_run(), workflow())
        assert bench.calls() == CREATED

    virtually(test)


# ------------------------------------------------------------------------------------------------------------------ read


@pytest.mark.parametrize(
    ("of", "there", "last"),
    [
        (the_run(), True, True),
        (the_run(attempt=1), False, True),  # the attempt before it, from which a retry can go on
        (the_run(uid="later-run"), False, False),
    ],
)
def test_it_is_of_the_runs_last_attempt_or_of_one_before_it_or_of_another_run(
    of: RunRecord, there: bool, last: bool
) -> None:
    async def test(bench: Bench) -> None:
        snapshots = Snapshots(bench.client)
        await snapshots.keep(the_run(), workflow())
        assert await snapshots.there(of) is there
        assert (await snapshots.finished_workflow(of) is not None) is there
        assert (await snapshots.last_workflow(of) is not None) is last

    virtually(test)


def test_where_there_is_none_there_is_no_workflow() -> None:
    async def test(bench: Bench) -> None:
        snapshots = Snapshots(bench.client)
        assert not await snapshots.there(the_run())
        assert await snapshots.finished_workflow(the_run()) is None
        assert await snapshots.last_workflow(the_run()) is None
        assert bench.calls() == {"get workflowsnapshots": 3}

    virtually(test)


def test_what_is_put_back_is_finished_as_it_was_and_tells_whose_place_it_takes() -> None:
    async def test(bench: Bench) -> None:
        snapshots = Snapshots(bench.client)
        await snapshots.keep(the_run(), workflow())
        restored = await snapshots.finished_workflow(the_run()) or {}
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
