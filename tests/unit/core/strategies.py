"""Hypothesis strategies for records, for properties of the pure core."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from runwright.api.pipelinerun import Condition, PipelineRunStatus, WorkflowReference
from runwright.api.states import Phase, Shutdown, StorageState
from runwright.core.decision import Memory
from runwright.core.records import Absent, Kept, NotSeen, Periods, Refusal, RunRecord, Seen, SourceField, WorkflowRecord
from runwright.core.retention.periods import RetentionTerms
from runwright.core.status.conditions import STALLED, SUCCEEDED, WORKFLOW_DELETED, WORKFLOW_REFUSED
from runwright.core.workflow.record import workflow_record
from runwright.kube.objects import Key

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
KEY = Key("team", "train")
RUN_UID, WORKFLOW_UID = "run-uid", "workflow-uid"

TIMES = st.integers(-4000, 4000).map(lambda seconds: NOW + timedelta(seconds=seconds))
TEXT = st.text(max_size=40) | st.sampled_from(["invalid spec: no such template", "<&>" * 700, "é" * 2000])
REASONS = st.sampled_from(["Running", "Succeeded", WORKFLOW_DELETED, WORKFLOW_REFUSED, "ConfigMapNotFound"])
DIGESTS = st.sampled_from(["", "digest-a", "digest-b"])

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)

OBJECTS: st.SearchStrategy[dict[str, Any]] = st.dictionaries(st.text(max_size=8), JSON, max_size=4)
METADATA = OBJECTS | st.fixed_dictionaries(
    {},
    optional={
        "name": JSON,
        "namespace": JSON,
        "uid": JSON,
        "resourceVersion": JSON,
        "generation": JSON,
        "creationTimestamp": JSON,
        "deletionTimestamp": JSON,
        "annotations": JSON,
        "ownerReferences": JSON
        | st.lists(st.fixed_dictionaries({"kind": st.just("PipelineRun"), "controller": st.just(True), "uid": JSON})),
    },
)

CONDITIONS = st.lists(
    st.builds(
        Condition,
        type=st.sampled_from([SUCCEEDED, STALLED, "Archived"]),
        status=st.sampled_from(["True", "False", "Unknown"]),
        reason=REASONS,
        message=st.sampled_from(["", "because"]),
        lastTransitionTime=TIMES,
        observed_generation=st.none() | st.integers(0, 3),
    ),
    max_size=3,
    unique_by=lambda condition: condition.type,
)

REFERENCES = st.builds(WorkflowReference, name=st.just(KEY.name), uid=st.sampled_from([WORKFLOW_UID, "another-uid"]))

STATUSES = st.builds(
    PipelineRunStatus,
    observed_generation=st.none() | st.integers(0, 3),
    phase=st.none() | st.sampled_from(Phase),
    message=st.none() | st.just("because"),
    conditions=st.none() | CONDITIONS,
    scheduled_at=st.none() | TIMES,
    started_at=st.none() | TIMES,
    finished_at=st.none() | TIMES,
    progress=st.none() | st.just("1/2"),
    retries=st.none() | st.integers(0, 2),
    workflow=st.none() | REFERENCES,
    storage_state=st.none() | st.sampled_from(StorageState),
)

SPANS = st.none() | st.sampled_from([timedelta(0), timedelta(seconds=90), timedelta(hours=1), timedelta(days=36_525)])
PERIODS = st.builds(Periods, archive_after=SPANS, delete_after=SPANS, keep_workflow=SPANS)
TERMS = st.builds(RetentionTerms, archive_after=SPANS, delete_after=SPANS, keep_workflow=SPANS, surplus=st.booleans())

RUNS = st.builds(
    RunRecord,
    key=st.just(KEY),
    uid=st.just(RUN_UID),
    resource_version=st.just("7"),
    generation=st.integers(0, 3),
    created_at=TIMES,
    status=STATUSES,
    source=st.sampled_from(SourceField),
    deleting=st.booleans(),
    source_digest=DIGESTS,
    shutdown=st.none() | st.sampled_from(Shutdown),
    retries=st.integers(0, 2),
    archived=st.booleans(),
    delete_on=st.sampled_from(["", "2026-11-24", "2027-01-01"]),
    periods=PERIODS,
    owned_elsewhere=st.booleans(),
)

RFC3339 = TIMES.map(lambda at: at.isoformat())
NODES = st.dictionaries(
    st.sampled_from(["train", "train-1", "train-2", "train-3"]),
    JSON
    | st.fixed_dictionaries(
        {},
        optional={
            "displayName": TEXT,
            "type": st.sampled_from(["Pod", "DAG"]) | TEXT,
            "phase": st.sampled_from(["Running", "Failed", "Succeeded"]) | TEXT,
            "message": TEXT,
            "startedAt": RFC3339 | TEXT,
            "finishedAt": RFC3339,
            "outputs": JSON
            | st.fixed_dictionaries({"parameters": st.lists(st.fixed_dictionaries({"name": TEXT, "value": TEXT}))}),
        },
    ),
    max_size=4,
)

WORKFLOW_STATUSES = st.fixed_dictionaries(
    {},
    optional={
        "phase": st.sampled_from(["", "Pending", "Running", "Succeeded", "Failed", "Error", "Unheard"]) | JSON,
        "message": TEXT | JSON,
        "progress": st.sampled_from(["0/2", "2/2"]) | JSON,
        "startedAt": RFC3339 | JSON,
        "finishedAt": RFC3339 | JSON,
        "nodes": NODES | JSON,
        "compressedNodes": st.text(max_size=20) | JSON,
        "outputs": JSON,
    },
)
"""`status` of a Workflow, as Argo or anybody may have written it."""


@st.composite
def workflows(draw: st.DrawFn) -> WorkflowRecord:
    """A Workflow of the run's name: the run's own, another one of it, or somebody else's."""
    owner = draw(st.sampled_from([RUN_UID, RUN_UID, RUN_UID, "earlier-run", ""]))
    reference = {"kind": "PipelineRun", "controller": True, "uid": owner, "name": KEY.name}
    annotations = {
        "runwright.dev/generation": draw(st.sampled_from(["", "0", "1", "2", "3", "x", "9" * 5000])),
        "runwright.dev/source-digest": draw(DIGESTS),
        "runwright.dev/attempt": draw(st.sampled_from(["", "0", "1", "2", "x"])),
        "runwright.dev/restored-from": draw(st.sampled_from(["", WORKFLOW_UID, "another-uid"])),
    }
    metadata = {
        "namespace": KEY.namespace,
        "name": KEY.name,
        "uid": draw(st.sampled_from([WORKFLOW_UID, "another-uid"])),
        "resourceVersion": "9",
        "annotations": annotations,
        "ownerReferences": [reference] if owner else [],
    }
    return workflow_record({"metadata": metadata, "status": draw(WORKFLOW_STATUSES)})


REFUSALS = st.builds(Refusal, reason=REASONS, message=TEXT, heals=st.booleans())

KEPT = st.builds(
    Kept,
    workflow=workflows().filter(lambda found: found.owner_uid == RUN_UID and found.finished),
    problem=st.sampled_from(["", "too large"]),
)

SEEN: st.SearchStrategy[Seen] = (
    st.builds(NotSeen) | st.builds(Absent, snapshot=st.none() | st.booleans()) | workflows() | KEPT | REFUSALS
)

MEMORIES = st.builds(
    Memory,
    written_at=st.none() | TIMES,
    refused_at=st.none() | TIMES,
    refused_generation=st.integers(0, 3),
    refusal_heals=st.booleans(),
)
