"""The objects of a kind as rows in memory, with sorted lists of them.

A sorted list is built at the first request for its scope and order, updated with each change, and dropped when it was not
requested for long. Nothing here blocks the event loop for long, however many rows there are.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from heapq import merge
from typing import Generic, Protocol, TypeVar, cast

Scope = tuple[str, str]
"""A set of rows: a type of reference and an id, such as ("EXPERIMENT", id); ("", "") for all rows."""

Value = str | int | float | None
Position = tuple[object, str]
"""A row's position in an order: its sort value, then its id."""

SORT_CHARS = 256
"""Characters of a text that rows are sorted by. A page token contains those of a row."""

SLICE = 4000
"""Rows that are processed before other tasks get a turn: some milliseconds."""

MAX_ORDERS = 64
"""Sorted lists that are kept; beyond that, the least recently used one is dropped."""

MAX_DELETED = 10_000
"""Deleted objects that are remembered, so that a late event does not bring them back."""


class Row(Protocol):
    """An object that can be indexed."""

    @property
    def id(self) -> str:
        """Its id in the API: the object's uid."""
        ...

    @property
    def version(self) -> int:
        """Its resource version."""
        ...

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """The scopes that it belongs to."""
        ...

    def value(self, field: str) -> Value:
        """The value of a field, for sorting and filtering."""
        ...


R = TypeVar("R", bound=Row)


@dataclass(frozen=True, slots=True)
class Order:
    """A field to sort by, and the direction. Rows with equal values are sorted by id, in the same direction."""

    field: str
    descending: bool = False

    def position(self, row: Row) -> Position:
        """The row's position. Positions ascend; a descending list is read from its end."""
        return self.position_of(self.sort_value(row), row.id)

    def sort_value(self, row: Row) -> Value:
        """What the row is sorted by: its value, of a text only the first SORT_CHARS characters."""
        value = row.value(self.field)
        return value[:SORT_CHARS] if isinstance(value, str) else value

    def position_of(self, value: Value, id: str) -> Position:
        """The position of a row with this sort value and id. Rows without a metric come last in both directions."""
        if self.field.startswith("metric:"):
            return (((value is None) != self.descending), value or 0.0), id
        return value, id


@dataclass(slots=True)
class SortedRows:
    """The positions of the rows of a scope, in ascending order."""

    order: Order
    positions: list[Position] = field(default_factory=list[Position])
    used: int = 0

    def add(self, row: Row) -> None:
        """Insert the row."""
        insort(self.positions, self.order.position(row))

    def remove(self, row: Row) -> None:
        """Remove the row, which must still have the value that it was inserted with."""
        position = self.order.position(row)
        at = bisect_left(self.positions, position)
        if at < len(self.positions) and self.positions[at] == position:
            del self.positions[at]


@dataclass(slots=True, eq=False)
class Scan:
    """A search through a list, of the rows as they were when it began."""

    changed: dict[str, Row] = field(default_factory=dict[str, Row])
    """Rows that were changed or removed since, as they were."""


@dataclass(slots=True)
class Waiter:
    """A call of `wait_for`."""

    id: str
    future: asyncio.Future[None]


class Index(Generic[R]):
    """The newest row of each object. Lists are complete only while `synced`, which the index's feed sets."""

    def __init__(self) -> None:
        self.synced = False
        self._rows: dict[str, R] = {}
        self._deleted: dict[str, int] = {}
        self._scopes: dict[Scope, set[str]] = {}
        self._sorted: dict[tuple[Scope, Order], SortedRows] = {}
        self._making: dict[tuple[Scope, Order], tuple[asyncio.Future[SortedRows], list[tuple[R | None, R | None]]]] = {}
        self._waiters: list[Waiter] = []
        self._scans: set[Scan] = set()
        self._clock = 0

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
        for waiter in [one for one in self._waiters if one.id == row.id]:
            if not waiter.future.done():
                waiter.future.set_result(None)

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
        waiter = Waiter(id, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        try:
            await asyncio.wait_for(waiter.future, seconds)
        except TimeoutError:
            return None
        finally:
            self._waiters.remove(waiter)
        return self._rows.get(id)

    async def page(
        self, scope: Scope, order: Order, after: Position | None, size: int, matches: Callable[[R], bool] | None
    ) -> tuple[list[R], int, bool]:
        """Up to `size` rows after a position, the number of rows on all pages, and whether more rows follow.

        `matches` is called for each row of the scope, since all matches are counted. All rows are read as they were at one
        moment: the next page begins after the last row's value, so a row must not move across it during the search.
        """
        positions = (await self._order(scope, order)).positions
        if matches is None:
            return self._slice(positions, order, after, size)
        scan = Scan()
        self._scans.add(scan)
        try:
            return await self._search(list(self._read(positions, order)), scan, order, after, size, matches)
        finally:
            self._scans.discard(scan)

    async def _search(
        self,
        positions: list[Position],
        scan: Scan,
        order: Order,
        after: Position | None,
        size: int,
        matches: Callable[[R], bool],
    ) -> tuple[list[R], int, bool]:
        found: list[R] = []
        total, more = 0, False
        for number, position in enumerate(positions):
            if number % SLICE == SLICE - 1:
                await asyncio.sleep(0)
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

    async def _order(self, scope: Scope, order: Order) -> SortedRows:
        key = scope, order
        self._clock += 1
        while (kept := self._sorted.get(key)) is None:
            if key in self._making:
                await asyncio.shield(self._making[key][0])
            else:
                await self._make(scope, order)
        kept.used = self._clock
        return kept

    async def _make(self, scope: Scope, order: Order) -> None:
        """Build a sorted list in slices, then apply the changes that came during the build."""
        changes: list[tuple[R | None, R | None]] = []
        made: asyncio.Future[SortedRows] = asyncio.get_running_loop().create_future()
        self._making[scope, order] = made, changes
        kept = SortedRows(order)
        try:
            rows = self.in_scope(scope)
            runs: list[list[Position]] = []
            for start in range(0, len(rows), SLICE):
                runs.append(sorted(order.position(row) for row in rows[start : start + SLICE]))
                await asyncio.sleep(0)
            while len(runs) > 1:
                runs = [await merge_sorted(runs[at : at + 8]) for at in range(0, len(runs), 8)]
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

    def _drop_unused(self) -> None:
        if len(self._sorted) > MAX_ORDERS:
            oldest = min(self._sorted, key=lambda key: self._sorted[key].used or self._clock + 1)
            del self._sorted[oldest]


def is_after(position: Position, after: Position, descending: bool) -> bool:
    """Whether a position comes after another one in reading direction."""
    return position < after if descending else position > after


async def merge_sorted(runs: list[list[Position]]) -> list[Position]:
    """Merge sorted lists into one."""
    if len(runs) == 1:
        return runs[0]
    whole: list[Position] = []
    for number, position in enumerate(merge(*runs)):
        whole.append(position)
        if number % SLICE == SLICE - 1:
            await asyncio.sleep(0)
    return whole
