"""Packs the final Workflow of a run into a WorkflowSnapshot, and restores it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runwright.api.labels import RUN_LABEL
from runwright.api.resources import API_VERSION
from runwright.api.workflowsnapshot import KIND, MAX_SNAPSHOT
from runwright.core.records import RunRecord
from runwright.core.retry.reset import COMPLETED_LABEL, NODE_LEVELS, PHASE_LABEL, encode_in_pieces, pack_json
from runwright.core.workflow.build import owner_reference
from runwright.core.workflow.packed import PackedError, unpack_json
from runwright.core.workflow.record import (
    RESTORED_ANNOTATION,
    attempt_of,
    controller_reference,
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
"""Metadata that the API server sets on each new object."""


def pack_snapshot(run: RunRecord, workflow: Json) -> dict[str, Any] | None:
    """The snapshot of a run's finished Workflow; None if it is too large for etcd, even compressed.

    Nodes that Argo has compressed are unpacked first: compressing them twice would take a third more space.
    """
    metadata = metadata_of(workflow)
    status = dict(status_of(workflow))
    if nodes := workflow_nodes(status):
        status["nodes"] = nodes
        status.pop("compressedNodes", None)
    kept = {name: value for name, value in metadata.items() if name not in GONE_WITH_THE_OBJECT}
    data = pack_json({**workflow, "metadata": kept, "status": status}, NODE_LEVELS)
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
        # A Workflow that another client retried successfully has no number; it belongs to the current attempt.
        "attempt": max(attempt_of(workflow) or 0, run.status.retries or 0),
        "workflowUID": as_text(metadata.get("uid")),
        "data": data,
    }


def unpack_snapshot(snapshot: Json) -> dict[str, Any] | None:
    """The Workflow in a snapshot; None if the snapshot's data is invalid or too large. Check the snapshot's owner first."""
    try:
        return dict(unpack_json(as_text(snapshot.get("data")))) or None
    except PackedError:
        return None


MAX_NODES_PLAIN = 1_000_000
"""Bytes of `status.nodes` above which they are written compressed, as in Argo 3.7 (`MAX_WORKFLOW_SIZE`, 1 MiB)."""


def restore_workflow(snapshot: Json, run: RunRecord) -> dict[str, Any] | None:
    """The Workflow to create from a snapshot for this run; None if the snapshot's data is invalid.

    It has its final status and the label of completed Workflows, which Argo's controller ignores.
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
    if sum(map(len, encode_in_pieces(status.get("nodes"), 1))) > MAX_NODES_PLAIN:
        status["compressedNodes"] = pack_json(as_mapping(status.pop("nodes")))
    return {**workflow, "metadata": metadata, "status": status}


def belongs_to_run(snapshot: Json, run: RunRecord) -> bool:
    """Whether this run controls the snapshot, by uid: an earlier run may have had the same name."""
    return as_text(controller_reference(metadata_of(snapshot)).get("uid")) == run.uid


def is_of_current_attempt(snapshot: Json, run: RunRecord) -> bool:
    """Whether the snapshot is from the run's current attempt, by `status.retries`."""
    return belongs_to_run(snapshot, run) and snapshot.get("attempt") == (run.status.retries or 0)


def is_of_later_attempt(snapshot: Json, run: RunRecord, other: Json) -> bool:
    """Whether the snapshot is from a later attempt of the run than `other`, which a paused operator may have created."""
    later, earlier = snapshot.get("attempt"), other.get("attempt")
    return belongs_to_run(snapshot, run) and isinstance(later, int) and isinstance(earlier, int) and later > earlier


def holds_workflow(snapshot: Json, run: RunRecord, workflow: Json) -> bool:
    """Whether the snapshot contains this Workflow: attempt, phase and times are equal."""
    packed = unpack_snapshot(snapshot) if belongs_to_run(snapshot, run) else None
    return packed is not None and end_identity(packed) == end_identity(workflow)


def end_identity(workflow: Json) -> tuple[object, ...]:
    """Attempt, phase and times of a Workflow, which differ between any two ends of it."""
    status: Mapping[str, Any] = status_of(workflow)
    return attempt_of(workflow) or 0, status.get("phase"), status.get("startedAt"), status.get("finishedAt")
