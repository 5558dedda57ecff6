"""The objects of a kind as rows in memory, sorted by whatever somebody has asked for.

A sorted list is made when it is first asked for, kept in order with each change, and let go of when nobody asks for it any
more. Nothing here blocks the event loop for long, however many rows there are.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from heapq import merge
from typing import Generic, Protocol, TypeVar, cast

Scope = tuple[str, str]
"""Whose rows: a type of reference and an id, such as ("EXPERIMENT", id); ("", "") for all."""

Value = str | int | float | None
Position = tuple[object, str]
"""A row's place in an order: what it is sorted by, then its id."""

SLICE = 4000
"""Rows that are looked at before others have their turn: some milliseconds."""

MAX_ORDERS = 64
"""Sorted lists that are kept; of more, the one that was not asked for longest goes."""


class Row(Protocol):
    """What can be indexed."""

    @property
    def id(self) -> str:
        """What the API calls it."""
        ...

    @property
    def version(self) -> int:
        """Its resource version."""
        ...

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """All that it belongs to."""
        ...

    def value(self, field: str) -> Value:
        """What it is sorted and filtered by."""
        ...


R = TypeVar("R", bound=Row)


@dataclass(frozen=True, slots=True)
class Order:
    """By what rows are sorted, and which way; equal ones by id, the same way."""

    field: str
    descending: bool = False

    def place(self, row: Row) -> Position:
        """Where the row stands among the others, read the way that `descending` tells."""
        return self.at(row.value(self.field), row.id)

    def at(self, value: Value, id: str) -> Position:
        """The same for a row that is known by its value and id. Rows without the value come last, both ways."""
        if self.field.startswith("metric:"):
            return (((value is None) != self.descending), value or 0.0), id
        return value, id


@dataclass(slots=True)
class SortedRows:
    """The places of the rows of a scope, in ascending order."""

    order: Order
    places: list[Position] = field(default_factory=list[Position])
    used: int = 0

    def add(self, row: Row) -> None:
        """Put the row where it belongs."""
        insort(self.places, self.order.place(row))

    def remove(self, row: Row) -> None:
        """Take the row out, by what it was sorted by."""
        place = self.order.place(row)
        at = bisect_left(self.places, place)
        if at < len(self.places) and self.places[at] == place:
            del self.places[at]


@dataclass(slots=True, eq=False)
class Scan:
    """A look at all rows of a list, as they were when it began."""

    changed: dict[str, Row] = field(default_factory=dict[str, Row])
    """Those that are another by now, or gone, as they were."""


@dataclass(slots=True)
class Waiter:
    """Somebody who waits for a row."""

    id: str
    future: asyncio.Future[None]


class Index(Generic[R]):
    """The newest row of each object. Not whole, and to be asked for nothing, until `synced`."""

    def __init__(self) -> None:
        self.synced = False
        self._rows: dict[str, R] = {}
        self._gone: dict[str, int] = {}
        self._scopes: dict[Scope, set[str]] = {}
        self._sorted: dict[tuple[Scope, Order], SortedRows] = {}
        self._making: dict[tuple[Scope, Order], tuple[asyncio.Future[SortedRows], list[tuple[R | None, R | None]]]] = {}
        self._waiting: list[Waiter] = []
        self._walks: set[Scan] = set()
        self._clock = 0

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self._rows)

    def rows(self) -> Iterator[R]:
        """All rows, in no order."""
        return iter(self._rows.values())

    def row(self, id: str) -> R | None:
        """The row of this id."""
        return self._rows.get(id)

    def count(self, scope: Scope) -> int:
        """How many rows are in a scope."""
        return len(self._scopes.get(scope, ()))

    def in_scope(self, scope: Scope) -> list[R]:
        """The rows in a scope, in no order."""
        return [self._rows[id] for id in self._scopes.get(scope, ())]

    # ------------------------------------------------------------------------------------------------------- changes

    def apply(self, row: R) -> None:
        """The object as it is now, unless a newer one is known: what one's own write gave may come before the watch."""
        old = self._rows.get(row.id)
        if (old is not None and old.version > row.version) or self._gone.get(row.id, -1) >= row.version:
            return
        self._rows[row.id] = row
        self._change(old, row)
        for waiter in [one for one in self._waiting if one.id == row.id]:
            if not waiter.future.done():
                waiter.future.set_result(None)

    def remove(self, id: str, version: int) -> None:
        """The object was deleted, at that version."""
        old = self._rows.get(id)
        if old is not None and old.version > version:
            return
        # An event of its life may still be under way.
        self._gone[id] = version
        if len(self._gone) > MAX_GONE:
            del self._gone[next(iter(self._gone))]
        if old is not None:
            del self._rows[id]
            self._change(old, None)

    def keep_only(self, scope: Scope, ids: set[str], version: int) -> None:
        """A whole list of the scope, at that version, has these: what is older and not in it was deleted unseen."""
        for row in [row for row in self.in_scope(scope) if row.id not in ids and row.version <= version]:
            self.remove(row.id, version)

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
            if was is not None and now is not None and order.place(was) == order.place(now):
                continue
            if was is not None:
                kept.remove(was)
            if now is not None:
                kept.add(now)
        for _, changes in self._making.values():
            changes.append((old, new))
        for walk in self._walks if old else ():
            walk.changed.setdefault(old.id if old else "", cast(Row, old))

    # --------------------------------------------------------------------------------------------------------- reads

    async def wait_for(self, id: str, seconds: float) -> R | None:
        """The row of this id, once it is known, or None after some seconds: another replica may just have made it."""
        if id in self._rows:
            return self._rows[id]
        waiter = Waiter(id, asyncio.get_running_loop().create_future())
        self._waiting.append(waiter)
        try:
            await asyncio.wait_for(waiter.future, seconds)
        except TimeoutError:
            return None
        finally:
            self._waiting.remove(waiter)
        return self._rows.get(id)

    async def page(
        self, scope: Scope, order: Order, after: Position | None, size: int, matches: Callable[[R], bool] | None
    ) -> tuple[list[R], int, bool]:
        """Up to `size` rows after a place, how many there are on all pages, and whether more follow.

        `matches` is asked for each row of the scope, since all are counted. All are as they were at one moment: the next
        page begins after the last one's value, and must not miss what a row has passed over meanwhile.
        """
        places = (await self._order(scope, order)).places
        if matches is None:
            return self._slice(places, order, after, size)
        walk = Scan()
        self._walks.add(walk)
        try:
            return await self._search(list(self._walk(places, order)), walk, order, after, size, matches)
        finally:
            self._walks.discard(walk)

    async def _search(
        self,
        places: list[Position],
        walk: Scan,
        order: Order,
        after: Position | None,
        size: int,
        matches: Callable[[R], bool],
    ) -> tuple[list[R], int, bool]:
        found: list[R] = []
        total, more = 0, False
        for number, place in enumerate(places):
            if number % SLICE == SLICE - 1:
                await asyncio.sleep(0)
            row = cast(R, walk.changed.get(place[1])) or self._rows[place[1]]
            if not matches(row):
                continue
            total += 1
            if after is not None and not is_after(place, after, order.descending):
                continue
            if len(found) < size:
                found.append(row)
            else:
                more = True
        return found, total, more

    def _slice(
        self, places: list[Position], order: Order, after: Position | None, size: int
    ) -> tuple[list[R], int, bool]:
        if order.descending:
            end = len(places) if after is None else bisect_left(places, after)
            chosen, more = places[max(0, end - size) : end][::-1], end > size
        else:
            start = 0 if after is None else bisect_right(places, after)
            chosen, more = places[start : start + size], start + size < len(places)
        return [self._rows[id] for _, id in chosen], len(places), more

    def _walk(self, places: list[Position], order: Order) -> Iterable[Position]:
        return reversed(places) if order.descending else iter(places)

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
        """Sort in slices, and then catch up with what has changed meanwhile."""
        changes: list[tuple[R | None, R | None]] = []
        made: asyncio.Future[SortedRows] = asyncio.get_running_loop().create_future()
        self._making[scope, order] = made, changes
        kept = SortedRows(order)
        try:
            rows = self.in_scope(scope)
            runs: list[list[Position]] = []
            for start in range(0, len(rows), SLICE):
                runs.append(sorted(order.place(row) for row in rows[start : start + SLICE]))
                await asyncio.sleep(0)
            while len(runs) > 1:
                runs = [await merge_sorted(runs[at : at + 8]) for at in range(0, len(runs), 8)]
            kept.places = runs[0] if runs else []
            for old, new in changes:
                if old is not None and scope in old.scopes:
                    kept.remove(old)
                if new is not None and scope in new.scopes:
                    kept.add(new)
            self._sorted[scope, order] = kept
            self._let_go()
        finally:
            del self._making[scope, order]
            made.set_result(kept)

    def _let_go(self) -> None:
        if len(self._sorted) > MAX_ORDERS:
            oldest = min(self._sorted, key=lambda key: self._sorted[key].used or self._clock + 1)
            del self._sorted[oldest]


MAX_GONE = 10_000
"""Deleted objects that are remembered, so that a late event does not bring them back."""


def is_after(place: Position, after: Position, descending: bool) -> bool:
    """Whether a place comes after another one, the way that the rows are read."""
    return place < after if descending else place > after


async def merge_sorted(runs: list[list[Position]]) -> list[Position]:
    """Sorted runs in one."""
    if len(runs) == 1:
        return runs[0]
    whole: list[Position] = []
    for number, place in enumerate(merge(*runs)):
        whole.append(place)
        if number % SLICE == SLICE - 1:
            await asyncio.sleep(0)
    return whole
