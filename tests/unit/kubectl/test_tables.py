"""Columns line up, and nothing that a user wrote can move the cursor."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from runwright.kubectl.tables import GAP, cells_of, columns, header_of, newest_first, printable_text

TABLE: dict[str, Any] = {
    "columnDefinitions": [
        {"name": "Name", "priority": 0},
        {"name": "Phase", "priority": 0},
        {"name": "Storage", "priority": 1},
    ]
}


def test_columns_are_three_blanks_apart():
    rows = [("NAME", "PHASE"), ("train", "Running"), ("a", "")]
    assert columns(rows) == ["NAME    PHASE", "train   Running", "a"]
    assert columns([("b", "Failed")], [5, 7]) == ["b       Failed"]


def test_wide_columns_of_the_api_server_are_shown_on_request():
    row = {"cells": ["train", None, "Archived"]}
    assert (header_of(TABLE, wide=False), cells_of(TABLE, row, wide=False)) == (["NAME", "PHASE"], ["train", ""])
    assert header_of(TABLE, wide=True) == ["NAME", "PHASE", "STORAGE"]
    assert cells_of(TABLE, row, wide=True) == ["train", "", "Archived"]


@given(st.lists(st.lists(st.text(max_size=8), min_size=3, max_size=3), max_size=6))
def test_any_cells_line_up(rows: list[list[str]]):
    lines = columns(rows)
    assert len(lines) == len(rows)
    width = max((len(row[0]) for row in rows), default=0) + GAP
    for line, row in zip(lines, rows, strict=True):
        assert line == line.rstrip()
        assert line[width:].startswith(printable_text(row[1]).rstrip())


@given(st.text())
def test_any_text_becomes_one_printable_line(text: str):
    assert printable_text(text).isprintable()
    assert len(printable_text(text)) == len(text)


def test_rows_are_sorted_newest_first():
    def row(name: str, second: int) -> dict[str, Any]:
        return {"object": {"metadata": {"name": name, "creationTimestamp": f"2026-11-26T12:00:0{second}Z"}}}

    rows = [row("a", 1), row("b", 3), row("c", 2), row("d", 3)]
    assert [one["object"]["metadata"]["name"] for one in newest_first(rows)] == ["d", "b", "c", "a"]
