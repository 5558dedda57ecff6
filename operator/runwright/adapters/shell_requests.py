"""The requests of the commands that people run: lists as tables, edits of runs, pods and their logs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import aiohttp
from kubernetes.aio import client

from runwright.adapters.core_objects import CoreObjects
from runwright.adapters.kubernetes_api import MERGE_PATCH, OWN, only
from runwright.adapters.requests import METADATA_ONLY, PAGE, REQUEST_TIMEOUT, api_error, call, found, read, unreachable
from runwright.api.pipelinerun import PLURAL
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, Key, as_mapping, as_text, metadata_of, namespace_of

MANAGER = "kubectl-runwright"
"""Who set a field (`metadata.managedFields`)."""

TABLE = "application/json;as=Table;g=meta.k8s.io;v=v1"
"""What kubectl asks for: the columns of the CRD, filled by the API server, and of each object the metadata alone."""

LOG_SECONDS = 24 * 3600.0
"""How long one stream of logs may last."""


class ShellRequests:
    """The API server, with the rights of the person who runs the command. Its methods raise ApiError."""

    def __init__(self, api: client.ApiClient) -> None:
        self._custom = client.CustomObjectsApi(api)
        self._core = CoreObjects(api)

    # ------------------------------------------------------------------------------------------------------------ runs
    async def pages(self, namespace: str, accept: str = "application/json", **selectors: str) -> AsyncIterator[Json]:
        """All runs of a namespace (empty: of all), a page at a time. 410 (Expired) where reading took minutes."""
        token = ""
        while True:
            more = {**selectors, "_continue": token} if token else selectors
            method, where = self._custom.list_cluster_custom_object_without_preload_content, (*OWN, PLURAL)
            if namespace:
                method = self._custom.list_namespaced_custom_object_without_preload_content
                where = (*OWN, namespace, PLURAL)
            page = await read(method, *where, limit=PAGE, _headers={"Accept": accept}, **more)
            if page is None:
                raise ApiError(404, "NotFound", f"{PLURAL}.{OWN[0]} are not served by this cluster: install the CRDs")
            yield page
            token = as_text(metadata_of(page).get("continue"))
            if not token:
                return

    async def names(self, namespace: str, limit: int, **selectors: str) -> list[str]:
        """Names of the first runs of a namespace, in one request; for completion."""
        page = await read(
            self._custom.list_namespaced_custom_object_without_preload_content,
            *OWN,
            namespace,
            PLURAL,
            limit=limit,
            _headers={"Accept": METADATA_ONLY},
            **selectors,
        )
        return [
            as_text(as_mapping(one["metadata"]).get("name"))
            for one in cast(list[Json], (page or {}).get("items") or [])
        ]

    async def create(self, run: Json, *, dry_run: bool) -> Json:
        """Create a run; a field that the kind does not have is refused, by its name."""
        return await call(
            self._custom.create_namespaced_custom_object,
            *OWN,
            namespace_of(run),
            PLURAL,
            dict(run),
            field_manager=MANAGER,
            field_validation="Strict",
            **({"dry_run": "All"} if dry_run else {}),
        )

    async def patch(self, key: Key, version: str, patch: Json) -> Json:
        """Merge `patch` into the run; 409 (Conflict) where it is no longer at that version."""
        metadata = {**metadata_of(patch), "resourceVersion": version}
        return await call(
            self._custom.patch_namespaced_custom_object,
            *OWN,
            key.namespace,
            PLURAL,
            key.name,
            {**patch, "metadata": metadata},
            field_manager=MANAGER,
            _content_type=MERGE_PATCH,
        )

    async def delete(self, key: Key, uid: str) -> bool:
        """Delete this very run, and what it owns after it; whether it was there."""
        method = self._custom.delete_namespaced_custom_object
        return await found(method, *OWN, key.namespace, PLURAL, key.name, body=only(uid)) is not None

    # ------------------------------------------------------------------------------------------------------------ logs
    async def log(self, pod: Key, container: str, *, follow: bool, **options: Any) -> AsyncIterator[bytes]:
        """What a container has written, as it comes; with `follow`, until it ends."""
        try:
            response = await self._core.log(
                pod.namespace,
                pod.name,
                container=container,
                follow=follow,
                _request_timeout=LOG_SECONDS if follow else REQUEST_TIMEOUT * 30,
                **options,
            )
            try:
                if response.status >= 300:
                    raise api_error(response.status, (await response.read()).decode(errors="replace"))
                async for piece in response.content.iter_any():
                    yield piece
            finally:
                response.close()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unreachable(error) from error
