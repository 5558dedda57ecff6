"""The `Cluster` port over `kubernetes.aio`: one method, one request; how it is made is in `requests.py`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import cast

from kubernetes.aio import client
from kubernetes.aio.client.models import (
    V1DeleteOptions,
    V1Preconditions,
)
from typing_extensions import override

from runwright.adapters.core_objects import CoreObjects
from runwright.adapters.requests import call, found, list_metadata, read
from runwright.api import retentionpolicy, workflowsnapshot
from runwright.api.labels import ARCHIVED_RUNS, AVAILABLE_RUNS, DELETE_ON_LABEL
from runwright.api.pipelinerun import KIND, PLURAL
from runwright.api.resources import API_VERSION, GROUP, VERSION, WORKFLOW_SNAPSHOTS, WORKFLOWS
from runwright.api.states import Phase, Shutdown, StorageState
from runwright.core.decision import Notice, event_name
from runwright.core.records import RunRecord, WorkflowRecord
from runwright.core.shard import EVERYTHING, Shard
from runwright.core.workflow.build import ObjectRef
from runwright.kube.errors import ApiError
from runwright.kube.objects import (
    Json,
    Key,
    annotations_of,
    as_mapping,
    as_text,
    key_of,
    labels_of,
    metadata_of,
    uid_of,
)
from runwright.kube.resource import Resource
from runwright.ports import Cluster, Identity, Leftover

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
    async def create_workflow(self, workflow: Json) -> Json:
        return await call(
            self._custom.create_namespaced_custom_object,
            *ARGO,
            key_of(workflow).namespace,
            "workflows",
            dict(workflow),
            field_manager=COMPONENT,
        )

    @override
    async def delete_workflow(self, workflow: WorkflowRecord) -> None:
        await found(
            self._custom.delete_namespaced_custom_object,
            *ARGO,
            workflow.key.namespace,
            "workflows",
            workflow.key.name,
            body=only(workflow.uid, workflow.resource_version),
        )

    @override
    async def shut_down_workflow(self, workflow: WorkflowRecord, how: Shutdown) -> Json | None:
        return await found(
            self._custom.patch_namespaced_custom_object,
            *ARGO,
            workflow.key.namespace,
            "workflows",
            workflow.key.name,
            {"metadata": {"uid": workflow.uid}, "spec": {"shutdown": how.value}},
            field_manager=COMPONENT,
            _content_type=MERGE_PATCH,
        )

    @override
    async def label_workflow(self, workflow: WorkflowRecord, labels: Mapping[str, str]) -> Json | None:
        return await found(
            self._custom.patch_namespaced_custom_object,
            *ARGO,
            workflow.key.namespace,
            "workflows",
            workflow.key.name,
            {"metadata": {"uid": workflow.uid, "labels": dict(labels)}},
            field_manager=COMPONENT,
            _content_type=MERGE_PATCH,
        )

    @override
    async def replace_workflow(self, workflow: Json) -> Json | None:
        key = key_of(workflow)
        return await found(
            self._custom.replace_namespaced_custom_object,
            *ARGO,
            key.namespace,
            "workflows",
            key.name,
            dict(workflow),
            field_manager=COMPONENT,
        )

    @override
    async def list_leftovers(self, key: Key) -> list[Leftover]:
        """Two requests, or two for each page: nothing in Kubernetes lists objects of two kinds at once."""
        of_workflow = f"{WORKFLOW_LABEL}={key.name}"
        pods = list_metadata(self._core.list, "pods", key.namespace, label_selector=of_workflow)
        results = list_metadata(
            self._custom.list_namespaced_custom_object_without_preload_content,
            *ARGO,
            key.namespace,
            "workflowtaskresults",
            label_selector=of_workflow,
        )
        left = [Leftover("Pod", key_of(pod), uid_of(pod), node_of(pod)) async for pod in pods]
        return left + [
            Leftover("WorkflowTaskResult", key_of(result), uid_of(result), key_of(result).name)
            async for result in results
        ]

    @override
    async def delete_leftover(self, leftover: Leftover) -> None:
        key, options = leftover.key, only(leftover.uid)
        try:
            if leftover.kind == "Pod":
                await read(self._core.delete, "pods", key.namespace, key.name, body=options)
            else:
                await found(
                    self._custom.delete_namespaced_custom_object,
                    *ARGO,
                    key.namespace,
                    "workflowtaskresults",
                    key.name,
                    body=options,
                )
        except ApiError as error:
            if error.code != 409:  # another one of that name
                raise

    @override
    async def get_snapshot(self, key: Key) -> Json | None:
        return await found(
            self._custom.get_namespaced_custom_object, *OWN, key.namespace, workflowsnapshot.PLURAL, key.name
        )

    @override
    async def create_snapshot(self, snapshot: Json) -> None:
        await call(
            self._custom.create_namespaced_custom_object,
            *OWN,
            key_of(snapshot).namespace,
            workflowsnapshot.PLURAL,
            dict(snapshot),
            field_manager=COMPONENT,
        )

    @override
    async def delete_snapshot(self, snapshot: Json) -> None:
        key = key_of(snapshot)
        await found(
            self._custom.delete_namespaced_custom_object,
            *OWN,
            key.namespace,
            workflowsnapshot.PLURAL,
            key.name,
            body=only(uid_of(snapshot)),
        )

    @override
    async def label_run(self, run: RunRecord, labels: Mapping[str, str | None]) -> Json | None:
        return await found(
            self._custom.patch_namespaced_custom_object,
            *OWN,
            run.key.namespace,
            PLURAL,
            run.key.name,
            {"metadata": {"resourceVersion": run.resource_version, "labels": dict(labels)}},
            field_manager=COMPONENT,
            _content_type=MERGE_PATCH,
        )

    @override
    async def delete_run(self, run: RunRecord) -> None:
        await found(
            self._custom.delete_namespaced_custom_object,
            *OWN,
            run.key.namespace,
            PLURAL,
            run.key.name,
            body=only(run.uid, run.resource_version),
        )

    @override
    async def get_policy(self, namespace: str) -> Json | None:
        return await found(
            self._custom.get_namespaced_custom_object,
            *OWN,
            namespace,
            retentionpolicy.PLURAL,
            retentionpolicy.POLICY_NAME,
        )

    @override
    async def patch_run_status(self, run: RunRecord, patch: Json) -> Json:
        # The resourceVersion makes the API server refuse the patch (409) if anybody wrote the run since it was read.
        return await call(
            self._custom.patch_namespaced_custom_object_status,
            *OWN,
            run.key.namespace,
            PLURAL,
            run.key.name,
            {"metadata": {"resourceVersion": run.resource_version}, "status": dict(patch)},
            field_manager=COMPONENT,
            _content_type=MERGE_PATCH,
        )

    @override
    async def post_event(self, run: RunRecord, notice: Notice, now: datetime) -> None:
        at = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        about = {"apiVersion": API_VERSION, "kind": KIND, "name": run.key.name, "namespace": run.key.namespace}
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": event_name(run, notice), "namespace": run.key.namespace},
            "involvedObject": {**about, "uid": run.uid, "resourceVersion": run.resource_version},
            "type": notice.type,
            "reason": notice.reason,
            "message": notice.message[:1024],
            "source": {"component": COMPONENT},
            "reportingComponent": f"{GROUP}/{COMPONENT}",
            "firstTimestamp": at,
            "lastTimestamp": at,
            "count": 1,
        }
        try:
            await read(self._core.create, "events", run.key.namespace, event)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise

    @override
    async def list_unfinished_runs(self) -> AsyncIterator[Identity]:
        async for identity in self._runs(field_selector=UNFINISHED):
            yield identity

    @override
    async def list_half_archived_runs(self) -> AsyncIterator[Identity]:
        async for identity in self._runs(label_selector=ARCHIVED_RUNS, field_selector=NOT_YET_ARCHIVED):
            yield identity
        async for identity in self._runs(label_selector=AVAILABLE_RUNS, field_selector=STILL_ARCHIVED):
            yield identity

    @override
    async def list_expiring_runs(self, days: tuple[str, ...]) -> AsyncIterator[Identity]:
        when = f"{DELETE_ON_LABEL} in ({','.join(days)})" if days else DELETE_ON_LABEL
        async for identity in self._runs(label_selector=f"{ARCHIVED_RUNS},{when}"):
            yield identity

    @override
    async def list_undated_runs(self, namespace: str) -> AsyncIterator[Identity]:
        async for identity in self._runs(namespace, label_selector=f"{ARCHIVED_RUNS},!{DELETE_ON_LABEL}"):
            yield identity

    @override
    async def list_runs(self, namespace: str) -> AsyncIterator[Identity]:
        async for identity in self._runs(namespace):
            yield identity

    @override
    async def list_workflows(self) -> AsyncIterator[Identity]:
        async for identity in self._list(*ARGO, "workflows", label_selector=self._shard.workflows):
            yield identity

    async def missing_kinds(self) -> tuple[str, ...]:
        """Which of the kinds that are watched the API server does not serve now, as `plural.group`.

        Discovery is open to everybody who is authenticated.
        """
        missing: list[str] = []
        for group, version, plural in ((*OWN, PLURAL), (*ARGO, "workflows")):
            served = await read(self._custom.get_api_resources_without_preload_content, group, version)
            resources = cast(list[Json], (served or {}).get("resources") or [])
            if all(resource.get("name") != plural for resource in resources):
                missing.append(f"{plural}.{group}")
        return tuple(missing)

    def _runs(self, only: str = "", label_selector: str = "", **selectors: str) -> AsyncIterator[Identity]:
        if of_shard := self._shard.runs(label_selector):
            selectors["label_selector"] = of_shard
        return self._list(*OWN, PLURAL, only, **selectors)

    async def _list(
        self, group: str, version: str, plural: str, only: str = "", **selectors: str
    ) -> AsyncIterator[Identity]:
        """All of the kind in the namespace `only`, else in those that are looked after."""
        namespaces = (only,) if only else self._namespaces
        for namespace in namespaces:
            pages = self._custom.list_namespaced_custom_object_without_preload_content
            async for item in list_metadata(pages, group, version, namespace, plural, **selectors):
                yield identity_of(item)
        if not namespaces:
            pages = self._custom.list_cluster_custom_object_without_preload_content
            async for item in list_metadata(pages, group, version, plural, **selectors):
                yield identity_of(item)


def only(uid: str, version: str | None = None) -> V1DeleteOptions:
    """A deletion of this very object, or of this very version of it; what it owns goes after it."""
    return V1DeleteOptions(
        preconditions=V1Preconditions(uid=uid, resource_version=version), propagation_policy="Background"
    )


def node_of(pod: Json) -> str:
    """The node that a pod is for; empty where it does not say."""
    return as_text(annotations_of(pod).get(NODE_ANNOTATION))


def identity_of(item: Json) -> Identity:
    """Which version of which object the metadata is of."""
    known = metadata_of(item)
    return Identity(
        key_of(item),
        as_text(known.get("uid")),
        as_text(known.get("resourceVersion")),
        as_text(as_mapping(known.get("labels")).get(DELETE_ON_LABEL)),
    )
