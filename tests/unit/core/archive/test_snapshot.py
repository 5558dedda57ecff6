"""A Workflow is packed into a snapshot and restored from it."""

from __future__ import annotations

import base64
import gzip
import json
import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from runwright.api.pipelinerun import PipelineRunStatus, WorkflowReference
from runwright.core.archive.snapshot import (
    belongs_to_run,
    holds_workflow,
    is_of_current_attempt,
    is_of_later_attempt,
    pack_snapshot,
    restore_workflow,
    unpack_snapshot,
)
from runwright.core.records import RunRecord
from runwright.core.workflow.record import workflow_nodes, workflow_record
from runwright.kube.objects import Key
from tests.unit.core.strategies import JSON, NOW

NODES = {"train": {"id": "train", "name": "train", "displayName": "train", "type": "Pod", "phase": "Failed"}}


def run(uid: str = "run-uid", retries: int = 0) -> RunRecord:
    status = PipelineRunStatus(retries=retries, workflow=WorkflowReference(name="train", uid="wf-2"))
    return RunRecord(Key("team", "train"), uid, "7", generation=1, created_at=NOW, status=status)


def workflow(attempt: int = 0, **status: Any) -> dict[str, Any]:
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {
            "name": "train",
            "namespace": "team",
            "uid": "wf-1",
            "resourceVersion": "12",
            "generation": 3,
            "managedFields": [{}],
            "creationTimestamp": "2026-11-24T12:00:00Z",
            "labels": {"runwright.dev/run": "train"},
            "annotations": {"runwright.dev/attempt": str(attempt)},
        },
        "spec": {"entrypoint": "main"},
        "status": {"phase": "Failed", "finishedAt": "2026-11-24T12:00:09Z", "nodes": NODES, **status},
    }


def packed(body: dict[str, Any], of: RunRecord | None = None) -> dict[str, Any]:
    snapshot = pack_snapshot(of or run(), body)
    assert snapshot is not None
    return snapshot


def test_a_snapshot_has_owner_attempt_and_workflow_uid() -> None:
    snapshot = packed(workflow(attempt=2))
    assert snapshot["metadata"]["name"] == "train"
    assert snapshot["metadata"]["ownerReferences"][0]["uid"] == "run-uid"
    assert (snapshot["attempt"], snapshot["workflowUID"]) == (2, "wf-1")
    assert belongs_to_run(snapshot, run()) and not belongs_to_run(snapshot, run("another"))
    assert is_of_current_attempt(snapshot, run(retries=2)) and not is_of_current_attempt(snapshot, run(retries=1))


def test_an_unpacked_snapshot_is_the_workflow_without_server_fields() -> None:
    body = workflow()
    out = unpack_snapshot(packed(body))
    assert out is not None
    assert (out["spec"], out["status"]) == (body["spec"], body["status"])
    assert set(out["metadata"]) == {"name", "namespace", "labels", "annotations"}


def test_packed_nodes_are_unpacked_first() -> None:
    compressed = base64.b64encode(gzip.compress(json.dumps(NODES).encode())).decode()
    out = unpack_snapshot(packed(workflow(nodes=None, compressedNodes=compressed)))
    assert out is not None
    assert out["status"]["nodes"] == NODES and "compressedNodes" not in out["status"]


def test_a_workflow_that_is_too_large_gives_no_snapshot() -> None:
    noise = base64.b64encode(random.Random(1).randbytes(1_200_000)).decode()
    assert pack_snapshot(run(), workflow(message=noise)) is None


def test_a_restored_workflow_is_completed_and_names_the_deleted_one() -> None:
    body = restore_workflow(packed(workflow()), run())
    assert body is not None
    assert body["metadata"]["labels"]["workflows.argoproj.io/completed"] == "true"
    assert body["metadata"]["ownerReferences"][0]["uid"] == "run-uid"
    assert "uid" not in body["metadata"] and "resourceVersion" not in body["metadata"]
    record = workflow_record(body)
    assert (record.restored_from, record.phase, record.finished) == ("wf-2", "Failed", True)


def test_many_nodes_are_restored_compressed() -> None:
    many = {f"train-{n}": {**NODES["train"], "id": f"train-{n}", "message": f"{n:0300}"} for n in range(4000)}
    body = restore_workflow(packed(workflow(nodes=many)), run())
    assert body is not None
    assert "nodes" not in body["status"]
    assert workflow_nodes(body["status"]) == many


def test_equal_ends_of_a_workflow_are_recognised() -> None:
    snapshot = packed(workflow())
    assert holds_workflow(snapshot, run(), workflow())
    assert not holds_workflow(snapshot, run("another"), workflow())
    assert not holds_workflow(snapshot, run(), workflow(attempt=1))
    assert not holds_workflow(snapshot, run(), workflow(finishedAt="2026-11-24T13:00:00Z"))


@given(st.dictionaries(st.sampled_from(["metadata", "spec", "status", "data", "attempt"]), JSON))
def test_any_snapshot_is_unpacked_or_none(body: dict[str, Any]) -> None:
    assert unpack_snapshot(body) is None
    assert restore_workflow(body, run()) is None
    assert not holds_workflow(body, run(), workflow())


@given(st.dictionaries(st.sampled_from(["metadata", "spec", "status"]), JSON))
def test_any_workflow_can_be_packed(body: dict[str, Any]) -> None:
    snapshot = packed(body)
    assert restore_workflow(snapshot, run()) is not None


def test_a_snapshot_of_a_later_attempt_is_recognised() -> None:
    first, second = packed(workflow()), packed(workflow(attempt=1))
    assert is_of_later_attempt(second, run(), first)
    assert not is_of_later_attempt(first, run(), second)
    assert not is_of_later_attempt(first, run(), first)
    assert not is_of_later_attempt(second, run("another"), first)
