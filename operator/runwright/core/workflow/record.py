"""Reads a Workflow into a WorkflowRecord.

Never raises, whatever the Workflow contains: users can write to it.
"""

from __future__ import annotations

from itertools import islice
from typing import cast

from runwright.api.labels import SHARD_LABEL
from runwright.api.pipelinerun import KIND
from runwright.core.metrics.reports import MAX_OF_A_RUN, METRICS_OUTPUT
from runwright.core.records import WorkflowRecord
from runwright.core.status.conditions import MESSAGE_LIMIT
from runwright.core.status.sizes import shorten
from runwright.core.workflow.nodes import bounded_nodes
from runwright.core.workflow.outputs import bounded_outputs
from runwright.core.workflow.packed import PackedError, unpack_json
from runwright.kube.objects import (
    Json,
    annotations_of,
    as_count,
    as_mapping,
    as_text,
    as_time,
    key_of,
    metadata_of,
    spec_of,
    status_of,
)

GENERATION_ANNOTATION = "runwright.dev/generation"
"""On a Workflow: `metadata.generation` of the run when the Workflow was built."""

SOURCE_ANNOTATION = "runwright.dev/source-digest"
"""On a Workflow: digest of the run's fields that it was built from."""

ATTEMPT_ANNOTATION = "runwright.dev/attempt"
"""On a Workflow: `spec.retries` of the run when the Workflow was built or last reset."""

RESTORED_ANNOTATION = "runwright.dev/restored-from"
"""On a Workflow that was restored from a snapshot: the uid of the deleted Workflow."""

NO_NODES: Json = {}

MANY_NODES = 1000
"""Nodes that are read within 10 ms."""


def workflow_record(body: Json, *, with_nodes: bool = True) -> WorkflowRecord:
    """The fields of a Workflow that the decision needs.

    `with_nodes=False` for one with many nodes (`has_many_nodes`) that may belong to nobody: the record is marked as partial.
    """
    metadata, status = metadata_of(body), status_of(body)
    owner = controller_reference(metadata)
    nodes, problem = read_nodes(status) if with_nodes else (NO_NODES, "")
    kept, omitted = bounded_nodes(nodes)
    root = as_mapping(nodes.get(as_text(metadata.get("name"))))
    annotations = as_mapping(metadata.get("annotations"))
    return WorkflowRecord(
        key=key_of(body),
        uid=as_text(metadata.get("uid")),
        resource_version=as_text(metadata.get("resourceVersion")),
        owner_uid=as_text(owner.get("uid")),
        owner_name=as_text(owner.get("name")),
        generation=as_count(annotations.get(GENERATION_ANNOTATION)) or 0,
        attempt=attempt_of(body),
        restored_from=shorten(as_text(annotations.get(RESTORED_ANNOTATION)), 64),
        source_digest=shorten(as_text(annotations.get(SOURCE_ANNOTATION)), 64),
        shard=as_text(as_mapping(metadata.get("labels")).get(SHARD_LABEL)),
        created_at=as_time(metadata.get("creationTimestamp")),
        deleting=metadata.get("deletionTimestamp") is not None,
        shutdown=shorten(as_text(spec_of(body).get("shutdown")), 32),
        phase=shorten(as_text(status.get("phase")), 32),
        message=shorten(as_text(status.get("message")), MESSAGE_LIMIT),
        progress=shorten(as_text(status.get("progress")), 32),
        started_at=as_time(status.get("startedAt")),
        finished_at=as_time(status.get("finishedAt")),
        nodes=kept,
        nodes_omitted=omitted,
        nodes_problem=problem,
        partial=not with_nodes,
        metric_nodes=find_metric_nodes(nodes),
        outputs=bounded_outputs(as_mapping(root.get("outputs")), as_mapping(status.get("outputs"))),
    )


def attempt_of(workflow: Json) -> int | None:
    """The attempt in a Workflow's annotation, or None."""
    return as_count(annotations_of(workflow).get(ATTEMPT_ANNOTATION))


def find_metric_nodes(nodes: Json) -> tuple[str, ...]:
    """Finished pod nodes with a metrics output. Groups are left out: they repeat the outputs of their last child."""
    ended = ("Succeeded", "Failed", "Error")
    left = (
        key
        for key, node in nodes.items()
        if node_has(as_mapping(node), "type", ("Pod",))
        and node_has(as_mapping(node), "phase", ended)
        and has_metrics(node)
    )
    return tuple(islice(left, MAX_OF_A_RUN))


def node_has(node: Json, field: str, values: tuple[str, ...]) -> bool:
    """Whether a node's field has one of these values."""
    return as_text(node.get(field)) in values


def has_metrics(node: object) -> bool:
    """Whether a node has the output artifact or parameter for metrics."""
    outputs = as_mapping(as_mapping(node).get("outputs"))
    return any(find_output(outputs, kind) is not None for kind in ("artifacts", "parameters"))


def find_output(outputs: Json, kind: str, name: str = METRICS_OUTPUT) -> Json | None:
    """The output artifact or parameter with this name, or None."""
    found = outputs.get(kind)
    entries = cast(list[object], found) if isinstance(found, list) else []
    return next((as_mapping(entry) for entry in entries if as_mapping(entry).get("name") == name), None)


def controller_reference(metadata: Json) -> Json:
    """The owner reference of the PipelineRun that controls an object, or an empty mapping."""
    owners = metadata.get("ownerReferences")
    for owner in cast(list[object], owners) if isinstance(owners, list) else []:
        reference = as_mapping(owner)
        if reference.get("kind") == KIND and reference.get("controller") is True:
            return reference
    return {}


def has_many_nodes(body: Json) -> bool:
    """Whether a Workflow's nodes are packed or many, so that reading them would stop the event loop for long."""
    status = status_of(body)
    return bool(status.get("compressedNodes")) or len(as_mapping(status.get("nodes"))) > MANY_NODES


def workflow_nodes(status: Json) -> Json:
    """A Workflow's nodes, by id; an empty mapping if they cannot be read.

    Argo 3.7 moves `status.nodes` to `status.compressedNodes` (gzip, base64) near 1 MB. Check the Workflow's owner first.
    """
    return read_nodes(status)[0]


def read_nodes(status: Json) -> tuple[Json, str]:
    """A Workflow's nodes, by id, and the reason why they cannot be read; empty if they can, or if there are none."""
    packed = as_text(status.get("compressedNodes"))
    if not packed:
        return as_mapping(status.get("nodes")), ""
    try:
        return unpack_json(packed), ""
    except PackedError as error:
        return {}, f"status.compressedNodes of the Workflow {error}"
