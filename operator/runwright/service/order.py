"""Orders of rows, and lists of rows that are sorted in one."""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field
from heapq import merge
from typing import Protocol

from runwright.service.slices import Slices

Scope = tuple[str, str]
"""A set of rows: a type of reference and an id, such as ("EXPERIMENT", id); ("", "") for all rows."""

Value = str | int | float | None
Position = tuple[object, str]
"""A row's position in an order: its sort value, then its id."""

SORT_CHARS = 256
"""Characters of a text that rows are sorted by. A page token contains those of a row."""


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
    used: float = 0.0
    """When it was last used, in seconds of the monotonic clock."""

    def add(self, row: Row) -> None:
        """Insert the row."""
        insort(self.positions, self.order.position(row))

    def remove(self, row: Row) -> None:
        """Remove the row, which must still have the value that it was inserted with."""
        position = self.order.position(row)
        at = bisect_left(self.positions, position)
        if at < len(self.positions) and self.positions[at] == position:
            del self.positions[at]


def is_after(position: Position, after: Position, descending: bool) -> bool:
    """Whether a position comes after another one in reading direction."""
    return position < after if descending else position > after


async def merge_sorted(runs: list[list[Position]], slices: Slices) -> list[Position]:
    """Merge sorted lists into one, in slices."""
    if len(runs) == 1:
        return runs[0]
    whole: list[Position] = []
    for number, position in enumerate(merge(*runs)):
        whole.append(position)
        if number & 255 == 255 and slices.due:
            await slices.pause()
    return whole
