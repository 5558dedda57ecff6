"""Reads a PipelineRun into a RunRecord.

Never raises: another version of the operator may have written the status.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from datetime import UTC, datetime, timedelta

from pydantic import ValidationError

from runwright.api.duration import duration_of
from runwright.api.labels import DELETE_ON_LABEL, IMPORTED_ANNOTATION, STORAGE_STATE_LABEL
from runwright.api.pipelinerun import PipelineRunStatus
from runwright.api.states import Shutdown, StorageState
from runwright.core.records import NO_PERIODS, Periods, RunRecord, SourceField
from runwright.kube.objects import Json, as_mapping, as_text, as_time, key_of, metadata_of, spec_of

SOURCE_FIELDS = ("workflow", "parameters", "serviceAccountName")


def run_record(body: Json) -> RunRecord:
    """The fields of a PipelineRun that the decision needs."""
    metadata, spec = metadata_of(body), spec_of(body)
    workflow = as_mapping(spec.get("workflow"))
    sources = [source for source in SourceField if source and workflow.get(source) is not None]
    shutdown = as_text(spec.get("shutdown"))
    status = read_run_status(body.get("status"))
    generation, retries = metadata.get("generation"), spec.get("retries")
    labels = as_mapping(metadata.get("labels"))
    return RunRecord(
        key=key_of(body),
        uid=as_text(metadata.get("uid")),
        resource_version=as_text(metadata.get("resourceVersion")),
        generation=generation if isinstance(generation, int) else 0,
        created_at=as_time(metadata.get("creationTimestamp")) or datetime.fromtimestamp(0, UTC),
        status=status,
        source=sources[0] if len(sources) == 1 else SourceField.INVALID,
        deleting=metadata.get("deletionTimestamp") is not None,
        source_digest="" if status.workflow else source_digest(spec),
        shutdown=Shutdown(shutdown) if shutdown in list(Shutdown) else None,
        retries=retries if isinstance(retries, int) else 0,
        archived=labels.get(STORAGE_STATE_LABEL) == StorageState.ARCHIVED,
        delete_on=as_text(labels.get(DELETE_ON_LABEL)),
        periods=read_periods(as_mapping(spec.get("retention"))),
        imported=IMPORTED_ANNOTATION in as_mapping(metadata.get("annotations")),
        owned_elsewhere=is_owned_elsewhere(labels, as_mapping(metadata.get("annotations"))),
    )


def read_periods(retention: Json) -> Periods:
    """Reads `spec.retention`; ignores values that are not durations."""
    if not retention:
        return NO_PERIODS
    known: dict[str, timedelta] = {}
    for name in ("archiveAfter", "deleteAfter", "keepWorkflow"):
        with contextlib.suppress(ValueError):
            known[name] = duration_of(as_text(retention.get(name)))
    return Periods(known.get("archiveAfter"), known.get("deleteAfter"), known.get("keepWorkflow"))


OWNER_LABELS = (
    "app.kubernetes.io/instance",
    "argocd.argoproj.io/instance",
    "kustomize.toolkit.fluxcd.io/name",
    "helm.toolkit.fluxcd.io/name",
)


OWNER_ANNOTATIONS = ("argocd.argoproj.io/tracking-id", "meta.helm.sh/release-name")


def is_owned_elsewhere(labels: Json, annotations: Json) -> bool:
    """Whether a label or annotation shows that Argo CD, Flux or Helm manages the object."""
    return any(name in labels for name in OWNER_LABELS) or any(name in annotations for name in OWNER_ANNOTATIONS)


def source_digest(spec: Json) -> str:
    """Digest of the fields that a Workflow is built from. Specs with equal digests give equal Workflows."""
    source = json.dumps([spec.get(name) for name in SOURCE_FIELDS], sort_keys=True)
    return hashlib.sha256(source.encode()).hexdigest()[:32]


def read_run_status(value: object) -> PipelineRunStatus:
    """Reads a run's status. Leaves out invalid fields, which a newer version may have written.

    The other fields still show whether the run has a Workflow and whether it has ended, so that it is not started twice.
    """
    fields = dict(as_mapping(value))
    try:
        return PipelineRunStatus.model_validate(fields)
    except ValidationError as error:
        for field in {str(problem["loc"][0]) for problem in error.errors() if problem["loc"]}:
            fields.pop(field, None)
    try:
        return PipelineRunStatus.model_validate(fields)
    except ValidationError:
        return PipelineRunStatus()
