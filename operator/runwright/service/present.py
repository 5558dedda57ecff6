"""Converts PipelineRuns to `Run` of run.proto. Never raises: a user may write anything into a run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from google.protobuf.timestamp_pb2 import Timestamp

from runwright.api.labels import STORAGE_STATE_LABEL
from runwright.api.states import Phase, StorageState
from runwright.core.workflow.manifest import WORKFLOW_API_VERSION, WORKFLOW_KIND
from runwright.kube.names import is_data_key, is_object_name
from runwright.kube.objects import (
    Json,
    as_mapping,
    as_text,
    as_time,
    incompleteness,
    labels_of,
    metadata_of,
    namespace_of,
    spec_of,
    status_of,
)
from runwright.service.contract.parameter_pb2 import Parameter
from runwright.service.contract.pipeline_spec_pb2 import PipelineSpec
from runwright.service.contract.resource_reference_pb2 import (
    Relationship,
    ResourceKey,
    ResourceReference,
    ResourceType,
)
from runwright.service.contract.run_pb2 import Run, RunMetric

TERMINATING = "Terminating"
"""Status of an unfinished run with a shutdown (KFP 1.8.22; the comment in run.proto does not list it)."""

FINISHED = frozenset(phase.value for phase in Phase if phase.finished)


@dataclass(frozen=True, slots=True)
class ManifestRef:
    """The place of a run's manifest: a PipelineManifest, or a key in a ConfigMap."""

    namespace: str
    name: str
    """Name of the object."""
    key: str = ""
    """Key in the ConfigMap; empty for a PipelineManifest."""
    digest: str = ""


def run_message(run: Json, manifest: str = "") -> Run:
    """The message of a run, with this manifest."""
    metadata, spec, status = (as_mapping(run.get(part)) for part in ("metadata", "spec", "status"))
    return Run(
        id=protobuf_text(metadata.get("uid")),
        name=display_name(run),
        storage_state=Run.STORAGESTATE_ARCHIVED if is_archived(run) else Run.STORAGESTATE_AVAILABLE,
        description=protobuf_text(spec.get("description")),
        pipeline_spec=pipeline_spec_message(spec, manifest),
        resource_references=[
            one
            for one in map(reference_message, object_items(spec.get("references")))
            # A run is in its own namespace, whichever one its spec names.
            if one is not None and (one.key.type != ResourceType.NAMESPACE or one.key.id == metadata.get("namespace"))
        ],
        service_account=protobuf_text(spec.get("serviceAccountName")),
        created_at=timestamp_message(metadata.get("creationTimestamp")),
        scheduled_at=timestamp_message(status.get("scheduledAt")),
        finished_at=timestamp_message(status.get("finishedAt")),
        status=kfp_status(run),
        error=stalled_message(status),
        metrics=[one for one in map(metric_message, object_items(status.get("metrics"))) if one is not None],
    )


def pipeline_spec_message(spec: Json, manifest: str) -> PipelineSpec:
    """The run's pipeline and parameters, with this manifest."""
    pipeline = as_mapping(spec.get("pipeline"))
    return PipelineSpec(
        pipeline_id=protobuf_text(pipeline.get("id")),
        pipeline_name=protobuf_text(pipeline.get("name")),
        pipeline_manifest=protobuf_text(pipeline.get("manifest")),
        workflow_manifest=protobuf_text(manifest),
        parameters=[
            Parameter(name=protobuf_text(one.get("name")), value=protobuf_text(one.get("value")))
            for one in object_items(spec.get("parameters"))
        ],
    )


def display_name(run: Json) -> str:
    """The run's or experiment's `spec.displayName`, else its name."""
    return protobuf_text(spec_of(run).get("displayName")) or protobuf_text(metadata_of(run).get("name"))


def kfp_status(run: Json) -> str:
    """The run's status in KFP's API: its phase, Pending before the first one, Terminating after a shutdown."""
    phase = protobuf_text(status_of(run).get("phase")) or Phase.PENDING.value
    if phase not in FINISHED and spec_of(run).get("shutdown"):
        return TERMINATING
    return phase


def is_archived(run: Json) -> bool:
    """Whether the object has the label of the archive. KFP's clients expect the change at once."""
    labels = labels_of(run)
    return labels.get(STORAGE_STATE_LABEL) == StorageState.ARCHIVED.value


def stalled_message(status: Json) -> str:
    """The message of an unfinished run's Stalled condition: what a person must do; empty where it is not stalled."""
    if protobuf_text(status.get("phase")) in FINISHED:
        return ""
    for condition in object_items(status.get("conditions")):
        if condition.get("type") == "Stalled" and condition.get("status") == "True":
            return protobuf_text(condition.get("message"))
    return ""


def reference_message(one: Json) -> ResourceReference | None:
    """The message of a reference; None for a type that the contract does not have."""
    kind, relation = as_text(one.get("type")), as_text(one.get("relationship")) or "OWNER"
    if kind not in ResourceType.keys() or relation not in Relationship.keys():  # noqa: SIM118 - an enum, no mapping
        return None
    return ResourceReference(
        key=ResourceKey(type=ResourceType.Value(kind), id=protobuf_text(one.get("id"))),
        name=protobuf_text(one.get("name")),
        relationship=Relationship.Value(relation),
    )


def metric_message(one: Json) -> RunMetric | None:
    """The message of a metric; None for a value that is not a number."""
    value, form = one.get("value"), as_text(one.get("format")) or "UNSPECIFIED"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return RunMetric(
        name=protobuf_text(one.get("name")),
        node_id=protobuf_text(one.get("nodeID")),
        number_value=number,
        format=RunMetric.Format.Value(form) if form in RunMetric.Format.keys() else RunMetric.UNSPECIFIED,  # noqa: SIM118
    )


def inline_manifest(run: Json) -> str:
    """The manifest in the run itself; a WorkflowSpec is wrapped in a Workflow.

    Empty where it is elsewhere, and where parts of it were cut when the run was decoded: it would run as something else.
    """
    if incompleteness(run):
        return ""
    workflow = as_mapping(spec_of(run).get("workflow"))
    if spec := spec_of(workflow):
        document = {"apiVersion": WORKFLOW_API_VERSION, "kind": WORKFLOW_KIND, "spec": spec}
        return protobuf_text(json.dumps(document, separators=(",", ":")))
    return protobuf_text(workflow.get("manifest"))


def has_inline_manifest(run: Json) -> bool:
    """Whether the manifest is in the run itself, without encoding it."""
    workflow = as_mapping(spec_of(run).get("workflow"))
    return bool(spec_of(workflow) or as_text(workflow.get("manifest")))


def run_manifest_ref(run: Json) -> ManifestRef | None:
    """The place of the run's manifest; None where it is in the run itself, or where the name is no object's name."""
    source = as_mapping(as_mapping(spec_of(run).get("workflow")).get("manifestFrom"))
    own, config_map = as_mapping(source.get("pipelineManifestRef")), as_mapping(source.get("configMapKeyRef"))
    name, key = (own or config_map).get("name"), config_map.get("key")
    if not is_object_name(name) or not (own or is_data_key(key)):
        return None
    return ManifestRef(namespace_of(run), name, "" if own else as_text(key), as_text(source.get("digest")))


def timestamp_message(value: object) -> Timestamp:
    """A time in whole seconds; 1970-01-01T00:00:00Z for no time, as in KFP."""
    return Timestamp(seconds=epoch_seconds(value))


def epoch_seconds(value: object) -> int:
    """A time as seconds since 1970; 0 for no time."""
    found = as_time(value)
    return max(0, int((found - EPOCH).total_seconds())) if found else 0


EPOCH = datetime.fromtimestamp(0, UTC)


def protobuf_text(value: object) -> str:
    """A text that protobuf can encode: lone surrogates are replaced. Empty for a value that is not a string."""
    return as_text(value).encode("utf-8", "replace").decode()


def object_items(value: object) -> list[Json]:
    """The items of a list that are JSON objects."""
    items = cast(list[Any], value) if isinstance(value, list) else []
    return [cast(Json, item) for item in items if isinstance(item, dict)]
