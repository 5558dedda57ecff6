"""What Kopf reads from the API server: lists and watches, decoded within bounds before Kopf does.

Kopf (1.45.2) decodes whole pages and lines with Python's decoder, which fails for all objects if one is nested deeply, and keeps
the objects until its workers have handled them. Here, each object becomes what its handler needs (`Arrivals`), and Kopf gets
the names that identify it. Pages that are too large are requested again with fewer objects.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, cast

import aiohttp
from typing_extensions import override

from runwright.kube.decoding import (
    MAX_OBJECT_BYTES,
    MAX_PAGE_BYTES,
    SHRINK,
    TOO_LARGE,
    decode,
    decode_event,
    decode_page,
    next_limit,
)
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, as_mapping, as_text, incompleteness, key_of, metadata_of
from runwright.kube.reading import bounded_lines, read_bounded
from runwright.kube.resource import Resource

logger = logging.getLogger(__name__)

ARRIVAL = "runwright.dev/arrival"
"""Field of an object for Kopf: the number under which Arrivals holds what was read from it."""

IDENTITY = ("namespace", "name", "uid", "resourceVersion")
"""Metadata that Kopf gets: without finalizers and annotations, it has nothing to write to an object."""

UNREADABLE = "Unreadable"

EXPIRED = b'{"type": "ERROR", "object": {"code": 410}}\n'
"""The event after which Kopf lists again. Other errors of a watch end Kopf, and a watch from the same version would meet them again."""


class Arrivals:
    """What was read from objects that Kopf has not handled yet. Kopf hands over each event once, in order."""

    def __init__(
        self, readers: Mapping[Resource, Callable[[Json], object]], refused: Callable[[str], None] = lambda _: None
    ) -> None:
        """`readers` return what the handlers of a kind need; `refused` is called with the reason for each object beyond a bound."""
        self._readers = readers
        self._refused = refused
        self._held: dict[int, object] = {}
        self._last = 0

    def __len__(self) -> int:
        return len(self._held)

    def resource_of(self, path: str) -> Resource | None:
        """The kind with a reader that is listed or watched at this URL path."""
        for resource in self._readers:
            if path.startswith(f"{resource.discovery_path}/") and path.endswith(f"/{resource.plural}"):
                return resource
        return None

    def add(self, resource: Resource, body: Json) -> dict[str, Any] | None:
        """Read an object; returns what Kopf gets. None for one that cannot be read: a bug, which must not stop the others."""
        metadata = metadata_of(body)
        if mark := incompleteness(body):
            self._refused(mark.reason)
            logger.warning("%s %s was read only in part: %s", resource, key_of(body), mark.message)
        try:
            found = self._readers[resource](body)
        except Exception:
            self._refused(UNREADABLE)
            logger.exception("%s %s was left out", resource, key_of(body))
            return None
        self._last += 1
        self._held[self._last] = found
        slim: dict[str, Any] = {name: body[name] for name in ("apiVersion", "kind") if name in body}
        slim["metadata"] = {name: metadata[name] for name in IDENTITY if name in metadata}
        return {**slim, ARRIVAL: self._last}

    def pop(self, body: Json) -> object | None:
        """Take what was read from the object that Kopf hands over; None for an object that did not come through `add`."""
        number = body.get(ARRIVAL)
        return self._held.pop(number, None) if isinstance(number, int) else None

    def clear(self) -> None:
        """Drop what Kopf has not handed over: it ended."""
        self._held.clear()


class KopfResponse(aiohttp.ClientResponse):
    """A reply whose JSON is decoded within bounds."""

    page: dict[str, Any] | None = None
    """The list in this reply, if it has been read."""

    @override
    async def json(self, **options: Any) -> Any:
        if self.page is not None:
            return self.page
        if self.method != "GET" or self.status >= 400:
            return await super().json(**options)
        return decode(await read_bounded(self, MAX_OBJECT_BYTES))


class KopfStream:
    """Middleware of Kopf's sessions."""

    def __init__(self, arrivals: Arrivals, listed: Callable[[str, Json, bool], None]) -> None:
        """`listed` is called with the URL path and content of each page, and whether it is the first one."""
        self._arrivals = arrivals
        self._listed = listed
        self._limits: dict[str, int] = {}

    async def __call__(self, request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        """Send a request; reads lists, and replaces the content of watches."""
        query = request.url.query
        watched, listed = "watch" in query, "limit" in query and "watch" not in query
        if request.method != "GET" or not (watched or listed):
            return await send(request)
        return await (self._watch(request, send) if watched else self._list(request, send))

    async def _list(self, request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        url, path = request.url, request.url.path
        asked = int(url.query["limit"])
        while True:
            limit = min(asked, self._limits.get(path, asked))
            if limit != asked:
                request.url = url.update_query(limit=str(limit))
            response = await send(request)
            if response.status >= 300 or not isinstance(response, KopfResponse):
                return response
            try:
                data = await read_bounded(response, MAX_PAGE_BYTES)
            except ApiError as error:
                if error.reason != TOO_LARGE or limit == 1:
                    raise
                response.close()
                self._limits[path] = max(1, limit // SHRINK)
                continue
            self._limits[path] = next_limit(asked, limit, len(data))
            response.page = await self._read_page(path, data)
            self._listed(path, response.page, "continue" not in url.query)
            return response

    async def _read_page(self, path: str, data: bytes) -> dict[str, Any]:
        try:
            page = decode_page(data)
        except ApiError as error:
            # Kopf lists again after this error; any other ends it.
            raise aiohttp.ClientPayloadError(error.message) from error
        metadata = metadata_of(page.envelope)
        if not as_text(metadata.get("resourceVersion")):
            raise aiohttp.ClientPayloadError(f"the reply to {path} is no list: it has no resourceVersion")
        texts = {name: as_text(page.envelope.get(name)) for name in ("apiVersion", "kind")}
        envelope = {**{name: text for name, text in texts.items() if text}, "metadata": metadata}
        resource = self._arrivals.resource_of(path)
        if resource is None:
            return {**envelope, "items": [dict(item) for item in page.items if metadata_of(item)]}
        items: list[Json] = []
        for number, item in enumerate(page.items):
            if (slim := self._arrivals.add(resource, item)) is not None:
                items.append(slim)
            if number % 50 == 49:
                await asyncio.sleep(0)
        return {**envelope, "items": items}

    async def _watch(self, request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        response = await send(request)
        if response.status < 300:
            resource = self._arrivals.resource_of(request.url.path)
            cast(Any, response).content = _Lines(response.content, self._events(resource, response.content))
        return response

    async def _events(self, resource: Resource | None, content: aiohttp.StreamReader) -> AsyncGenerator[bytes]:
        """The events of a watch as lines for Kopf; the last one is EXPIRED where the watch cannot go on."""
        async for line in bounded_lines(content, MAX_OBJECT_BYTES):
            if line is None:
                logger.warning("a watch of %s: left out an event of more than %d bytes", resource, MAX_OBJECT_BYTES)
                continue
            try:
                event = decode_event(line)
            except ApiError as error:
                logger.warning("a watch of %s ended, listing again: %s", resource, error)
                yield EXPIRED
                return
            kind, body = as_text(event.get("type")), as_mapping(event.get("object"))
            if kind == "ERROR" or not metadata_of(body):
                if body.get("code") != 410:
                    problem = as_text(body.get("message")) or "an event without an object"
                    logger.warning("a watch of %s ended, listing again: %s", resource, problem)
                yield EXPIRED
                return
            if resource is not None and kind != "BOOKMARK":
                slim = self._arrivals.add(resource, body)
                if slim is None:
                    continue
                body = slim
            yield json.dumps({"type": kind, "object": body}).encode() + b"\n"


class _Lines:
    """The content of a watch, whose lines Kopf reads by `iter_chunked`; everything else is the stream's."""

    def __init__(self, content: aiohttp.StreamReader, lines: AsyncGenerator[bytes]) -> None:
        self._content = content
        self._lines = lines

    def iter_chunked(self, _: int) -> AsyncGenerator[bytes]:
        return self._lines

    def __getattr__(self, name: str) -> Any:
        return getattr(self._content, name)
