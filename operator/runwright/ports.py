"""What Runwright needs of the world, as protocols: the Kubernetes API and a clock."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from runwright.api.pipelinerun import Shutdown
from runwright.core.reconcile import Notice
from runwright.core.records import Key, RunRecord, WorkflowRecord
from runwright.core.workflow import ObjectRef

Json = Mapping[str, Any]


class ApiError(Exception):
    """The API server refused a request, or could not be reached (`code` 0)."""

    def __init__(self, code: int, reason: str, message: str, causes: tuple[str, ...] = ()) -> None:
        super().__init__(f"{code} {reason}: {message}")
        self.code = code
        """HTTP status; 0 where there was no reply: whether the request was carried out is then unknown."""
        self.reason = reason
        """The `reason` of Kubernetes' Status, such as AlreadyExists, Conflict, NotFound, Invalid."""
        self.message = message
        self.causes = causes
        """The `reason` of each of the Status' causes, such as NamespaceTerminating."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Which version of which object a metadata-only list named."""

    key: Key
    uid: str
    resource_version: str


class Cluster(Protocol):
    """The calls that Runwright makes of the Kubernetes API. Each raises ApiError; a read of what is not there is None."""

    async def get_run(self, key: Key) -> Json | None:
        """The PipelineRun as etcd has it now (a quorum read, never a cache)."""
        ...

    async def get_workflow(self, key: Key) -> Json | None:
        """The Workflow as etcd has it now. Where Argo's CRDs are not installed that is ApiError 404, not None."""
        ...

    async def get_object(self, ref: ObjectRef) -> Json | None:
        """A ConfigMap, ServiceAccount, WorkflowTemplate or ClusterWorkflowTemplate."""
        ...

    async def create_workflow(self, workflow: Json) -> Json:
        """Create; returns what the API server made of it."""
        ...

    async def delete_workflow(self, workflow: WorkflowRecord) -> None:
        """Delete exactly this version of it (preconditions uid and resourceVersion); gone already is fine."""
        ...

    async def shut_down_workflow(self, workflow: WorkflowRecord, how: Shutdown) -> Json | None:
        """Set `spec.shutdown` of this very Workflow (its uid must hold, else Conflict); None where it is gone."""
        ...

    async def patch_run_status(self, run: RunRecord, patch: Json) -> Json:
        """Merge into the run's status, if the run is still at the record's resourceVersion (else Conflict)."""
        ...

    async def post_event(self, run: RunRecord, notice: Notice, now: datetime) -> None:
        """Post a Kubernetes Event about the run; the same one again is no error."""
        ...

    def list_unfinished_runs(self) -> AsyncIterator[Identity]:
        """Names and versions of the runs that have not ended, a page at a time."""
        ...

    def list_workflows(self) -> AsyncIterator[Identity]:
        """Names and versions of the Workflows that belong to runs, a page at a time."""
        ...


class Clock(Protocol):
    """Wall-clock time."""

    def now(self) -> datetime:
        """The time, in UTC."""
        ...
