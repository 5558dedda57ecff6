"""What happens in one namespace of an API server, as an independent watch sees it: every version of every run and Workflow."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import aiohttp

from tests.e2e.cluster import Object

NAMESPACE = "default"
RUNS = f"/apis/runwright.dev/v1alpha1/namespaces/{NAMESPACE}/pipelineruns"
WORKFLOWS = f"/apis/argoproj.io/v1alpha1/namespaces/{NAMESPACE}/workflows"


class World:
    """The API server as the test sees it: every version of every run and Workflow since the beginning."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self.versions: dict[tuple[str, str], list[Object]] = defaultdict(list)
        self.gone: set[tuple[str, str]] = set()
        self.events = 0
        self._changed = asyncio.Condition()

    async def call(self, method: str, path: str, body: Object | None = None) -> None:
        """One request; a failure is a failure of the test."""
        headers = {"Content-Type": "application/merge-patch+json"} if method == "PATCH" else {}
        async with self._session.request(method, path, json=body, headers=headers) as reply:
            assert reply.status < 300, f"{method} {path}: {reply.status} {(await reply.text())[:300]}"

    async def follow(self, kind: str, path: str) -> None:
        """Take down what happens to the objects of a kind."""
        timeout = aiohttp.ClientTimeout(total=None, sock_read=None)
        address = f"{path}?watch=true&timeoutSeconds=3600"
        reply = await self._session.get(address, timeout=timeout)
        for _ in range(100):
            if reply.status != 429:
                break
            await asyncio.sleep(0.1)  # the API server has just learned of the kind
            reply = await self._session.get(address, timeout=timeout)
        async with reply:
            assert reply.status == 200, await reply.text()
            async for line in reply.content:
                event = json.loads(line)
                key = (kind, event["object"]["metadata"]["name"])
                async with self._changed:
                    self.events += 1
                    if event["type"] == "DELETED":
                        self.gone.add(key)
                    else:
                        self.gone.discard(key)
                        self.versions[key].append(event["object"])
                    self._changed.notify_all()

    async def until(self, kind: str, name: str, holds: Callable[[Object], Any]) -> Object:
        """The object as soon as that is true of it."""
        key = (kind, name)
        async with self._changed:
            while not (self.versions[key] and key not in self.gone and holds(self.versions[key][-1])):
                await self._changed.wait()
            return self.versions[key][-1]

    async def until_true(self, holds: Callable[[], bool]) -> None:
        """Return as soon as that is true of all that was seen."""
        async with self._changed:
            while not holds():
                await self._changed.wait()

    async def until_gone(self, kind: str, name: str) -> None:
        """Return when the object is gone."""
        async with self._changed:
            while (kind, name) not in self.gone:
                await self._changed.wait()

    async def quiet(self, seconds: float) -> None:
        """Return when nothing has happened for so long."""
        while True:
            before = self.events
            await asyncio.sleep(seconds)  # that nothing happens can only be waited for
            if self.events == before:
                return
