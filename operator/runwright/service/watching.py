"""Keeps an index up to date: a whole list, then the watch from where it stood, and a new list where that is lost."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable
from typing import Generic, NoReturn, Protocol, TypeVar

from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, uid_of, version_of
from runwright.service.index import Index, Row, Scope
from runwright.service.rows import numeric_version

logger = logging.getLogger(__name__)

SLICE = 100
"""Objects that are taken in before others have their turn: some milliseconds."""

STALE_SECONDS = 15.0
"""A watch that cannot be begun anew for so long leaves the index not synced: a list would hide what has happened since."""

BACKOFF = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds between tries, each with up to half as much again."""

TOLD_SECONDS = 5.0
"""How often the progress of a first list is told."""

R = TypeVar("R", bound=Row)


class Source(Protocol):
    """Lists and watches a kind: adapters.watching.Watching."""

    def pages(self) -> AsyncIterator[tuple[list[Json], str]]:
        """All objects, and the version at which the list is."""
        ...

    def events(self, since: str) -> AsyncIterator[tuple[str, Json]]:
        """What happened after a version."""
        ...


class Reflector(Generic[R]):
    """One kind in the index. Of several namespaces, each has a reflector: the index is synced when all of them are."""

    def __init__(self, source: Source, scope: Scope, index: Index[R], row: Callable[[Json], R], what: str) -> None:
        """`scope` is what the source lists; `row` makes the row of an object; `what` is said in the log."""
        self._source, self._scope, self._index, self._row, self._what = source, scope, index, row, what
        self.synced = False
        self.restarts = 0

    async def forever(self, changed: Callable[[], None]) -> NoReturn:
        """List and watch until it is cancelled; `changed` is called when `synced` has changed."""
        since, failures, lost_at = "", 0, 0.0
        while True:
            try:
                if not since:
                    since = await self._list()
                async for kind, body in self._source.events(since):
                    since = version_of(body) or since
                    self._take(kind, body)
                    self._sync(True, changed)
                    failures = 0
            except ApiError as error:
                if error.code == 410:
                    since = ""
                self.restarts += 1
                if failures == 0:
                    lost_at = time.monotonic()
                logger.warning("the watch of %s is begun anew: %s", self._what, error)
                if time.monotonic() - lost_at > STALE_SECONDS:
                    self._sync(False, changed)
                wait = BACKOFF[min(failures, len(BACKOFF) - 1)]
                failures += 1
                await asyncio.sleep(wait * random.uniform(1, 1.5))

    async def _list(self) -> str:
        began = told = time.monotonic()
        ids: set[str] = set()
        version = ""
        async for items, at in self._source.pages():
            version = version or at
            for start in range(0, len(items), SLICE):
                for item in items[start : start + SLICE]:
                    row = self._row(item)
                    ids.add(row.id)
                    self._index.apply(row)
                await asyncio.sleep(0)
            if time.monotonic() - told > TOLD_SECONDS:
                told = time.monotonic()
                logger.info("%d %s listed in %.0f s", len(ids), self._what, told - began)
        self._keep_only(ids, version)
        logger.info("%d %s listed in %.1f s", len(ids), self._what, time.monotonic() - began)
        return version

    def _keep_only(self, ids: set[str], version: str) -> None:
        if version.isdecimal():
            self._index.keep_only(self._scope, ids, int(version))

    def _take(self, kind: str, body: Json) -> None:
        if kind in ("ADDED", "MODIFIED"):
            self._index.apply(self._row(body))
        elif kind == "DELETED":
            self._index.remove(uid_of(body), numeric_version(body))

    def _sync(self, synced: bool, changed: Callable[[], None]) -> None:
        if synced != self.synced:
            self.synced = synced
            changed()
