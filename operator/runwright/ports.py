"""What Runwright needs of the world, as protocols: the Kubernetes API and a clock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from runwright.core.workflow.build import ObjectRef
from runwright.kube.clock import Clock as Clock
from runwright.kube.objects import Json, Key
from runwright.kube.resource import Resource


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

    async def get_snapshot(self, key: Key) -> Json | None:
        """The WorkflowSnapshot of the run's name."""
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
