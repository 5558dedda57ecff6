"""From an object as the API server sent it to the record that the decision is made from.

Nothing here raises on an odd object: anybody may write to a Workflow, and an older version may have written the status.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import json
import re
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, cast

from pydantic import ValidationError

from runwright.api.duration import duration_of
from runwright.api.pipelinerun import (
    DELETE_ON_LABEL,
    IMPORTED_ANNOTATION,
    KIND,
    SHARD_LABEL,
    STORAGE_STATE_LABEL,
    NodeStatus,
    PipelineRunStatus,
    Shutdown,
    StorageState,
)
from runwright.core.metrics import MAX_OF_A_RUN, METRICS_OUTPUT
from runwright.core.nodes import bounded_nodes
from runwright.core.outputs import bounded_outputs
from runwright.core.records import Key, Periods, RunRecord, Source, WorkflowRecord
from runwright.core.sizes import shorten

GENERATION_ANNOTATION = "runwright.dev/generation"
"""On a Workflow: the `metadata.generation` of the run that it was made from."""

SOURCE_ANNOTATION = "runwright.dev/source-digest"
"""On a Workflow: the digest of those fields of its run that it was made from."""

ATTEMPT_ANNOTATION = "runwright.dev/attempt"
"""On a Workflow: `spec.retries` of the run when it was made or last reset."""

RESTORED_ANNOTATION = "runwright.dev/restored-from"
"""On a Workflow that was put back from a snapshot: the uid of the one that it stands for."""

SOURCE_FIELDS = ("workflow", "parameters", "serviceAccountName")

MAX_NODES_BYTES = 64 * 1024 * 1024
"""The most that `status.compressedNodes` may unpack to; more than an etcd object can hold of honest nodes."""

NODE_MESSAGE_LIMIT = 256

SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
"""Half of a character: in a pair it is one, alone it cannot be sent to the API server."""

Json = Mapping[str, Any]


def mapping(value: object) -> Json:
    """The value if it is an object, else an empty one."""
    return cast(Json, value) if isinstance(value, Mapping) else {}


def text(value: object) -> str:
    """The value if it is a string, else an empty one."""
    return value if isinstance(value, str) else ""


def moment(value: object) -> datetime | None:
    """An RFC 3339 time in UTC, or None for anything else."""
    try:
        at = datetime.fromisoformat(text(value))
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def key_of(body: Json) -> Key:
    """Namespace and name of an object."""
    metadata = mapping(body.get("metadata"))
    return Key(text(metadata.get("namespace")), text(metadata.get("name")))


def run_record(body: Json) -> RunRecord:
    """What the decision needs of a PipelineRun."""
    metadata, spec = mapping(body.get("metadata")), mapping(body.get("spec"))
    workflow = mapping(spec.get("workflow"))
    sources = [source for source in Source if source and workflow.get(source) is not None]
    shutdown = text(spec.get("shutdown"))
    status = run_status(body.get("status"))
    generation, retries = metadata.get("generation"), spec.get("retries")
    labels = mapping(metadata.get("labels"))
    return RunRecord(
        key=key_of(body),
        uid=text(metadata.get("uid")),
        resource_version=text(metadata.get("resourceVersion")),
        generation=generation if isinstance(generation, int) else 0,
        created_at=moment(metadata.get("creationTimestamp")) or datetime.fromtimestamp(0, UTC),
        status=status,
        source=sources[0] if len(sources) == 1 else Source.INVALID,
        deleting=metadata.get("deletionTimestamp") is not None,
        source_digest="" if status.workflow else source_digest(spec),
        shutdown=Shutdown(shutdown) if shutdown in list(Shutdown) else None,
        retries=retries if isinstance(retries, int) else 0,
        archived=labels.get(STORAGE_STATE_LABEL) == StorageState.ARCHIVED,
        delete_on=text(labels.get(DELETE_ON_LABEL)),
        periods=periods(mapping(spec.get("retention"))),
        imported=IMPORTED_ANNOTATION in mapping(metadata.get("annotations")),
        owned_elsewhere=owned_elsewhere(labels, mapping(metadata.get("annotations"))),
    )


def periods(retention: Json) -> Periods:
    """`spec.retention`; what is no duration is left out."""
    known: dict[str, timedelta] = {}
    for name in ("archiveAfter", "deleteAfter", "keepWorkflow"):
        with contextlib.suppress(ValueError):
            known[name] = duration_of(text(retention.get(name)))
    return Periods(known.get("archiveAfter"), known.get("deleteAfter"), known.get("keepWorkflow"))


OWNER_LABELS = (
    "app.kubernetes.io/instance",
    "argocd.argoproj.io/instance",
    "kustomize.toolkit.fluxcd.io/name",
    "helm.toolkit.fluxcd.io/name",
)
OWNER_ANNOTATIONS = ("argocd.argoproj.io/tracking-id", "meta.helm.sh/release-name")


def owned_elsewhere(labels: Json, annotations: Json) -> bool:
    """Whether Argo CD, Flux or Helm has put its mark on the object."""
    return any(name in labels for name in OWNER_LABELS) or any(name in annotations for name in OWNER_ANNOTATIONS)


def attempt_of(workflow: Json) -> int | None:
    """Which attempt of its run a Workflow is, or None where it does not say."""
    return counter(mapping(mapping(workflow.get("metadata")).get("annotations")).get(ATTEMPT_ANNOTATION))


def counter(value: object) -> int | None:
    """A whole number that stands as text in an annotation, or None for anything else."""
    number = text(value)
    return int(number) if re.fullmatch("[0-9]{1,18}", number) else None


def source_digest(spec: Json) -> str:
    """A digest of what a Workflow is made from: two specs with the same one make the same Workflow."""
    source = json.dumps([spec.get(name) for name in SOURCE_FIELDS], sort_keys=True)
    return hashlib.sha256(source.encode()).hexdigest()[:32]


def run_status(value: object) -> PipelineRunStatus:
    """A run's status, without those of its fields that cannot be read: a newer version may have written them.

    What is left still tells whether the run has had a Workflow and whether it has ended, so it is not started again.
    """
    fields = dict(mapping(value))
    try:
        return PipelineRunStatus.model_validate(fields)
    except ValidationError as error:
        for field in {str(problem["loc"][0]) for problem in error.errors() if problem["loc"]}:
            fields.pop(field, None)
    try:
        return PipelineRunStatus.model_validate(fields)
    except ValidationError:
        return PipelineRunStatus()


def workflow_record(body: Json) -> WorkflowRecord:
    """What the decision needs of a Workflow."""
    metadata, status = mapping(body.get("metadata")), mapping(body.get("status"))
    owner = controller_run(metadata)
    nodes = workflow_nodes(status)
    kept, omitted = bounded_nodes([node_status(id, mapping(node)) for id, node in nodes.items()])
    root = mapping(nodes.get(text(metadata.get("name"))))
    annotations = mapping(metadata.get("annotations"))
    return WorkflowRecord(
        key=key_of(body),
        uid=text(metadata.get("uid")),
        resource_version=text(metadata.get("resourceVersion")),
        owner_uid=text(owner.get("uid")),
        owner_name=text(owner.get("name")),
        generation=counter(annotations.get(GENERATION_ANNOTATION)) or 0,
        attempt=attempt_of(body),
        restored_from=text(annotations.get(RESTORED_ANNOTATION)),
        source_digest=text(annotations.get(SOURCE_ANNOTATION)),
        shard=text(mapping(metadata.get("labels")).get(SHARD_LABEL)),
        created_at=moment(metadata.get("creationTimestamp")),
        deleting=metadata.get("deletionTimestamp") is not None,
        shutdown=text(mapping(body.get("spec")).get("shutdown")),
        phase=text(status.get("phase")),
        message=text(status.get("message")),
        progress=shorten(text(status.get("progress")), 32),
        started_at=moment(status.get("startedAt")),
        finished_at=moment(status.get("finishedAt")),
        nodes=kept,
        nodes_omitted=omitted,
        metric_nodes=metric_nodes(nodes),
        outputs=bounded_outputs(mapping(root.get("outputs")), mapping(status.get("outputs"))),
    )


def metric_nodes(nodes: Json) -> tuple[str, ...]:
    """The nodes that have left metrics. Of pods only: a node above them repeats the outputs of its last child."""
    ended = ("Succeeded", "Failed", "Error")
    left = (
        key
        for key, node in nodes.items()
        if node_has(mapping(node), "type", ("Pod",))
        and node_has(mapping(node), "phase", ended)
        and leaves_metrics(node)
    )
    return tuple(islice(left, MAX_OF_A_RUN))


def node_has(node: Json, field: str, values: tuple[str, ...]) -> bool:
    """Whether a field of a node has one of these values."""
    return text(node.get(field)) in values


def leaves_metrics(node: object) -> bool:
    """Whether a node has the output, artifact or parameter, in which metrics are left."""
    outputs = mapping(mapping(node).get("outputs"))
    return any(output_of(outputs, kind) is not None for kind in ("artifacts", "parameters"))


def output_of(outputs: Json, kind: str, name: str = METRICS_OUTPUT) -> Json | None:
    """The output artifact or parameter of that name."""
    found = outputs.get(kind)
    entries = cast(list[object], found) if isinstance(found, list) else []
    return next((mapping(entry) for entry in entries if mapping(entry).get("name") == name), None)


def controller_run(metadata: Json) -> Json:
    """The owner reference of the PipelineRun that controls an object, or an empty one."""
    owners = metadata.get("ownerReferences")
    for owner in cast(list[object], owners) if isinstance(owners, list) else []:
        reference = mapping(owner)
        if reference.get("kind") == KIND and reference.get("controller") is True:
            return reference
    return {}


def workflow_nodes(status: Json) -> Json:
    """A Workflow's nodes, by id.

    Argo 3.7 moves `status.nodes` into `status.compressedNodes` (gzip, base64) when they near 1 MB; nodes that it
    keeps in a database of its own, or packs in a way that is not gzip, are not readable here and come out empty.
    """
    packed = text(status.get("compressedNodes"))
    return unpacked(packed) if packed else mapping(status.get("nodes"))


def unpacked(packed: str) -> Json:
    """The object that stands in a text as gzip in base64, or an empty one where it cannot be read."""
    try:
        unpacker = zlib.decompressobj(wbits=31)
        raw = unpacker.decompress(base64.b64decode(packed), MAX_NODES_BYTES)
        found: object = json.loads(raw) if unpacker.eof else None
        if SURROGATE.search(raw):
            found = json.loads(json.dumps(found, ensure_ascii=False).encode("utf-8", "replace"))
        return mapping(found)
    except (binascii.Error, zlib.error, ValueError, RecursionError):
        return {}


def node_status(node_id: str, node: Json) -> NodeStatus:
    """One node, in short. The message only where it says what went wrong."""
    phase = text(node.get("phase"))
    message = text(node.get("message")) if phase not in ("Succeeded", "Running") else ""
    return NodeStatus(
        id=shorten(node_id, 253),
        name=shorten(text(node.get("displayName")) or text(node.get("name")), 253),
        type=shorten(text(node.get("type")), 32),
        phase=shorten(phase, 32),
        started_at=moment(node.get("startedAt")),
        finished_at=moment(node.get("finishedAt")),
        message=shorten(message, NODE_MESSAGE_LIMIT) or None,
    )
