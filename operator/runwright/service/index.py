"""The objects of a kind as rows in memory, with sorted lists of them.

A sorted list is built at the first request for its scope and order, updated with each change, and dropped when it was not
requested for long, or when the lists together have too many positions. Nothing here blocks the event loop for long, however
many rows there are and however costly a filter is.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar, cast

from runwright.service.errors import Code, ServiceError, invalid_argument
from runwright.service.order import Order, Position, Row, Scope, SortedRows, is_after, merge_sorted
from runwright.service.slices import Slices

SLICE = 2000
"""Rows that are sorted at once, which takes some milliseconds."""

MAX_ORDERS = 64
"""Sorted lists that are kept; beyond that, the least recently used one is dropped."""

MAX_POSITIONS = 500_000
"""Positions in all sorted lists, of about 100 bytes each; beyond that, the least recently used list is dropped."""

IDLE_SECONDS = 600.0
"""A sorted list that was not used for so long is dropped."""

SEARCH_SECONDS = 10.0
"""CPU time of one search: 500,000 rows with a filter that is ten times as costly as a usual one."""

AT_A_TIME = 4
"""Searches and builds of lists that run at the same time: each computes for some milliseconds before the next one goes on."""

MAX_WAITING = 64
"""Searches and builds that wait; more are refused."""

MAX_DELETED = 10_000
"""Deleted objects that are remembered, so that a late event does not bring them back."""


R = TypeVar("R", bound=Row)


@dataclass(slots=True, eq=False)
class Scan:
    """A search through a list, of the rows as they were when it began."""

    changed: dict[str, Row] = field(default_factory=dict[str, Row])
    """Rows that were changed or removed since, as they were."""


class Index(Generic[R]):
    """The newest row of each object. Lists are complete only while `synced`, which the index's feed sets."""

    def __init__(self) -> None:
        self.synced = False
        self._rows: dict[str, R] = {}
        self._deleted: dict[str, int] = {}
        self._scopes: dict[Scope, set[str]] = {}
        self._sorted = OrderedDict[tuple[Scope, Order], SortedRows]()
        """The least recently used one first."""
        self._making: dict[tuple[Scope, Order], tuple[asyncio.Future[SortedRows], list[tuple[R | None, R | None]]]] = {}
        self._waiters: dict[str, list[asyncio.Future[None]]] = {}
        self._scans: set[Scan] = set()
        self._turns = asyncio.Semaphore(AT_A_TIME)
        self._waiting = 0

    def __len__(self) -> int:
        """Number of rows."""
        return len(self._rows)

    def rows(self) -> Iterator[R]:
        """All rows, in no order."""
        return iter(self._rows.values())

    def row(self, id: str) -> R | None:
        """The row with this id; None for an unknown one."""
        return self._rows.get(id)

    def count(self, scope: Scope) -> int:
        """Number of rows in a scope."""
        return len(self._scopes.get(scope, ()))

    def in_scope(self, scope: Scope) -> list[R]:
        """The rows in a scope, in no order."""
        return [self._rows[id] for id in self._scopes.get(scope, ())]

    # ------------------------------------------------------------------------------------------------------- changes

    def apply(self, row: R) -> None:
        """Insert or replace a row, unless a newer one is known: the reply to a write may arrive before its watch event."""
        old = self._rows.get(row.id)
        if (old is not None and old.version > row.version) or self._deleted.get(row.id, -1) >= row.version:
            return
        self._rows[row.id] = row
        self._change(old, row)
        for waiter in self._waiters.get(row.id, ()):
            if not waiter.done():
                waiter.set_result(None)

    def remove(self, id: str, version: int) -> None:
        """Remove the row of an object that was deleted at this resource version."""
        old = self._rows.get(id)
        if old is not None and old.version > version:
            return
        # Events from before the deletion may still arrive.
        self._deleted[id] = version
        if len(self._deleted) > MAX_DELETED:
            del self._deleted[next(iter(self._deleted))]
        if old is not None:
            del self._rows[id]
            self._change(old, None)

    def unlisted(self, scope: Scope, ids: Collection[str], version: int) -> list[R]:
        """The rows of a scope that a complete list at this version, with these ids, shows as deleted.

        Newer rows are left out: they were created after the list.
        """
        return [row for row in self.in_scope(scope) if row.id not in ids and row.version <= version]

    def _change(self, old: R | None, new: R | None) -> None:
        for scope in old.scopes if old else ():
            if new is None or scope not in new.scopes:
                members = self._scopes[scope]
                members.discard(old.id if old else "")
                if not members:
                    del self._scopes[scope]
        for scope in new.scopes if new else ():
            self._scopes.setdefault(scope, set()).add(new.id if new else "")
        if self._sorted and next(iter(self._sorted.values())).used + IDLE_SECONDS < time.monotonic():
            self._drop_unused()
        for (scope, order), kept in self._sorted.items():
            was, now = (one if one is not None and scope in one.scopes else None for one in (old, new))
            if was is not None and now is not None and order.position(was) == order.position(now):
                continue
            if was is not None:
                kept.remove(was)
            if now is not None:
                kept.add(now)
        for _, changes in self._making.values():
            changes.append((old, new))
        for scan in self._scans if old else ():
            scan.changed.setdefault(old.id if old else "", cast(Row, old))

    # --------------------------------------------------------------------------------------------------------- reads

    async def wait_for(self, id: str, seconds: float) -> R | None:
        """Return the row with this id, or None if it does not arrive within these seconds.

        Another replica may have just created the object.
        """
        if id in self._rows:
            return self._rows[id]
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiters = self._waiters.setdefault(id, [])
        waiters.append(waiter)
        try:
            await asyncio.wait_for(waiter, seconds)
        except TimeoutError:
            return None
        finally:
            waiters.remove(waiter)
            if not waiters:
                self._waiters.pop(id, None)
        return self._rows.get(id)

    async def page(
        self, scope: Scope, order: Order, after: Position | None, size: int, matches: Callable[[R], bool] | None
    ) -> tuple[list[R], int, bool]:
        """Up to `size` rows after a position, the number of rows on all pages, and whether more rows follow.

        `matches` is called for each row of the scope, since all matches are counted. All rows are read as they were at one
        moment: the next page begins after the last row's value, so a row must not move across it during the search.

        Raises ServiceError for a search that takes too long, and while too many others wait.
        """
        if scope not in self._scopes:
            return [], 0, False
        kept = self._kept(scope, order)
        if matches is None and kept is not None:
            return self._slice(kept.positions, order, after, size)
        if self._waiting >= MAX_WAITING:
            raise ServiceError(Code.RESOURCE_EXHAUSTED, "too many lists are searched and sorted; try again in a moment")
        self._waiting += 1
        try:
            await self._turns.acquire()
        finally:
            self._waiting -= 1
        try:
            positions = (self._kept(scope, order) or await self._make(scope, order)).positions
            if matches is None:
                return self._slice(positions, order, after, size)
            return await self._search(list(self._read(positions, order)), order, after, size, matches)
        finally:
            self._turns.release()

    async def _search(
        self,
        positions: list[Position],
        order: Order,
        after: Position | None,
        size: int,
        matches: Callable[[R], bool],
    ) -> tuple[list[R], int, bool]:
        found: list[R] = []
        total, more = 0, False
        slices, scan = Slices(), Scan()
        self._scans.add(scan)
        try:
            for number, position in enumerate(positions):
                if number & 3 == 3 and slices.due:
                    await slices.pause()
                    if slices.seconds > SEARCH_SECONDS:
                        raise too_costly(len(positions))
                row = cast(R, scan.changed.get(position[1])) or self._rows[position[1]]
                if not matches(row):
                    continue
                total += 1
                if after is not None and not is_after(position, after, order.descending):
                    continue
                if len(found) < size:
                    found.append(row)
                else:
                    more = True
        finally:
            self._scans.discard(scan)
        return found, total, more

    def _slice(
        self, positions: list[Position], order: Order, after: Position | None, size: int
    ) -> tuple[list[R], int, bool]:
        if order.descending:
            end = len(positions) if after is None else bisect_left(positions, after)
            chosen, more = positions[max(0, end - size) : end][::-1], end > size
        else:
            start = 0 if after is None else bisect_right(positions, after)
            chosen, more = positions[start : start + size], start + size < len(positions)
        return [self._rows[id] for _, id in chosen], len(positions), more

    def _read(self, positions: list[Position], order: Order) -> Iterable[Position]:
        return reversed(positions) if order.descending else iter(positions)

    def _kept(self, scope: Scope, order: Order) -> SortedRows | None:
        """The sorted list, if there is one; it is now the most recently used one."""
        kept = self._sorted.get((scope, order))
        if kept is not None:
            kept.used = time.monotonic()
            self._sorted.move_to_end((scope, order))
        return kept

    async def _make(self, scope: Scope, order: Order) -> SortedRows:
        """Build a sorted list in slices, then apply the changes that came during the build; one build of each at a time."""
        while (making := self._making.get((scope, order))) is not None:
            await asyncio.shield(making[0])
            if (kept := self._kept(scope, order)) is not None:
                return kept
        changes: list[tuple[R | None, R | None]] = []
        made: asyncio.Future[SortedRows] = asyncio.get_running_loop().create_future()
        self._making[scope, order] = made, changes
        kept = SortedRows(order, used=time.monotonic())
        try:
            slices = Slices()
            runs: list[list[Position]] = []
            rows = self.in_scope(scope)
            for start in range(0, len(rows), SLICE):
                positions: list[Position] = []
                for number, row in enumerate(rows[start : start + SLICE]):
                    positions.append(order.position(row))
                    if number & 63 == 63 and slices.due:
                        await slices.pause()
                positions.sort()
                runs.append(positions)
                await slices.pause()
            while len(runs) > 1:
                runs = [await merge_sorted(runs[at : at + 8], slices) for at in range(0, len(runs), 8)]
            kept.positions = runs[0] if runs else []
            for old, new in changes:
                if old is not None and scope in old.scopes:
                    kept.remove(old)
                if new is not None and scope in new.scopes:
                    kept.add(new)
            self._sorted[scope, order] = kept
            self._drop_unused()
        finally:
            del self._making[scope, order]
            made.set_result(kept)
        return kept

    def _drop_unused(self) -> None:
        """Drop the least recently used lists while there are too many, or too large ones, and those that are not used."""
        held, now = sum(len(kept.positions) for kept in self._sorted.values()), time.monotonic()
        while self._sorted:
            oldest = next(iter(self._sorted.values()))
            crowded = len(self._sorted) > 1 and (len(self._sorted) > MAX_ORDERS or held > MAX_POSITIONS)
            if not crowded and now - oldest.used < IDLE_SECONDS:
                return
            held -= len(oldest.positions)
            self._sorted.popitem(last=False)


def too_costly(rows: int) -> ServiceError:
    """The error for a search that takes too long."""
    return invalid_argument(
        f"filter: the search of {rows} objects takes more than {SEARCH_SECONDS:.0f} s of CPU time; use fewer predicates, or "
        f"list by a resource_reference_key"
    )
