"""Paces Kopf's watches and lists, so that one that ends at once, again and again, costs few requests.

Kopf (1.45.2) opens a watch that ended again without a pause: hundreds of times a second behind a proxy that closes them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from dataclasses import dataclass

import aiohttp

from runwright.kube.supervise import DOWN_AFTER, Backoff, seconds_now

logger = logging.getLogger(__name__)

SHORTEST_WATCH = 1.0
"""Seconds. A watch that ends sooner is followed by a pause; usually, a watch lasts 300 seconds."""

SHORTEST_LIST = 5.0
"""Seconds. A list that is repeated sooner is preceded by a pause."""

BACKOFFS = {True: Backoff(0.1, 1.0), False: Backoff(0.1, 2.0)}
"""Pauses between watches, and between lists."""


@dataclass(slots=True)
class Stream:
    """The watches, or the lists, of one URL path."""

    opened: float = float("-inf")
    short: int = 0
    """How many in a row ended too soon."""
    waiting: bool = False


class WatchPace:
    """A middleware of Kopf's HTTP sessions."""

    def __init__(self) -> None:
        self._streams: defaultdict[tuple[str, bool], Stream] = defaultdict(Stream)

    @property
    def interrupted(self) -> list[str]:
        """URL paths of the watches that end at once, again and again."""
        now = seconds_now()
        return [
            path
            for (path, watch), stream in self._streams.items()
            if watch and stream.short >= DOWN_AFTER and (stream.waiting or now - stream.opened < SHORTEST_WATCH)
        ]

    async def __call__(self, request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        """Send the request, after a pause if its predecessor ended too soon."""
        query = request.url.query
        watch = "watch" in query
        if not watch and ("limit" not in query or "continue" in query):
            return await send(request)
        stream = self._streams[request.url.path, watch]
        shortest = SHORTEST_WATCH if watch else SHORTEST_LIST
        stream.short = stream.short + 1 if seconds_now() - stream.opened < shortest else 0
        if stream.short:
            await self._pause(request.url.path, watch, stream)
        response = await send(request)
        if response.status < 300:
            stream.opened = seconds_now()
        return response

    async def _pause(self, path: str, watch: bool, stream: Stream) -> None:
        pause, stream.waiting = BACKOFFS[watch].seconds(stream.short), True
        if watch and stream.short == DOWN_AFTER:
            logger.warning("the watch of %s ends at once, again and again; opening it again with a back-off", path)
        try:
            await asyncio.sleep(pause)
        finally:
            stream.waiting = False
