"""A PipelineRun as the run service shows it: `Run` of run.proto. Never raises: anybody may write to a run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from google.protobuf.timestamp_pb2 import Timestamp

from runwright.api.labels import STORAGE_STATE_LABEL
from runwright.api.states import Phase, StorageState
from runwright.core.workflow.manifest import WORKFLOW_API_VERSION, WORKFLOW_KIND
from runwright.kube.objects import (
    Json,
    as_mapping,
    as_text,
    as_time,
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
"""A run that is being ended early and has not ended (KFP 1.8.22; not among the words of run.proto's comment)."""

FINISHED = frozenset(phase.value for phase in Phase if phase.finished)


@dataclass(frozen=True, slots=True)
class ManifestRef:
    """Where the manifest of a run is kept, beside it."""

    namespace: str
    name: str
    """Of the ConfigMap."""
    key: str
    digest: str = ""


def run_message(run: Json, manifest: str = "") -> Run:
    """The run, with the manifest that was found for it."""
    metadata, spec, status = (as_mapping(run.get(part)) for part in ("metadata", "spec", "status"))
    return Run(
        id=written(metadata.get("uid")),
        name=display_name_of(run),
        storage_state=Run.STORAGESTATE_ARCHIVED if archived(run) else Run.STORAGESTATE_AVAILABLE,
        description=written(spec.get("description")),
        pipeline_spec=pipeline_spec(spec, manifest),
        resource_references=[one for one in map(reference, objects(spec.get("references"))) if one is not None],
        service_account=written(spec.get("serviceAccountName")),
        created_at=timestamp(metadata.get("creationTimestamp")),
        scheduled_at=timestamp(status.get("scheduledAt")),
        finished_at=timestamp(status.get("finishedAt")),
        status=kfp_status(run),
        error=error_of(status),
        metrics=[one for one in map(metric, objects(status.get("metrics"))) if one is not None],
    )


def pipeline_spec(spec: Json, manifest: str) -> PipelineSpec:
    """Where the run came from, and what was given to it."""
    pipeline = as_mapping(spec.get("pipeline"))
    return PipelineSpec(
        pipeline_id=written(pipeline.get("id")),
        pipeline_name=written(pipeline.get("name")),
        pipeline_manifest=written(pipeline.get("manifest")),
        workflow_manifest=written(manifest),
        parameters=[
            Parameter(name=written(one.get("name")), value=written(one.get("value")))
            for one in objects(spec.get("parameters"))
        ],
    )


def display_name_of(run: Json) -> str:
    """What people call the run."""
    return written(spec_of(run).get("displayName")) or written(metadata_of(run).get("name"))


def kfp_status(run: Json) -> str:
    """The phase, in the words of KFP's API; Pending before there is one."""
    phase = written(status_of(run).get("phase")) or Phase.PENDING.value
    if phase not in FINISHED and spec_of(run).get("shutdown"):
        return TERMINATING
    return phase


def archived(run: Json) -> bool:
    """Whether the run is archived, as its label asks: KFP's clients see it at once."""
    labels = labels_of(run)
    return labels.get(STORAGE_STATE_LABEL) == StorageState.ARCHIVED.value


def error_of(status: Json) -> str:
    """What a person must do for the run to go on."""
    if written(status.get("phase")) in FINISHED:
        return ""
    for condition in objects(status.get("conditions")):
        if condition.get("type") == "Stalled" and condition.get("status") == "True":
            return written(condition.get("message"))
    return ""


def reference(one: Json) -> ResourceReference | None:
    """What the run belongs to, or was made by; None for a type that the contract has not."""
    kind, relation = as_text(one.get("type")), as_text(one.get("relationship")) or "OWNER"
    if kind not in ResourceType.keys() or relation not in Relationship.keys():  # noqa: SIM118 - an enum, no mapping
        return None
    return ResourceReference(
        key=ResourceKey(type=ResourceType.Value(kind), id=written(one.get("id"))),
        name=written(one.get("name")),
        relationship=Relationship.Value(relation),
    )


def metric(one: Json) -> RunMetric | None:
    """A metric that was reported; None where it is no number."""
    value, form = one.get("value"), as_text(one.get("format")) or "UNSPECIFIED"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return RunMetric(
        name=written(one.get("name")),
        node_id=written(one.get("nodeID")),
        number_value=number,
        format=RunMetric.Format.Value(form) if form in RunMetric.Format.keys() else RunMetric.UNSPECIFIED,  # noqa: SIM118
    )


def inline_manifest(run: Json) -> str:
    """The manifest that stands in the run itself; a WorkflowSpec as the Workflow that it stands for."""
    workflow = as_mapping(spec_of(run).get("workflow"))
    if spec := spec_of(workflow):
        document = {"apiVersion": WORKFLOW_API_VERSION, "kind": WORKFLOW_KIND, "spec": spec}
        return written(json.dumps(document, separators=(",", ":")))
    return written(workflow.get("manifest"))


def manifest_ref(run: Json) -> ManifestRef | None:
    """Where the run's manifest is, if it is not in the run itself."""
    source = as_mapping(as_mapping(spec_of(run).get("workflow")).get("manifestFrom"))
    ref = as_mapping(source.get("configMapKeyRef"))
    if not ref:
        return None
    namespace = namespace_of(run)
    return ManifestRef(namespace, as_text(ref.get("name")), as_text(ref.get("key")), as_text(source.get("digest")))


def timestamp(value: object) -> Timestamp:
    """A time in whole seconds; 1970-01-01T00:00:00Z for none, as KFP gives it."""
    return Timestamp(seconds=seconds(value))


def seconds(value: object) -> int:
    """A time in seconds since 1970; 0 for none."""
    found = as_time(value)
    return max(0, int((found - EPOCH).total_seconds())) if found else 0


EPOCH = datetime.fromtimestamp(0, UTC)


def written(value: object) -> str:
    """A text as protobuf can hold it; empty for what is none."""
    return as_text(value).encode("utf-8", "replace").decode()


def objects(value: object) -> list[Json]:
    """The items of a list that are objects."""
    items = cast(list[Any], value) if isinstance(value, list) else []
    return [cast(Json, item) for item in items if isinstance(item, dict)]
