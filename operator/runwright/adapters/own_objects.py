"""The `OwnObjects` port over `kubernetes.aio`: what the run service reads and writes."""

from __future__ import annotations

from collections.abc import AsyncIterator

from kubernetes.aio import client
from typing_extensions import override

from runwright.adapters.core_objects import CoreObjects
from runwright.adapters.kubernetes_api import COMPONENT, MERGE_PATCH, OWN, only
from runwright.adapters.requests import call, found, list_metadata, read
from runwright.api.pipelinerun import PLURAL
from runwright.kube.objects import Json, Key, key_of
from runwright.ports import OwnObjects


class KubernetesObjects(OwnObjects):
    """The API server, for the objects of the run service."""

    def __init__(self, api: client.ApiClient, namespaces: tuple[str, ...] = ()) -> None:
        """`namespaces` are the ones whose ConfigMaps are listed; none means all."""
        self._custom = client.CustomObjectsApi(api)
        self._core = CoreObjects(api)
        self._namespaces = namespaces

    @override
    async def get(self, plural: str, key: Key) -> Json | None:
        return await found(self._custom.get_namespaced_custom_object, *OWN, key.namespace, plural, key.name)

    @override
    async def create(self, plural: str, body: Json) -> Json:
        return await call(
            self._custom.create_namespaced_custom_object,
            *OWN,
            key_of(body).namespace,
            plural,
            dict(body),
            field_manager=COMPONENT,
        )

    @override
    async def patch(self, plural: str, key: Key, patch: Json, subresource: str = "") -> Json | None:
        method = (
            self._custom.patch_namespaced_custom_object_status
            if subresource
            else self._custom.patch_namespaced_custom_object
        )
        return await found(
            method,
            *OWN,
            key.namespace,
            plural,
            key.name,
            dict(patch),
            field_manager=COMPONENT,
            _content_type=MERGE_PATCH,
        )

    @override
    async def delete(self, plural: str, key: Key, uid: str) -> bool:
        reply = await found(
            self._custom.delete_namespaced_custom_object, *OWN, key.namespace, plural, key.name, body=only(uid)
        )
        return reply is not None

    @override
    async def any_run(self, namespace: str, selector: str) -> bool:
        page = await read(
            self._custom.list_namespaced_custom_object_without_preload_content,
            *OWN,
            namespace,
            PLURAL,
            label_selector=selector,
            limit=1,
        )
        return bool((page or {}).get("items"))

    @override
    async def get_config_map(self, key: Key) -> Json | None:
        return await read(self._core.get, "configmaps", key.namespace, key.name)

    @override
    async def create_config_map(self, body: Json) -> Json:
        namespace = key_of(body).namespace
        made = await read(self._core.create, "configmaps", namespace, dict(body), field_manager=COMPONENT)
        return made or {}

    @override
    async def patch_config_map(self, key: Key, patch: Json) -> Json | None:
        return await read(
            self._core.patch,
            "configmaps",
            key.namespace,
            key.name,
            dict(patch),
            field_manager=COMPONENT,
            _content_type=MERGE_PATCH,
        )

    @override
    async def delete_config_map(self, key: Key, uid: str, version: str) -> None:
        await read(self._core.delete, "configmaps", key.namespace, key.name, body=only(uid, version))

    @override
    async def list_config_maps(self, selector: str) -> AsyncIterator[Json]:
        for namespace in self._namespaces or ("",):
            async for item in list_metadata(self._core.list, "configmaps", namespace, label_selector=selector):
                yield item
