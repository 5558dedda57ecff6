"""Tables as text, in the columns of kubectl."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

from runwright.kube.objects import Json, as_mapping, as_text

GAP = 3
"""Blanks between columns."""


def columns(rows: Iterable[Sequence[str]], widths: Sequence[int] = ()) -> list[str]:
    """Format rows as lines. A column is as wide as its widest cell, and at least as wide as `widths` says."""
    table = [[printable_text(cell) for cell in row] for row in rows]
    wide = [*column_widths(table)]
    wide = [max(width, widths[at] if at < len(widths) else 0) for at, width in enumerate(wide)]
    return [
        "".join(cell if at == len(row) - 1 else cell.ljust(wide[at] + GAP) for at, cell in enumerate(row)).rstrip()
        for row in table
    ]


def column_widths(rows: Sequence[Sequence[str]]) -> list[int]:
    """Characters of the widest cell of each column."""
    count = max((len(row) for row in rows), default=0)
    return [max((len(row[at]) for row in rows if at < len(row)), default=0) for at in range(count)]


def printable_text(cell: str) -> str:
    """Replace line ends and other control characters by blanks."""
    return "".join(char if char.isprintable() else " " for char in cell)


def header_of(table: Json, *, wide: bool) -> list[str]:
    """The names of the columns of the API server's Table, in capitals."""
    return [as_text(column.get("name")).upper() for column in shown_columns(table, wide=wide)]


def shown_columns(table: Json, *, wide: bool) -> list[Json]:
    """The columns to show: those of priority 0; all with `wide`."""
    definitions = cast(list[Json], table.get("columnDefinitions") or [])
    return [column for column in definitions if wide or not column.get("priority")]


def cells_of(table: Json, row: Json, *, wide: bool) -> list[str]:
    """The shown cells of a row of the Table; an absent value is empty."""
    definitions = cast(list[Json], table.get("columnDefinitions") or [])
    cells = cast(list[Any], row.get("cells") or [])
    shown = [cell for column, cell in zip(definitions, cells, strict=False) if wide or not column.get("priority")]
    return ["" if cell is None or cell == "<none>" else str(cell) for cell in shown]


def newest_first(rows: Iterable[Json]) -> list[Json]:
    """Sort rows or objects by creation, newest first, and within a second by namespace and name, last first."""

    def when(row: Json) -> tuple[str, str, str]:
        metadata = as_mapping(as_mapping(row.get("object")).get("metadata") or row.get("metadata"))
        return tuple(as_text(metadata.get(field)) for field in ("creationTimestamp", "namespace", "name"))  # pyright: ignore[reportReturnType]

    return sorted(rows, key=when, reverse=True)
