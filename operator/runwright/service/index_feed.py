"""Keeps an index up to date with the objects of a kind: one informer for each namespace, or one for all."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import Generic, TypeVar

from typing_extensions import override

from runwright.kube.client import Client, WatchEvent
from runwright.kube.informer import DELETED, Informer, Known, follow_synced
from runwright.kube.objects import Json, incompleteness, key_of, uid_of
from runwright.kube.resource import Resource, Selection
from runwright.kube.supervise import LoopGroup
from runwright.service.index import Index
from runwright.service.order import Row, Scope
from runwright.service.rows import ALL, numeric_version

logger = logging.getLogger(__name__)

UNREADABLE = "Unreadable"
"""Reason in the metrics for an object without a row."""

R = TypeVar("R", bound=Row)


class IndexedObjects(Known, Generic[R]):
    """The rows of a scope, as the objects that an informer knows: nothing is held twice."""

    def __init__(self, index: Index[R], scope: Scope) -> None:
        self._index, self._scope = index, scope

    @override
    def version(self, uid: str) -> str | None:
        row = self._index.row(uid)
        return str(row.version) if row is not None else None

    @override
    def missing(self, listed: Collection[str], version: str) -> Iterable[Json]:
        if not version.isdecimal():
            return ()
        rows = self._index.unlisted(self._scope, listed, int(version))
        return [{"metadata": {"uid": row.id, "resourceVersion": version}} for row in rows]


class IndexFeed(Generic[R]):
    """One kind in its index."""

    def __init__(
        self,
        client: Client,
        resource: Resource,
        namespaces: Sequence[str],
        index: Index[R],
        make_row: Callable[[Json], R],
        refused: Callable[[str], None],
    ) -> None:
        """`namespaces` are the ones to follow; none means all. `make_row` makes the row of an object.

        `refused` is called with the reason for each event of an object that cannot be read, or only in part.
        """
        self._client, self._resource = client, resource
        self._index, self._make_row, self._refused = index, make_row, refused
        self._synced = dict.fromkeys(namespaces or ("",), False)

    def start(self, loops: LoopGroup) -> None:
        """Follow the objects. Sets `synced` of the index: true while every namespace is in sync."""
        for namespace in self._synced:
            loops.start(f"index of {self._resource.plural}", partial(self._follow, namespace))

    async def _follow(self, namespace: str) -> None:
        began, scope = time.monotonic(), index_scope(namespace)

        def set_synced(synced: bool) -> None:
            nonlocal began
            if synced:
                number, seconds = self._index.count(scope), time.monotonic() - began
                logger.info("%d %s listed in %.1f s", number, self._resource.plural, seconds)
            elif self._synced[namespace]:
                began = time.monotonic()
                logger.warning("%s are not in sync: the API server cannot be watched", self._resource.plural)
            self._synced[namespace] = synced
            self._index.synced = all(self._synced.values())

        known = IndexedObjects(self._index, scope)
        informer = Informer(self._client, self._resource, Selection(namespace), known=known)
        try:
            await follow_synced(informer, self._apply, set_synced)
        finally:
            # Nothing is followed until the loop is restarted, which lists all objects.
            self._synced[namespace] = self._index.synced = False

    def _apply(self, event: WatchEvent) -> None:
        """Take in an event. An object that cannot be read is left out: it harms no other."""
        try:
            self._take_in(event)
        except Exception:
            key, kind = key_of(event.body), self._resource.plural
            logger.exception("%s %s is left out of lists: it cannot be read", kind, key)
            self._refused(UNREADABLE)

    def _take_in(self, event: WatchEvent) -> None:
        if event.type == DELETED:
            self._index.remove(uid_of(event.body), numeric_version(event.body))
            return
        if mark := incompleteness(event.body):
            self._refused(mark.reason)
        self._index.apply(self._make_row(event.body))


def index_scope(namespace: str) -> Scope:
    """The scope of a namespace's rows; that of all rows for an empty name."""
    return ("NAMESPACE", namespace) if namespace else ALL
