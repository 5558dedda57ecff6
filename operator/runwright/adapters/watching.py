"""Lists and watches of one of our kinds, of pods and of Leases, as the API server sends them: pages of objects, then events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, cast

import aiohttp
from kubernetes.aio import client

from runwright.adapters.core_objects import CoreObjects
from runwright.adapters.kubernetes_api import OWN
from runwright.adapters.requests import PAGE, api_error, read, unreachable
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, as_mapping, as_text, metadata_of

WATCH_SECONDS = 300
"""How long one watch lasts: the API server ends it, and it is begun anew where it ended."""

SILENCE_SECONDS = 90.0
"""A watch that tells nothing for so long is broken: bookmarks come each minute (Kubernetes 1.34)."""


class Watching:
    """The objects of a kind, in one namespace or in all."""

    def __init__(self, api: client.ApiClient, plural: str, namespace: str = "", **options: Any) -> None:
        """An empty `namespace` stands for all; `options` go with each request, such as `label_selector`."""
        self._api, self._plural, self._namespace, self._options = api, plural, namespace, options

    async def pages(self) -> AsyncIterator[tuple[list[Json], str]]:
        """All objects, a page at a time, and with each the version at which the whole list is. Raises ApiError.

        410 (Expired) where the list took too long: it is to be begun anew.
        """
        token = ""
        while True:
            more = {"_continue": token} if token else {}
            page = await read(*self._method(), limit=PAGE, **self._options, **more)
            if page is None:
                raise ApiError(404, "NotFound", f"{self._plural} are not served: install the CRDs")
            metadata = metadata_of(page)
            yield cast(list[Json], page.get("items") or []), as_text(metadata.get("resourceVersion"))
            token = as_text(metadata.get("continue"))
            if not token:
                return

    async def events(self, since: str) -> AsyncGenerator[tuple[str, Json]]:
        """What happens after a version: type and object, BOOKMARK too; first OPENED, once the API server has agreed.

        Ends when the API server ends the watch.

        Raises ApiError; 410 (Expired) where that version is too old.
        """
        method, *arguments = self._method()
        try:
            response = await method(
                *arguments,
                **self._options,
                watch=True,
                resource_version=since,
                allow_watch_bookmarks=True,
                timeout_seconds=WATCH_SECONDS,
                _request_timeout=WATCH_SECONDS + SILENCE_SECONDS,
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unreachable(error) from error
        try:
            if response.status >= 300:
                raise api_error(response.status, (await response.read()).decode(errors="replace"))
            yield "OPENED", {}
            while True:
                # Not wait_for: in Python 3.11 it can swallow a cancellation, such as Ctrl-C, that comes with a line.
                async with asyncio.timeout(SILENCE_SECONDS):
                    line = await response.content.readline()
                if not line:
                    return
                event = as_mapping(json.loads(line))
                kind, body = as_text(event.get("type")), as_mapping(event.get("object"))
                if kind == "ERROR":
                    raise api_error(int(body.get("code") or 0), json.dumps(body))
                yield kind, body
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise unreachable(error) from error
        finally:
            response.close()

    def _method(self) -> tuple[Any, ...]:
        if self._plural == "pods":
            return CoreObjects(self._api).list, "pods", self._namespace
        if self._plural == "leases":
            return client.CoordinationV1Api(self._api).list_namespaced_lease_without_preload_content, self._namespace
        custom = client.CustomObjectsApi(self._api)
        if self._namespace:
            return custom.list_namespaced_custom_object_without_preload_content, *OWN, self._namespace, self._plural
        return custom.list_cluster_custom_object_without_preload_content, *OWN, self._plural
