"""Input of the decision: small records of a run and its Workflow, without manifests and parameters."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from runwright.api.pipelinerun import NodeStatus, Outputs, PipelineRunStatus
from runwright.api.states import Shutdown
from runwright.kube.objects import Key


class SourceField(StrEnum):
    """The field of `spec.workflow` that a run sets."""

    MANIFEST = "manifest"
    SPEC = "spec"
    TEMPLATE_REF = "templateRef"
    MANIFEST_FROM = "manifestFrom"
    INVALID = ""


@dataclass(frozen=True, slots=True)
class Periods:
    """Retention periods, counted from the end of a run; None: never."""

    archive_after: timedelta | None = None
    delete_after: timedelta | None = None
    keep_workflow: timedelta | None = None


NO_PERIODS = Periods()


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What the operator keeps in memory of a PipelineRun."""

    key: Key
    uid: str
    resource_version: str
    generation: int
    created_at: datetime
    status: PipelineRunStatus = field(default_factory=PipelineRunStatus)
    source: SourceField = SourceField.INVALID
    deleting: bool = False
    source_digest: str = ""
    """Digest of the fields that the Workflow is built from; empty once the run has a Workflow, as they are immutable then."""
    shutdown: Shutdown | None = None
    retries: int = 0
    """`spec.retries`: the number of the requested attempt."""
    archived: bool = False
    """Whether the label requests it; `status.storage_state` is the observed state."""
    delete_on: str = ""
    """The label with the date on which retention deletes an archived run."""
    periods: Periods = NO_PERIODS
    """`spec.retention`."""
    imported: bool = False
    """Whether an import created it, which writes its status next."""
    owned_elsewhere: bool = False
    """Whether a GitOps tool or Helm manages the run: it would create a deleted run again."""

    @property
    def finished(self) -> bool:
        """Whether the run's status says that it has ended; without a known phase, whether it has a finish time."""
        if self.status.phase is None:
            return self.status.finished_at is not None
        return self.status.phase.finished


@dataclass(frozen=True, slots=True)
class WorkflowRecord:
    """What the operator keeps in memory of a Workflow: the source of a run's status."""

    key: Key
    uid: str
    resource_version: str
    owner_uid: str = ""
    """UID of the controller, if that is a PipelineRun."""
    owner_name: str = ""
    generation: int = 0
    """`metadata.generation` of the run when the Workflow was built; 0 without the annotation."""
    source_digest: str = ""
    """`RunRecord.source_digest` when the Workflow was built; empty without the annotation."""
    attempt: int | None = None
    """`spec.retries` of the run when the Workflow was built or last reset; None without the annotation."""
    restored_from: str = ""
    """UID of the deleted Workflow that this one was restored for, from a snapshot; empty if it was not restored."""
    shard: str = ""
    """Value of its shard label."""
    created_at: datetime | None = None
    deleting: bool = False
    shutdown: str = ""
    """Argo's `spec.shutdown`: `Stop`, `Terminate`, or empty."""
    phase: str = ""
    message: str = ""
    progress: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    nodes: tuple[NodeStatus, ...] = ()
    nodes_omitted: int = 0
    nodes_problem: str = ""
    """Why its nodes cannot be read; empty if they can."""
    partial: bool = False
    """Whether its nodes and outputs were left out: reading them takes long, and its owner was not checked."""
    outputs: Outputs | None = None
    metric_nodes: tuple[str, ...] = ()
    """Ids of finished pod nodes with a metrics output; at most as many as a run can have metrics."""

    @property
    def finished(self) -> bool:
        """Whether Argo has ended the Workflow, by `status.phase`. Its labels are updated later."""
        return self.phase in ("Succeeded", "Failed", "Error")


@dataclass(frozen=True, slots=True)
class NotSeen:
    """The cache has no Workflow. The cache can be behind, so nothing is created or ended because of it."""


@dataclass(frozen=True, slots=True)
class Absent:
    """The API server replied that the Workflow does not exist."""

    snapshot: bool | None = None
    """Whether a snapshot of it exists; None if not checked."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The Workflow has ended, and its snapshot exists or cannot be created."""

    workflow: WorkflowRecord
    problem: str = ""
    """Why no snapshot can be created; empty if it exists."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why no Workflow can be created for a run now."""

    reason: str
    """Reason of the condition, in CamelCase."""
    message: str
    """Message of the condition: object, field, expected and found value."""
    heals: bool = field(default=False)
    """Whether it can end without an edit of the run: a missing object can be created, a quota can be raised."""


Seen = NotSeen | Absent | WorkflowRecord | Kept | Refusal
"""What is known about the Workflow of a run."""
