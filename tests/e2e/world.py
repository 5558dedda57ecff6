"""Every version of every run and Workflow of an API server, as a watch records them that is not the operator's."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import aiohttp

from tests.e2e.cluster import Object

NAMESPACE = "default"
RUNS = f"/apis/runwright.dev/v1alpha1/namespaces/{NAMESPACE}/pipelineruns"
WORKFLOWS = f"/apis/argoproj.io/v1alpha1/namespaces/{NAMESPACE}/workflows"

FOREVER = aiohttp.ClientTimeout(total=None, sock_read=None)


class World:
    """The versions of every object since the beginning, by kind and name."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self.versions: dict[tuple[str, str], list[Object]] = defaultdict(list)
        self.gone: set[tuple[str, str]] = set()
        self.events = 0
        self._changed = asyncio.Condition()

    async def call(self, method: str, path: str, body: Object | None = None) -> None:
        """Send a request. Fails where the API server refuses it."""
        headers = {"Content-Type": "application/merge-patch+json"} if method == "PATCH" else {}
        async with self._session.request(method, path, json=body, headers=headers) as reply:
            assert reply.status < 300, f"{method} {path}: {reply.status} {(await reply.text())[:300]}"

    async def follow(self, kind: str, path: str) -> None:
        """Record the objects of a kind and what happens to them, until cancelled.

        The API server ends a watch after an hour, and one whose client is too slow (1.34). The next one goes on from the
        last version seen; where that is too old, from a new list.
        """
        since = ""
        while True:
            since = await self._watch(kind, path, since or await self._list(kind, path))

    async def _list(self, kind: str, path: str) -> str:
        """Record all objects; returns the version of the list."""
        async with await self._get(path) as reply:
            assert reply.status == 200, await reply.text()
            found = await reply.json()
        items = {(kind, one["metadata"]["name"]): one for one in found["items"]}
        known = [key for key, versions in self.versions.items() if key[0] == kind and versions and key not in self.gone]
        for key in known:
            if key not in items:
                await self._record("DELETED", key, self.versions[key][-1])
        for key, one in items.items():
            before = self.versions[key]
            if not before or before[-1]["metadata"]["resourceVersion"] != one["metadata"]["resourceVersion"]:
                await self._record("ADDED", key, one)
        return found["metadata"]["resourceVersion"]

    async def _watch(self, kind: str, path: str, since: str) -> str:
        """Record events until the watch ends; returns the version to go on from, empty where it is too old."""
        async with await self._get(f"{path}?watch=true&timeoutSeconds=3600&resourceVersion={since}") as reply:
            if reply.status == 410:
                return ""
            assert reply.status == 200, await reply.text()
            with suppress(aiohttp.ClientPayloadError):
                async for line in reply.content:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        assert event["object"]["code"] == 410, event
                        return ""
                    metadata = event["object"]["metadata"]
                    since = metadata["resourceVersion"]
                    await self._record(event["type"], (kind, metadata["name"]), event["object"])
        return since

    async def _get(self, path: str) -> aiohttp.ClientResponse:
        reply = await self._session.get(path, timeout=FOREVER)
        for _ in range(100):
            if reply.status != 429:
                break
            reply.release()
            await asyncio.sleep(0.1)  # the API server prepares its cache of a new kind
            reply = await self._session.get(path, timeout=FOREVER)
        return reply

    async def _record(self, event: str, key: tuple[str, str], found: Object) -> None:
        async with self._changed:
            self.events += 1
            if event == "DELETED":
                self.gone.add(key)
            else:
                self.gone.discard(key)
                self.versions[key].append(found)
            self._changed.notify_all()

    async def until(self, kind: str, name: str, holds: Callable[[Object], Any]) -> Object:
        """The object as soon as `holds` is true of it."""
        key = (kind, name)
        async with self._changed:
            while not (self.versions[key] and key not in self.gone and holds(self.versions[key][-1])):
                await self._changed.wait()
            return self.versions[key][-1]

    async def until_true(self, holds: Callable[[], bool]) -> None:
        """Return as soon as `holds` is true."""
        async with self._changed:
            while not holds():
                await self._changed.wait()

    async def until_gone(self, kind: str, name: str) -> None:
        """Return when the object is gone."""
        async with self._changed:
            while (kind, name) not in self.gone:
                await self._changed.wait()

    async def quiet(self, seconds: float) -> None:
        """Return when no event has come for this time."""
        while True:
            before = self.events
            await asyncio.sleep(seconds)  # that nothing happens can only be waited for
            if self.events == before:
                return
