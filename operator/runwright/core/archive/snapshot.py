"""A WorkflowSnapshot: the final Workflow of a run, compressed, in an object that no list of runs carries."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from runwright.api.labels import RUN_LABEL
from runwright.api.resources import API_VERSION
from runwright.api.workflowsnapshot import KIND, MAX_SNAPSHOT
from runwright.core.records import RunRecord
from runwright.core.retry.reset import COMPLETED_LABEL, PHASE_LABEL, pack_json
from runwright.core.workflow.build import owner_reference
from runwright.core.workflow.record import (
    RESTORED_ANNOTATION,
    attempt_of,
    controller_reference,
    unpack_json,
    workflow_nodes,
)
from runwright.kube.objects import Json, as_mapping, as_text, metadata_of, status_of

GONE_WITH_THE_OBJECT = (
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "managedFields",
)
"""Metadata that the API server gives each object anew."""


def pack_snapshot(run: RunRecord, workflow: Json) -> dict[str, Any] | None:
    """The snapshot of a run's finished Workflow; None where it is too large for etcd, even compressed.

    Nodes that Argo has compressed are unpacked first: compressed twice, they would take a third more.
    """
    metadata = metadata_of(workflow)
    status = dict(status_of(workflow))
    if nodes := workflow_nodes(status):
        status["nodes"] = nodes
        status.pop("compressedNodes", None)
    kept = {name: value for name, value in metadata.items() if name not in GONE_WITH_THE_OBJECT}
    data = pack_json({**workflow, "metadata": kept, "status": status})
    if len(data) > MAX_SNAPSHOT:
        return None
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": run.key.name,
            "namespace": run.key.namespace,
            "labels": {RUN_LABEL: run.key.name},
            "ownerReferences": [owner_reference(run.key.name, run.uid)],
        },
        # One that somebody else has set going, and that came to a good end, stands for the attempt without its number.
        "attempt": max(attempt_of(workflow) or 0, run.status.retries or 0),
        "workflowUID": as_text(metadata.get("uid")),
        "data": data,
    }


def unpack_snapshot(snapshot: Json) -> dict[str, Any] | None:
    """The Workflow in a snapshot, or None where it cannot be read."""
    return dict(unpack_json(as_text(snapshot.get("data")))) or None


MAX_NODES_PLAIN = 1_000_000
"""Bytes of `status.nodes` above which they are written compressed, as Argo 3.7 does it (`MAX_WORKFLOW_SIZE`, 1 MiB)."""


def restore_workflow(snapshot: Json, run: RunRecord) -> dict[str, Any] | None:
    """The Workflow in a snapshot, as it is to be put back for this run; None where it cannot be read.

    It is finished as it was, and says so by the label by which Argo's controller leaves a Workflow alone.
    """
    workflow = unpack_snapshot(snapshot)
    if workflow is None:
        return None
    metadata, status = dict(metadata_of(workflow)), dict(status_of(workflow))
    annotations = dict(as_mapping(metadata.get("annotations")))
    if run.status.workflow:
        annotations[RESTORED_ANNOTATION] = run.status.workflow.uid
    labels = {**as_mapping(metadata.get("labels")), COMPLETED_LABEL: "true", PHASE_LABEL: as_text(status.get("phase"))}
    metadata |= {
        "name": run.key.name,
        "namespace": run.key.namespace,
        "labels": labels,
        "annotations": annotations,
        "ownerReferences": [owner_reference(run.key.name, run.uid)],
    }
    if len(json.dumps(status.get("nodes"))) > MAX_NODES_PLAIN:
        status["compressedNodes"] = pack_json(as_mapping(status.pop("nodes")))
    return {**workflow, "metadata": metadata, "status": status}


def belongs_to_run(snapshot: Json, run: RunRecord) -> bool:
    """Whether the snapshot is this very run's, and not that of an earlier one of its name."""
    return as_text(controller_reference(metadata_of(snapshot)).get("uid")) == run.uid


def is_of_current_attempt(snapshot: Json, run: RunRecord) -> bool:
    """Whether the snapshot is of the attempt that the run's status tells of."""
    return belongs_to_run(snapshot, run) and snapshot.get("attempt") == (run.status.retries or 0)


def is_of_later_attempt(snapshot: Json, run: RunRecord, other: Json) -> bool:
    """Whether the snapshot is of a later attempt of the run than the other one, made by somebody who stood still, is of."""
    later, earlier = snapshot.get("attempt"), other.get("attempt")
    return belongs_to_run(snapshot, run) and isinstance(later, int) and isinstance(earlier, int) and later > earlier


def holds_workflow(snapshot: Json, run: RunRecord, workflow: Json) -> bool:
    """Whether the snapshot already holds this Workflow, as far as can be told by its attempt and its end."""
    packed = unpack_snapshot(snapshot) if belongs_to_run(snapshot, run) else None
    return packed is not None and end_identity(packed) == end_identity(workflow)


def end_identity(workflow: Json) -> tuple[object, ...]:
    """What tells two ends of a run's Workflow apart."""
    status: Mapping[str, Any] = status_of(workflow)
    return attempt_of(workflow) or 0, status.get("phase"), status.get("startedAt"), status.get("finishedAt")
