"""Builders of records and bodies for the controller's tests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from runwright.core.records import RunRecord, WorkflowRecord
from runwright.kube.objects import Key

KEY = Key("team", "train")
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def run(version: str = "1", uid: str = "run-uid", key: Key = KEY) -> RunRecord:
    return RunRecord(key, uid, version, generation=1, created_at=NOW)


def workflow(
    version: str = "1", uid: str = "workflow-uid", phase: str = "Running", owner: str = "run-uid"
) -> WorkflowRecord:
    return WorkflowRecord(KEY, uid, version, owner_uid=owner, owner_name=KEY.name, phase=phase)


def run_body(version: str = "1", uid: str = "run-uid", **parts: Any) -> dict[str, Any]:
    metadata = {"namespace": KEY.namespace, "name": KEY.name, "uid": uid, "resourceVersion": version, "generation": 1}
    return {"metadata": metadata, **parts}


def workflow_body(version: str = "1", uid: str = "workflow-uid", phase: str = "Running") -> dict[str, Any]:
    owner = {"kind": "PipelineRun", "controller": True, "uid": "run-uid", "name": KEY.name}
    metadata = {"namespace": KEY.namespace, "name": KEY.name, "uid": uid, "resourceVersion": version}
    return {"metadata": metadata | {"ownerReferences": [owner]}, "status": {"phase": phase}}
