"""The `Cluster` port over `kubernetes.aio`: one method, one request; how it is made is in `requests.py`."""

from __future__ import annotations

from kubernetes.aio import client
from kubernetes.aio.client.models import (
    V1DeleteOptions,
    V1Preconditions,
)
from typing_extensions import override

from runwright.adapters.core_objects import CoreObjects
from runwright.adapters.requests import call, found, read
from runwright.api import workflowsnapshot
from runwright.api.pipelinerun import PLURAL
from runwright.api.resources import GROUP, VERSION, WORKFLOW_SNAPSHOTS, WORKFLOWS
from runwright.api.states import Phase, StorageState
from runwright.core.shard import EVERYTHING, Shard
from runwright.core.workflow.build import ObjectRef
from runwright.kube.errors import ApiError
from runwright.kube.objects import (
    Json,
    Key,
    labels_of,
)
from runwright.kube.resource import Resource
from runwright.ports import Cluster

OWN = (GROUP, VERSION)
ARGO = ("argoproj.io", "v1alpha1")

MERGE_PATCH = "application/merge-patch+json"
COMPONENT = "runwright"
UNFINISHED = ",".join(f"status.phase!={phase.value}" for phase in Phase if phase.finished)
NOT_YET_ARCHIVED = f"status.storageState!={StorageState.ARCHIVED.value}"
STILL_ARCHIVED = f"status.storageState={StorageState.ARCHIVED.value}"

WORKFLOW_LABEL = "workflows.argoproj.io/workflow"
"""On what Argo's nodes make: the Workflow's name (3.7, `LabelKeyWorkflow`)."""

NODE_ANNOTATION = "workflows.argoproj.io/node-id"
"""On a pod: the node that it is for (3.7, `AnnotationKeyNodeID`). A WorkflowTaskResult has the node's id as its name."""


class KubernetesCluster(Cluster):
    """The API server, through one client that is bounded in connections and time."""

    def __init__(self, api: client.ApiClient, namespaces: tuple[str, ...] = (), shard: Shard = EVERYTHING) -> None:
        """`namespaces` are the ones whose objects are listed; none means all. Runs of another shard are not there."""
        self._custom = client.CustomObjectsApi(api)
        self._core = CoreObjects(api)
        self._namespaces = namespaces
        self._shard = shard

    @override
    async def get(self, resource: Resource, key: Key) -> Json | None:
        if resource is WORKFLOWS:
            return await self.get_workflow(key)
        if resource is WORKFLOW_SNAPSHOTS:
            return await self.get_snapshot(key)
        return await read(self._core.get, resource.plural, key.namespace, key.name)

    @override
    async def get_run(self, key: Key) -> Json | None:
        run = await found(self._custom.get_namespaced_custom_object, *OWN, key.namespace, PLURAL, key.name)
        labels = labels_of(run or {})
        return run if self._shard.mine(labels) else None

    @override
    async def get_workflow(self, key: Key) -> Json | None:
        try:
            return await call(self._custom.get_namespaced_custom_object, *ARGO, key.namespace, "workflows", key.name)
        except ApiError as error:
            # Only the API server's own word counts: where the kind is not served, the 404 is no Status about the object.
            if error.code == 404 and error.reason == "NotFound":
                return None
            raise

    @override
    async def get_object(self, ref: ObjectRef) -> Json | None:
        match ref.kind:
            case "WorkflowTemplate":
                return await found(
                    self._custom.get_namespaced_custom_object, *ARGO, ref.namespace, "workflowtemplates", ref.name
                )
            case "ClusterWorkflowTemplate":
                return await found(self._custom.get_cluster_custom_object, *ARGO, "clusterworkflowtemplates", ref.name)
            case "ConfigMap":
                return await read(self._core.get, "configmaps", ref.namespace, ref.name)
            case "ServiceAccount":
                return await read(self._core.get, "serviceaccounts", ref.namespace, ref.name)

    @override
    async def get_secret(self, namespace: str, name: str) -> Json | None:
        return await read(self._core.get, "secrets", namespace, name)

    @override
    async def get_snapshot(self, key: Key) -> Json | None:
        return await found(
            self._custom.get_namespaced_custom_object, *OWN, key.namespace, workflowsnapshot.PLURAL, key.name
        )


def only(uid: str, version: str | None = None) -> V1DeleteOptions:
    """A deletion of this very object, or of this very version of it; what it owns goes after it."""
    return V1DeleteOptions(
        preconditions=V1Preconditions(uid=uid, resource_version=version), propagation_policy="Background"
    )
