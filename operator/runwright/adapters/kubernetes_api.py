"""The `Cluster` port over `kubernetes.aio`: one method, one request."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Any, cast

import aiohttp
from kubernetes.aio import client
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.client.models import (
    CoreV1Event,
    V1DeleteOptions,
    V1EventSource,
    V1ObjectMeta,
    V1ObjectReference,
    V1Preconditions,
)
from typing_extensions import override

from runwright.api.model import API_VERSION, GROUP, VERSION
from runwright.api.pipelinerun import KIND, PLURAL, RUN_LABEL, Phase, Shutdown
from runwright.core.observe import key_of, mapping, text
from runwright.core.reconcile import Notice, event_name
from runwright.core.records import Key, RunRecord, WorkflowRecord
from runwright.core.workflow import ObjectRef
from runwright.ports import ApiError, Cluster, Identity, Json

ARGO = ("argoproj.io", "v1alpha1")
REQUEST_TIMEOUT = 20.0
"""Seconds that one request may take: retries belong to the queue, not to a hanging call."""

PAGE = 500
"""Objects in one page of a list (client-go's default)."""

METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
MERGE_PATCH = "application/merge-patch+json"
COMPONENT = "runwright"
UNFINISHED = ",".join(f"status.phase!={phase.value}" for phase in Phase if phase.finished)


class KubernetesCluster(Cluster):
    """The API server, through one client that is bounded in connections and time."""

    def __init__(self, api: client.ApiClient, namespaces: tuple[str, ...] = ()) -> None:
        """`namespaces` are the ones whose objects are listed; none means all."""
        self._custom = client.CustomObjectsApi(api)
        self._core = client.CoreV1Api(api)
        self._namespaces = namespaces

    @override
    async def get_run(self, key: Key) -> Json | None:
        return await self._found(
            self._custom.get_namespaced_custom_object(
                GROUP, VERSION, key.namespace, PLURAL, key.name, _request_timeout=REQUEST_TIMEOUT
            )
        )

    @override
    async def get_workflow(self, key: Key) -> Json | None:
        try:
            return await self._call(
                self._custom.get_namespaced_custom_object(
                    *ARGO, key.namespace, "workflows", key.name, _request_timeout=REQUEST_TIMEOUT
                )
            )
        except ApiError as error:
            # Only the API server's own word counts: where the kind is not served, the 404 is no Status about the object.
            if error.code == 404 and error.reason == "NotFound":
                return None
            raise

    @override
    async def get_object(self, ref: ObjectRef) -> Json | None:
        match ref.kind:
            case "WorkflowTemplate":
                return await self._found(
                    self._custom.get_namespaced_custom_object(
                        *ARGO, ref.namespace, "workflowtemplates", ref.name, _request_timeout=REQUEST_TIMEOUT
                    )
                )
            case "ClusterWorkflowTemplate":
                return await self._found(
                    self._custom.get_cluster_custom_object(
                        *ARGO, "clusterworkflowtemplates", ref.name, _request_timeout=REQUEST_TIMEOUT
                    )
                )
            case "ConfigMap":
                return await self._read(
                    partial(self._core.read_namespaced_config_map_without_preload_content, ref.name, ref.namespace)
                )
            case "ServiceAccount":
                return await self._read(
                    partial(self._core.read_namespaced_service_account_without_preload_content, ref.name, ref.namespace)
                )

    @override
    async def create_workflow(self, workflow: Json) -> Json:
        namespace = key_of(workflow).namespace
        return await self._call(
            self._custom.create_namespaced_custom_object(
                *ARGO,
                namespace,
                "workflows",
                dict(workflow),
                field_manager=COMPONENT,
                _request_timeout=REQUEST_TIMEOUT,
            )
        )

    @override
    async def delete_workflow(self, workflow: WorkflowRecord) -> None:
        preconditions = V1Preconditions(uid=workflow.uid, resource_version=workflow.resource_version)
        await self._found(
            self._custom.delete_namespaced_custom_object(
                *ARGO,
                workflow.key.namespace,
                "workflows",
                workflow.key.name,
                body=V1DeleteOptions(preconditions=preconditions, propagation_policy="Background"),
                _request_timeout=REQUEST_TIMEOUT,
            )
        )

    @override
    async def shut_down_workflow(self, workflow: WorkflowRecord, how: Shutdown) -> Json | None:
        return await self._found(
            self._custom.patch_namespaced_custom_object(
                *ARGO,
                workflow.key.namespace,
                "workflows",
                workflow.key.name,
                {"metadata": {"uid": workflow.uid}, "spec": {"shutdown": how.value}},
                field_manager=COMPONENT,
                _content_type=MERGE_PATCH,
                _request_timeout=REQUEST_TIMEOUT,
            )
        )

    @override
    async def patch_run_status(self, run: RunRecord, patch: Json) -> Json:
        # The resourceVersion makes the API server refuse the patch (409) if anybody wrote the run since it was read.
        body = {"metadata": {"resourceVersion": run.resource_version}, "status": dict(patch)}
        return await self._call(
            self._custom.patch_namespaced_custom_object_status(
                GROUP,
                VERSION,
                run.key.namespace,
                PLURAL,
                run.key.name,
                body,
                field_manager=COMPONENT,
                _content_type=MERGE_PATCH,
                _request_timeout=REQUEST_TIMEOUT,
            )
        )

    @override
    async def post_event(self, run: RunRecord, notice: Notice, now: datetime) -> None:
        event = CoreV1Event(
            metadata=V1ObjectMeta(name=event_name(run, notice), namespace=run.key.namespace),
            involved_object=V1ObjectReference(
                api_version=API_VERSION,
                kind=KIND,
                name=run.key.name,
                namespace=run.key.namespace,
                uid=run.uid,
                resource_version=run.resource_version,
            ),
            type=notice.type,
            reason=notice.reason,
            message=notice.message[:1024],
            source=V1EventSource(component=COMPONENT),
            reporting_component=f"{GROUP}/{COMPONENT}",
            first_timestamp=now,
            last_timestamp=now,
            count=1,
        )
        try:
            await self._call(
                self._core.create_namespaced_event(run.key.namespace, event, _request_timeout=REQUEST_TIMEOUT)
            )
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise

    @override
    async def list_unfinished_runs(self) -> AsyncIterator[Identity]:
        async for identity in self._list(GROUP, VERSION, PLURAL, field_selector=UNFINISHED):
            yield identity

    @override
    async def list_workflows(self) -> AsyncIterator[Identity]:
        async for identity in self._list(*ARGO, "workflows", label_selector=RUN_LABEL):
            yield identity

    async def missing_kinds(self) -> tuple[str, ...]:
        """Which of the kinds that are watched the API server does not serve now, as `plural.group`.

        Discovery is open to everybody who is authenticated.
        """
        missing: list[str] = []
        for group, version, plural in ((GROUP, VERSION, PLURAL), (*ARGO, "workflows")):
            served = await self._read(partial(self._custom.get_api_resources_without_preload_content, group, version))
            resources = cast(list[Json], (served or {}).get("resources") or [])
            if all(resource.get("name") != plural for resource in resources):
                missing.append(f"{plural}.{group}")
        return tuple(missing)

    async def _list(self, group: str, version: str, plural: str, **selectors: str) -> AsyncIterator[Identity]:
        for namespace in self._namespaces or ("",):
            token: str | None = None
            while True:
                try:
                    page = await self._call(self._page(group, version, namespace, plural, token, selectors))
                except ApiError as error:
                    if error.code == 404:
                        return  # Without its CRD, there are none of the kind.
                    raise
                for item in cast(list[Json], page.get("items") or []):
                    metadata = mapping(item.get("metadata"))
                    yield Identity(key_of(item), text(metadata.get("uid")), text(metadata.get("resourceVersion")))
                token = text(mapping(page.get("metadata")).get("continue"))
                if not token:
                    break

    def _page(
        self, group: str, version: str, namespace: str, plural: str, token: str | None, selectors: dict[str, str]
    ) -> Awaitable[object]:
        options: dict[str, Any] = {
            **selectors,
            "limit": PAGE,
            "_headers": {"Accept": METADATA_ONLY},
            "_request_timeout": REQUEST_TIMEOUT,
        }
        if token:
            options["_continue"] = token
        if namespace:
            return self._custom.list_namespaced_custom_object(group, version, namespace, plural, **options)
        return self._custom.list_cluster_custom_object(group, version, plural, **options)

    async def _found(self, request: Awaitable[object]) -> Json | None:
        """The reply; None where the API server says 404."""
        try:
            return await self._call(request)
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    async def _read(self, request: Callable[..., Awaitable[Any]]) -> Json | None:
        """A GET whose reply the client would make a typed model of: that costs more than the fields that are read."""
        try:
            response = await request(_request_timeout=REQUEST_TIMEOUT)
            body = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unreachable(error) from error
        if response.status == 404:
            return None
        if response.status >= 300:
            raise api_error(response.status, body.decode(errors="replace"))
        return mapping(json.loads(body))

    async def _call(self, request: Awaitable[object]) -> Json:
        try:
            return mapping(await request)
        except ApiException as error:
            reply = cast(Any, error)
            raise api_error(int(reply.status or 0), str(reply.body or reply.reason)) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unreachable(error) from error


def api_error(code: int, body: str) -> ApiError:
    """The error for a reply that is not a success; its body is a Kubernetes Status where the API server wrote it."""
    status: Json = {}
    with contextlib.suppress(ValueError):
        status = mapping(json.loads(body))
    causes = cast(list[object], mapping(status.get("details")).get("causes") or [])
    return ApiError(
        code,
        text(status.get("reason")) or "Unknown",
        text(status.get("message")) or body[:500],
        tuple(text(mapping(cause).get("reason")) for cause in causes),
    )


def unreachable(error: Exception) -> ApiError:
    """The error for a request that got no reply."""
    return ApiError(0, "Unreachable", f"no reply from the API server: {type(error).__name__}: {error}")
