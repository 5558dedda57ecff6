"""What the decision is made from: small records of what was read, never whole objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from runwright.api.pipelinerun import NodeStatus, Outputs, PipelineRunStatus
from runwright.api.states import Shutdown
from runwright.kube.objects import Key


class SourceField(StrEnum):
    """Which of the four fields of `spec.workflow` a run uses."""

    MANIFEST = "manifest"
    SPEC = "spec"
    TEMPLATE_REF = "templateRef"
    MANIFEST_FROM = "manifestFrom"
    INVALID = ""


@dataclass(frozen=True, slots=True)
class Periods:
    """How long after the end of a run what is done with it; None: never."""

    archive_after: timedelta | None = None
    delete_after: timedelta | None = None
    keep_workflow: timedelta | None = None


NO_PERIODS = Periods()


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What the operator keeps of a PipelineRun: no manifest, no parameters."""

    key: Key
    uid: str
    resource_version: str
    generation: int
    created_at: datetime
    status: PipelineRunStatus = field(default_factory=PipelineRunStatus)
    source: SourceField = SourceField.INVALID
    deleting: bool = False
    source_digest: str = ""
    """Of what the Workflow is made from; empty where the run has its Workflow, since it cannot change then."""
    shutdown: Shutdown | None = None
    retries: int = 0
    """`spec.retries`: the number of the attempt that is asked for."""
    archived: bool = False
    """Whether the label asks for it; `status.storage_state` tells what has come of that."""
    delete_on: str = ""
    """The label that says on which day an archived run will be deleted."""
    periods: Periods = NO_PERIODS
    """`spec.retention`."""
    imported: bool = False
    """Whether it was made by an import, which writes its status next."""
    owned_elsewhere: bool = False
    """Whether a GitOps tool or Helm keeps the run: what it finds deleted, it would make anew."""

    @property
    def finished(self) -> bool:
        """Whether the run has ended by its own record; by its time of ending, where a newer version's phase is unknown."""
        if self.status.phase is None:
            return self.status.finished_at is not None
        return self.status.phase.finished


@dataclass(frozen=True, slots=True)
class WorkflowRecord:
    """What the operator keeps of a Workflow: what a run's status is made from."""

    key: Key
    uid: str
    resource_version: str
    owner_uid: str = ""
    """UID of the controller, where that is a PipelineRun; else empty."""
    owner_name: str = ""
    generation: int = 0
    """`metadata.generation` of the run that the Workflow was made from; 0 where it does not say."""
    source_digest: str = ""
    """What `RunRecord.source_digest` was when the Workflow was made; empty where it does not say."""
    attempt: int | None = None
    """`spec.retries` of the run when the Workflow was made or last reset; None where it does not say."""
    restored_from: str = ""
    """UID of the Workflow in whose place this one was put back from a snapshot; else empty."""
    shard: str = ""
    """Of which shard's runs it says to be; empty where it says nothing."""
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
    outputs: Outputs | None = None
    metric_nodes: tuple[str, ...] = ()
    """Ids of the pods' nodes that have ended and left metrics, as many as a run may hold metrics."""

    @property
    def finished(self) -> bool:
        """Whether Argo has ended the Workflow: its own `status.phase`, not its labels, which lag behind."""
        return self.phase in ("Succeeded", "Failed", "Error")


@dataclass(frozen=True, slots=True)
class NotSeen:
    """No Workflow is in the store, which may be behind: nothing may be created or ended on this alone."""


@dataclass(frozen=True, slots=True)
class Absent:
    """The API server itself said that there is no such Workflow."""

    snapshot: bool | None = None
    """Whether a snapshot of it is there; None where nobody has looked."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The Workflow is there, has ended, and its snapshot was made, or cannot be made."""

    workflow: WorkflowRecord
    problem: str = ""
    """Why there can be no snapshot; empty where there is one."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why no Workflow can be created for a run now."""

    reason: str
    """CamelCase word for the condition."""
    message: str
    """Which object, which field, what was expected."""
    heals: bool = field(default=False)
    """Whether it can go away without an edit of the run: what is missing may be created, a quota may be raised."""


Seen = NotSeen | Absent | WorkflowRecord | Kept | Refusal
"""What is known of the Workflow of a run."""
