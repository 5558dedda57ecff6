"""Follow the objects of a kind: an initial list, then a watch, and a new list where the watch was lost."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Callable, Collection, Iterable
from contextlib import aclosing
from typing import Protocol, cast

from runwright.kube.client import Form, ListWatch, WatchEvent
from runwright.kube.decoding import UNDECODABLE
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, as_mapping, metadata_of, uid_of, version_of
from runwright.kube.resource import ALL, Resource, Selection

logger = logging.getLogger(__name__)

ADDED, MODIFIED, DELETED = "ADDED", "MODIFIED", "DELETED"

SYNCED = "SYNCED"
"""Event without an object: everything that the API server has was reported. Follows each list, and the end of STALE."""

STALE = "STALE"
"""Event without an object: the watch could not be opened for so long that changes may be missing."""

STALE_SECONDS = 15.0

SLICE = 100
"""Objects of a list that are reported before other tasks get a turn: some milliseconds."""

PROGRESS_SECONDS = 5.0
"""Seconds between two log lines about a list that takes long."""

BACKOFF = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds between two attempts, each with up to half as much again."""

SHORTEST_WATCH = 1.0
"""Seconds. A watch that ends sooner is followed by a pause, even if it brought events: something on the way ends them all."""

TRANSIENT = (0, 410, 429, 500, 502, 503, 504)
"""Status codes that another attempt may heal; 0 is no reply."""


class Known(Protocol):
    """The objects that the consumer holds, so that a new list finds what changed while there was no watch."""

    def version(self, uid: str) -> str | None:
        """The resource version that is held; None for an unknown object."""
        ...

    def missing(self, listed: Collection[str], version: str) -> Iterable[Json]:
        """Metadata of the held objects, not newer than `version`, whose uids are not listed: they were deleted unseen."""
        ...


class Held(Known):
    """The plain implementation: uid, metadata and resource version of each object."""

    def __init__(self) -> None:
        self._metadata: dict[str, Json] = {}

    def version(self, uid: str) -> str | None:
        """See Known."""
        held = self._metadata.get(uid)
        return str(held["resourceVersion"]) if held is not None else None

    def missing(self, listed: Collection[str], version: str) -> Iterable[Json]:
        """See Known."""
        return [{"metadata": held} for uid, held in self._metadata.items() if uid not in listed]

    def note(self, kind: str, body: Json) -> None:
        """Keep up with an event."""
        if kind == DELETED:
            self._metadata.pop(uid_of(body), None)
            return
        metadata = metadata_of(body)
        self._metadata[uid_of(body)] = {
            **{name: metadata.get(name) for name in ("namespace", "name", "uid")},
            "resourceVersion": version_of(body),
        }


class Informer:
    """The objects of one kind and selection, as events."""

    def __init__(
        self,
        client: ListWatch,
        resource: Resource,
        selection: Selection = ALL,
        *,
        form: Form = Form.OBJECTS,
        known: Known | None = None,
        since: str = "",
        attempts: int | None = None,
    ) -> None:
        """`known` is what the consumer holds; None where the informer is to keep uids and versions itself.

        `since` is the resource version at which `known` was listed: the watch begins there, without an initial list.

        `attempts` is how many requests in a row may fail, and no refusal is retried then; None retries for ever.
        With the form TABLE, an object is a row.
        """
        self._client, self._resource, self._selection, self._form = client, resource, selection, form
        self._known: Known = known if known is not None else Held()
        self._attempts = attempts
        self._since = since
        self._short = 0
        """Watches in a row that ended early, or failed soon after they were opened."""
        self.restarts = 0
        """How often a list or watch failed."""

    async def events(self) -> AsyncGenerator[WatchEvent]:
        """ADDED, MODIFIED and DELETED with the object; SYNCED and STALE without one. Never ends by itself; run it once.

        An object that was deleted while there was no watch is reported with its metadata alone. Raises ApiError where the
        API server refuses, or stays away for `attempts` requests.
        """
        failures, lost_at, synced = 0, 0.0, False
        while True:
            opened_at: float | None = None
            try:
                if not self._since:
                    async for event in self._list():
                        yield event
                    failures, synced = 0, True
                    yield WatchEvent(SYNCED, {})
                watch = self._client.watch(self._resource, self._selection, self._since, form=self._form)
                async with aclosing(watch) as events:
                    async for event in events:
                        failures = 0
                        opened_at = opened_at or time.monotonic()
                        if not synced:
                            synced = True
                            yield WatchEvent(SYNCED, {})
                        for change in self._changes(event):
                            yield change
                self._note_end(opened_at)
                if self._short:
                    await asyncio.sleep(pause(self._short))
            except ApiError as error:
                now = time.monotonic()
                self._note_end(opened_at)
                lost_at = now if failures == 0 else lost_at
                failures += 1
                self.restarts += 1
                if self._attempts is not None and (error.code not in TRANSIENT or failures >= self._attempts):
                    raise
                if error.code == 410 or error.reason == UNDECODABLE:
                    # A watch from the same version would meet the same event.
                    self._since = ""
                logger.warning("the watch of %s was lost, opening it again: %s", self._resource, error)
                if synced and now - lost_at > STALE_SECONDS:
                    synced = False
                    yield WatchEvent(STALE, {})
                await asyncio.sleep(pause(max(failures, self._short)))

    async def _list(self) -> AsyncGenerator[WatchEvent]:
        began = reported = time.monotonic()
        listed: set[str] = set()
        version = ""
        async for page in self._client.pages(self._resource, self._selection, form=self._form):
            version = version or page.version
            for start in range(0, len(page.items), SLICE):
                for item in page.items[start : start + SLICE]:
                    uid, at = uid_of(self._object(item)), version_of(self._object(item))
                    listed.add(uid)
                    held = self._known.version(uid)
                    if held != at:
                        yield self._noted(ADDED if held is None else MODIFIED, item)
                await asyncio.sleep(0)
            if time.monotonic() - reported > PROGRESS_SECONDS:
                reported = time.monotonic()
                logger.info("%d %s listed in %.0f s", len(listed), self._resource, reported - began)
        if not version:
            # A proxy on the way sent it: every object would seem to be deleted.
            raise ApiError(
                0, UNDECODABLE, f"the API server sent no list of {self._resource}: it has no resourceVersion"
            )
        for metadata in list(self._known.missing(listed, version)):
            yield self._noted(DELETED, {"object": metadata} if self._form is Form.TABLE else metadata)
        self._since = version
        logger.debug("%d %s listed in %.1f s", len(listed), self._resource, time.monotonic() - began)

    def _note_end(self, opened_at: float | None) -> None:
        if opened_at is not None:
            self._short = self._short + 1 if time.monotonic() - opened_at < SHORTEST_WATCH else 0

    def _changes(self, event: WatchEvent) -> list[WatchEvent]:
        """The events that the consumer gets for one of the API server."""
        rows = event.body.get("rows") if self._form is Form.TABLE else [event.body]
        changes: list[WatchEvent] = []
        for item in cast(list[Json], rows or []):
            self._since = version_of(self._object(item)) or self._since
            if event.type in (ADDED, MODIFIED, DELETED):
                changes.append(self._noted(event.type, item))
        return changes

    def _noted(self, kind: str, item: Json) -> WatchEvent:
        if isinstance(self._known, Held):
            self._known.note(kind, self._object(item))
        return WatchEvent(kind, item)

    def _object(self, item: Json) -> Json:
        return as_mapping(item.get("object")) if self._form is Form.TABLE else item


def pause(failures: int) -> float:
    """Seconds before the next attempt after so many failures in a row."""
    return BACKOFF[min(failures, len(BACKOFF)) - 1] * random.uniform(1, 1.5)


async def follow_synced(
    informer: Informer, apply: Callable[[WatchEvent], None], changed: Callable[[bool], None]
) -> None:
    """Hand each change to `apply`, and each SYNCED (True) or STALE (False) to `changed`. Never returns by itself."""
    async with aclosing(informer.events()) as events:
        async for event in events:
            if event.type in (SYNCED, STALE):
                changed(event.type == SYNCED)
            else:
                apply(event)
