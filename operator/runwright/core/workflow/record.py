"""Reads a Workflow into a WorkflowRecord.

Never raises, whatever the Workflow contains: users can write to it.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from itertools import islice
from typing import cast

from runwright.api.labels import SHARD_LABEL
from runwright.api.pipelinerun import KIND, NodeStatus
from runwright.core.metrics.reports import MAX_OF_A_RUN, METRICS_OUTPUT
from runwright.core.records import WorkflowRecord
from runwright.core.status.sizes import shorten
from runwright.core.workflow.nodes import bounded_nodes
from runwright.core.workflow.outputs import bounded_outputs
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

MAX_NODES_BYTES = 64 * 1024 * 1024
"""Maximum bytes of unpacked `status.compressedNodes`; more than the nodes that fit into an etcd object."""

NODE_MESSAGE_LIMIT = 256
"""Bytes of a node's message."""

SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
"""Escape of a surrogate; an unpaired one cannot be sent to the API server."""


def workflow_record(body: Json) -> WorkflowRecord:
    """The fields of a Workflow that the decision needs."""
    metadata, status = metadata_of(body), status_of(body)
    owner = controller_reference(metadata)
    nodes = workflow_nodes(status)
    kept, omitted = bounded_nodes([node_status(id, as_mapping(node)) for id, node in nodes.items()])
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
        restored_from=as_text(annotations.get(RESTORED_ANNOTATION)),
        source_digest=as_text(annotations.get(SOURCE_ANNOTATION)),
        shard=as_text(as_mapping(metadata.get("labels")).get(SHARD_LABEL)),
        created_at=as_time(metadata.get("creationTimestamp")),
        deleting=metadata.get("deletionTimestamp") is not None,
        shutdown=as_text(spec_of(body).get("shutdown")),
        phase=as_text(status.get("phase")),
        message=as_text(status.get("message")),
        progress=shorten(as_text(status.get("progress")), 32),
        started_at=as_time(status.get("startedAt")),
        finished_at=as_time(status.get("finishedAt")),
        nodes=kept,
        nodes_omitted=omitted,
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


def workflow_nodes(status: Json) -> Json:
    """A Workflow's nodes, by id.

    Argo 3.7 moves `status.nodes` to `status.compressedNodes` (gzip, base64) near 1 MB. Returns an empty mapping for nodes
    in Argo's database or in another compression.
    """
    packed = as_text(status.get("compressedNodes"))
    return unpack_json(packed) if packed else as_mapping(status.get("nodes"))


def unpack_json(packed: str) -> Json:
    """Decodes an object from base64, gzip and JSON; an empty mapping if it is invalid."""
    try:
        unpacker = zlib.decompressobj(wbits=31)
        raw = unpacker.decompress(base64.b64decode(packed), MAX_NODES_BYTES)
        found: object = json.loads(raw) if unpacker.eof else None
        if SURROGATE.search(raw):
            found = json.loads(json.dumps(found, ensure_ascii=False).encode("utf-8", "replace"))
        return as_mapping(found)
    except (binascii.Error, zlib.error, ValueError, RecursionError):
        return {}


def node_status(node_id: str, node: Json) -> NodeStatus:
    """Summary of one node; with its message unless it is running or succeeded."""
    phase = as_text(node.get("phase"))
    message = as_text(node.get("message")) if phase not in ("Succeeded", "Running") else ""
    return NodeStatus(
        id=shorten(node_id, 253),
        name=shorten(as_text(node.get("displayName")) or as_text(node.get("name")), 253),
        type=shorten(as_text(node.get("type")), 32),
        phase=shorten(phase, 32),
        started_at=as_time(node.get("startedAt")),
        finished_at=as_time(node.get("finishedAt")),
        message=shorten(message, NODE_MESSAGE_LIMIT) or None,
    )
