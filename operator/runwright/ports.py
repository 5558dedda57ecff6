"""What Runwright needs of the world, as protocols: the Kubernetes API and a clock."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from runwright.api.states import Shutdown
from runwright.core.decision import Notice
from runwright.core.records import RunRecord, WorkflowRecord
from runwright.core.workflow.build import ObjectRef
from runwright.kube.objects import Json, Key
from runwright.kube.resource import Resource


@dataclass(frozen=True, slots=True)
class Identity:
    """Which version of which object a metadata-only list named."""

    key: Key
    uid: str
    resource_version: str
    delete_on: str = ""
    """Of an archived run: the day on which it will be deleted."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """A pod or a WorkflowTaskResult of a Workflow: what a node leaves behind, and would find again when it runs anew."""

    kind: Literal["Pod", "WorkflowTaskResult"]
    key: Key
    uid: str
    node_id: str


class ObjectReader(Protocol):
    """Reads single objects: a `kube.client.Client`, and for now the clusters of those who have none yet."""

    async def get(self, resource: Resource, key: Key) -> Json | None:
        """See `kube.client.Client`."""
        ...


class Cluster(ObjectReader, Protocol):
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

    async def get_secret(self, namespace: str, name: str) -> Json | None:
        """A Secret; its `data` is base64. Secrets are never listed."""
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

    async def label_workflow(self, workflow: WorkflowRecord, labels: Mapping[str, str]) -> Json | None:
        """Set labels of this very Workflow (its uid must hold, else Conflict); None where it is gone."""
        ...

    async def replace_workflow(self, workflow: Json) -> Json | None:
        """Write the whole Workflow, if it is still at the resourceVersion that it says (else Conflict); None: it is gone."""
        ...

    async def list_leftovers(self, key: Key) -> list[Leftover]:
        """The pods and WorkflowTaskResults that there are of a Workflow of this name."""
        ...

    async def delete_leftover(self, leftover: Leftover) -> None:
        """Ask for its deletion (precondition uid); gone already, or replaced, is fine. A pod may still take its time."""
        ...

    async def get_snapshot(self, key: Key) -> Json | None:
        """The WorkflowSnapshot of the run's name."""
        ...

    async def create_snapshot(self, snapshot: Json) -> None:
        """Create; ApiError AlreadyExists where one of that name is there."""
        ...

    async def delete_snapshot(self, snapshot: Json) -> None:
        """Delete exactly this one (precondition uid); gone already is fine."""
        ...

    async def label_run(self, run: RunRecord, labels: Mapping[str, str | None]) -> Json | None:
        """Set and take away (None) labels, if the run is still at the record's resourceVersion (else Conflict); None: gone."""
        ...

    async def delete_run(self, run: RunRecord) -> None:
        """Delete exactly this version of it, in the background; gone already is fine."""
        ...

    async def get_policy(self, namespace: str) -> Json | None:
        """The RetentionPolicy of the namespace."""
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

    def list_half_archived_runs(self) -> AsyncIterator[Identity]:
        """Names and versions of the runs whose storage state is not yet what their label asks for."""
        ...

    def list_expiring_runs(self, days: tuple[str, ...]) -> AsyncIterator[Identity]:
        """Names and versions of the archived runs that will be deleted on one of these days; on any, where none is given."""
        ...

    def list_undated_runs(self, namespace: str) -> AsyncIterator[Identity]:
        """Names and versions of the archived runs that do not say when they will be deleted; empty: of all namespaces."""
        ...

    def list_runs(self, namespace: str) -> AsyncIterator[Identity]:
        """Names and versions of all runs of a namespace, archived ones too."""
        ...

    def list_workflows(self) -> AsyncIterator[Identity]:
        """Names and versions of the Workflows that belong to runs, a page at a time."""
        ...


class OwnObjects(Protocol):
    """What the run service reads and writes: objects of our own kinds by their plural, and the ConfigMaps of manifests.

    Each raises ApiError; what is not there is None.
    """

    async def get(self, plural: str, key: Key) -> Json | None:
        """The object as etcd has it now."""
        ...

    async def create(self, plural: str, body: Json) -> Json:
        """Create; what the API server made of it. ApiError AlreadyExists where one of that name is there."""
        ...

    async def patch(self, plural: str, key: Key, patch: Json, subresource: str = "") -> Json | None:
        """Merge; a `metadata.uid` or `resourceVersion` in the patch must hold, else ApiError Conflict."""
        ...

    async def delete(self, plural: str, key: Key, uid: str) -> bool:
        """Delete this very object; false where it is not there."""
        ...

    async def any_run(self, namespace: str, selector: str) -> bool:
        """Whether there is a run with these labels, archived or not."""
        ...

    async def get_config_map(self, key: Key) -> Json | None:
        """The ConfigMap as etcd has it now."""
        ...

    async def create_config_map(self, body: Json) -> Json:
        """As `create`."""
        ...

    async def patch_config_map(self, key: Key, patch: Json) -> Json | None:
        """As `patch`."""
        ...

    async def delete_config_map(self, key: Key, uid: str, version: str) -> None:
        """Delete this very version; gone already is fine, changed is ApiError Conflict."""
        ...

    def list_config_maps(self, selector: str) -> AsyncIterator[Json]:
        """The metadata of the ConfigMaps with these labels, in the namespaces that are looked after."""
        ...


class Leases(Protocol):
    """Leases of coordination.k8s.io. Each call raises ApiError; what is not there is None."""

    async def get(self, key: Key) -> Json | None:
        """The Lease as etcd has it now."""
        ...

    async def create(self, body: Json) -> Json:
        """Create; ApiError AlreadyExists where another one was faster."""
        ...

    async def replace(self, body: Json) -> Json:
        """Write it, if it is still at the resourceVersion that it says, else ApiError Conflict; NotFound where it is gone."""
        ...

    def events(self, key: Key, since: str) -> AsyncGenerator[tuple[str, Json]]:
        """What happens to this Lease after that version: type and object."""
        ...


class Clock(Protocol):
    """Wall-clock time."""

    def now(self) -> datetime:
        """The time, in UTC."""
        ...
