"""The client over HTTP: one method makes each request, maps its errors, counts it, and asks the fence before a write."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from types import TracebackType
from typing import Any, cast

import aiohttp
from typing_extensions import override
from yarl import URL

from runwright.kube.client import PAGE, Client, Form, Page, WatchEvent, deletion
from runwright.kube.decoding import (
    MAX_OBJECT_BYTES,
    MAX_PAGE_BYTES,
    SHRINK,
    TOO_LARGE,
    UNDECODABLE,
    decode,
    decode_event,
    decode_page,
    next_limit,
)
from runwright.kube.errors import ApiError, not_served, status_error, unreachable
from runwright.kube.fence import Fence
from runwright.kube.login import Login
from runwright.kube.objects import Json, Key, as_mapping, as_text, incompleteness, key_of, metadata_of, name_of
from runwright.kube.reading import bounded_lines, read_bounded, read_start
from runwright.kube.resource import ALL, LEASES, PODS, Resource, Selection
from runwright.kube.session import open_session

logger = logging.getLogger(__name__)

REQUEST_SECONDS = 20.0
"""How long one request may take: a retry belongs to the caller's queue, not to a hanging call."""

WATCH_SECONDS = 300
"""How long one watch lasts: the API server ends it, and the caller goes on from where it ended."""

SILENCE_SECONDS = 90.0
"""A watch without any event for so long is broken: the API server sends bookmarks each minute (Kubernetes 1.34)."""

OPEN_SECONDS = 10.0
"""How long a stream may take to begin."""

LOG_SECONDS = 24 * 3600.0
"""How long one stream of logs may last."""

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"

Observer = Callable[[str, str, int, float], None]
"""Called after each request with verb, resource, HTTP status (0 where there was no reply) and seconds until the reply began."""

NETWORK_ERRORS = (aiohttp.ClientError, TimeoutError, OSError)


class HttpClient(Client):
    """The API server, over a bounded number of connections. An async context manager."""

    def __init__(
        self,
        login: Login,
        *,
        user_agent: str,
        manager: str = "runwright",
        observe: Observer | None = None,
        fence: Fence | None = None,
    ) -> None:
        """`manager` is the field manager of writes; `fence` is asked before each write is sent, except those of Leases."""
        self._login = login
        self._server = login.server.rstrip("/")
        self._manager = manager
        self._observe = observe
        self._fence = fence
        self._user_agent = user_agent
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> HttpClient:
        self._session = open_session(self._login, self._user_agent, self._fence)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    # ----------------------------------------------------------------------------------------------------------- verbs
    @override
    async def get(self, resource: Resource, key: Key) -> Json | None:
        try:
            body = await self._send("GET", "get", resource, resource.object_path(key))
        except ApiError as error:
            # Only a Status about the object counts: a kind that is not served is answered with a plain 404.
            if error.code == 404 and error.reason == "NotFound":
                return None
            raise
        if not name_of(body):
            raise ApiError(0, UNDECODABLE, f"the API server sent no object for {resource} {key}: it has no name")
        return body

    @override
    async def pages(
        self, resource: Resource, selection: Selection = ALL, *, form: Form = Form.OBJECTS, limit: int = PAGE
    ) -> AsyncGenerator[Page]:
        query = selectors(selection)
        path = resource.collection_path(selection.namespace)
        asked = limit
        while True:
            query["limit"] = str(limit)
            try:
                page = decode_page(
                    await self._request(
                        "GET", "list", resource, path, query=query, accept=form.value, most=MAX_PAGE_BYTES
                    )
                )
            except ApiError as error:
                if error.reason == TOO_LARGE and limit > 1:
                    limit = max(1, limit // SHRINK)
                    continue
                if error.code == 404:
                    raise not_served(resource) from error
                raise
            limit = next_limit(asked, limit, page.size)
            metadata = metadata_of(page.envelope)
            version = as_text(metadata.get("resourceVersion"))
            if not version:
                # Such a reply of a proxy must not count as an empty list: all objects would seem deleted.
                raise ApiError(0, "Undecodable", f"the reply to a list of {resource} is not a list of Kubernetes")
            yield Page(page.items, version, page.envelope)
            token = as_text(metadata.get("continue"))
            if not token:
                return
            query["continue"] = token

    @override
    async def create(self, resource: Resource, body: Json, *, dry_run: bool = False, strict: bool = False) -> Json:
        refuse_incomplete(resource, body)
        query = {"fieldManager": self._manager}
        if dry_run:
            query["dryRun"] = "All"
        if strict:
            query["fieldValidation"] = "Strict"
        path = resource.collection_path(key_of(body).namespace)
        return await self._send("POST", "create", resource, path, body, query=query)

    @override
    async def replace(self, resource: Resource, body: Json) -> Json | None:
        refuse_incomplete(resource, body)
        query = {"fieldManager": self._manager}
        return await self._found("PUT", "update", resource, resource.object_path(key_of(body)), body, query=query)

    @override
    async def patch(self, resource: Resource, key: Key, patch: Json, subresource: str = "") -> Json | None:
        path, query = resource.object_path(key, subresource), {"fieldManager": self._manager}
        return await self._found(
            "PATCH", "patch", resource, path, patch, query=query, content=MERGE_PATCH, subresource=subresource
        )

    @override
    async def delete(self, resource: Resource, key: Key, *, uid: str = "", version: str = "") -> bool:
        path = resource.object_path(key)
        return await self._found("DELETE", "delete", resource, path, deletion(uid, version)) is not None

    @override
    async def watch(
        self, resource: Resource, selection: Selection, since: str, *, form: Form = Form.OBJECTS
    ) -> AsyncGenerator[WatchEvent]:
        query = {
            **selectors(selection),
            "watch": "true",
            "resourceVersion": since,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        path = resource.collection_path(selection.namespace)
        try:
            async with await self._open(
                "GET", path, query=query, accept=form.value, seconds=WATCH_SECONDS + SILENCE_SECONDS
            ) as response:
                if response.status >= 300:
                    raise status_error(response.status, await read_start(response))
                yield WatchEvent("OPENED", {})
                lines = bounded_lines(response.content, MAX_OBJECT_BYTES)
                while line := await next_line(lines, resource):
                    event = decode_event(line)
                    kind, body = as_text(event.get("type")), as_mapping(event.get("object"))
                    if kind == "ERROR":
                        code = body.get("code")
                        raise status_error(code if isinstance(code, int) else 0, json.dumps(body).encode())
                    yield WatchEvent(kind, body)
        except NETWORK_ERRORS as error:
            raise unreachable(error) from error

    @override
    async def logs(self, pod: Key, container: str, *, follow: bool = False, **query: Any) -> AsyncGenerator[bytes]:
        given = {"container": container, "follow": follow, **query}
        path = PODS.object_path(pod, "log")
        try:
            async with await self._open(
                "GET",
                path,
                query={name: text_of(value) for name, value in given.items()},
                accept="*/*",
                seconds=LOG_SECONDS if follow else REQUEST_SECONDS * 30,
            ) as response:
                if response.status >= 300:
                    raise status_error(response.status, await read_start(response))
                async for piece in response.content.iter_any():
                    yield piece
        except NETWORK_ERRORS as error:
            raise unreachable(error) from error

    async def discover(self, resource: Resource) -> bool:
        """Whether the API server serves the kind. Discovery is open to everybody who is authenticated."""
        try:
            body = await self._send("GET", "get", resource, resource.discovery_path, discovery=True)
        except ApiError as error:
            if error.code == 404:
                return False
            raise
        kinds = cast(list[Json], body.get("resources") or [])
        return any(kind.get("name") == resource.plural for kind in kinds)

    # -------------------------------------------------------------------------------------------------------- requests
    async def _found(
        self, method: str, verb: str, resource: Resource, path: str, body: Json, **more: Any
    ) -> Json | None:
        try:
            return await self._send(method, verb, resource, path, body, **more)
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    async def _send(
        self,
        method: str,
        verb: str,
        resource: Resource,
        path: str,
        body: Json | None = None,
        *,
        query: Mapping[str, str] | None = None,
        accept: str = JSON,
        content: str = JSON,
        subresource: str = "",
        discovery: bool = False,
    ) -> Json:
        """Make one request about one object; returns the decoded reply. Raises ApiError as `_request` does."""
        return decode(
            await self._request(
                method,
                verb,
                resource,
                path,
                body,
                query=query,
                content=content,
                subresource=subresource,
                discovery=discovery,
            )
        )

    async def _request(
        self,
        method: str,
        verb: str,
        resource: Resource,
        path: str,
        body: Json | None = None,
        *,
        query: Mapping[str, str] | None = None,
        accept: str = JSON,
        content: str = JSON,
        most: int | None = None,
        subresource: str = "",
        discovery: bool = False,
    ) -> bytes:
        """Make one request; returns the reply, of at most `most` bytes. Raises ApiError for one that is not a success."""
        began, code = time.perf_counter(), 0
        try:
            fenced = method != "GET" and resource is not LEASES
            async with await self._open(
                method, path, body, query=query, accept=accept, content=content, fenced=fenced
            ) as response:
                code = response.status
                self._count(verb, resource, subresource, discovery, code, began)
                if code >= 300:
                    raise status_error(code, await read_start(response))
                return await read_bounded(response, most or MAX_OBJECT_BYTES)
        except NETWORK_ERRORS as error:
            raise unreachable(error) from error
        finally:
            if not code:
                self._count(verb, resource, subresource, discovery, code, began)

    async def _open(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        query: Mapping[str, str] | None = None,
        accept: str = JSON,
        content: str = JSON,
        seconds: float | None = None,
        fenced: bool = False,
    ) -> aiohttp.ClientResponse:
        """Send a request; returns once the reply begins. The whole of it may take `seconds`, or else REQUEST_SECONDS."""
        seconds = seconds or REQUEST_SECONDS
        if self._session is None:
            raise RuntimeError("the client is used outside its context")
        headers = {"Accept": accept}
        data = None
        if body is not None:
            headers["Content-Type"] = content
            data = json.dumps(body, separators=(",", ":")).encode()
        url = URL(self._server + path, encoded=True)
        async with asyncio.timeout(OPEN_SECONDS if seconds > REQUEST_SECONDS else None):
            return await self._session.request(
                method,
                url.with_query(query) if query else url,
                headers=headers,
                data=data,
                timeout=aiohttp.ClientTimeout(total=seconds),
                allow_redirects=False,
                trace_request_ctx=fenced,
            )

    def _count(self, verb: str, resource: Resource, subresource: str, discovery: bool, code: int, began: float) -> None:
        if self._observe is not None:
            what = "discovery" if discovery else resource.plural
            what = f"{what}/{subresource}" if subresource else what
            self._observe(verb, what, code, time.perf_counter() - began)


def refuse_incomplete(resource: Resource, body: Json) -> None:
    """Refuse to write an object that was cut as it was decoded: the rest of it would be lost."""
    if mark := incompleteness(body):
        raise ApiError(422, mark.reason, f"{resource} {key_of(body)} cannot be written: {mark.message}")


def selectors(selection: Selection) -> dict[str, str]:
    """Query parameters of a selection; its namespace is part of the path."""
    given = {"labelSelector": selection.labels, "fieldSelector": selection.fields}
    return {name: value for name, value in given.items() if value}


def text_of(value: object) -> str:
    """A query parameter as the API server reads it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


async def next_line(lines: AsyncGenerator[bytes | None], resource: Resource) -> bytes:
    """Read the next line of a watch; empty at its end. Raises TimeoutError after SILENCE_SECONDS without one.

    An event that is too long is left out: the next watch would begin with it again, and never get further.
    """
    while True:
        # Not wait_for: in Python 3.11 it can swallow a cancellation, such as Ctrl-C, that comes with a line.
        async with asyncio.timeout(SILENCE_SECONDS):
            line = await anext(lines, b"")
        if line is not None:
            return line
        logger.warning("a watch of %s: left out an event of more than %d bytes", resource, MAX_OBJECT_BYTES)
