"""Orders and sorted lists, compared with Python's sort."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.service import slices
from runwright.service.order import SORT_CHARS, Order, Position, Scope, SortedRows, Value, is_after, merge_sorted
from runwright.service.slices import Slices


@dataclass(frozen=True)
class Named:
    id: str
    name: Value
    version: int = 1
    scopes: tuple[Scope, ...] = ()

    def value(self, field: str) -> Value:
        return self.name


names = st.text(max_size=3) | st.integers(0, 400).map(lambda size: "x" * size)


@given(st.lists(names, max_size=20), st.lists(st.integers(0, 19), max_size=10, unique=True))
def test_a_sorted_list_has_what_was_added_and_not_removed(texts: list[str], removed: list[int]):
    order, kept = Order("name"), SortedRows(Order("name"))
    rows = [Named(f"id-{number}", text) for number, text in enumerate(texts)]
    for row in rows:
        kept.add(row)
    for number in [one for one in removed if one < len(rows)]:
        kept.remove(rows[number])
        kept.remove(rows[number])
    left = [row for number, row in enumerate(rows) if number not in removed]
    assert kept.positions == sorted(order.position(row) for row in left)


@given(st.text(max_size=400), st.booleans())
def test_a_position_has_the_start_of_a_text(text: str, descending: bool):
    order, row = Order("name", descending), Named("id", text)
    assert order.position(row) == (text[:SORT_CHARS], "id")
    assert order.position_of(order.sort_value(row), "id") == order.position(row)


@given(st.none() | st.floats(allow_nan=False), st.none() | st.floats(allow_nan=False), st.booleans())
def test_rows_without_a_metric_come_last_in_both_directions(one: float | None, other: float | None, descending: bool):
    order = Order("metric:m", descending)
    first, second = order.position(Named("a", one)), order.position(Named("b", other))
    if one is not None and other is None:
        assert is_after(second, first, descending)
    if one is not None and other is not None and one != other:
        assert is_after(second, first, descending) is (other < one if descending else other > one)


@given(st.lists(st.lists(st.tuples(st.integers(), st.text(max_size=2)), max_size=50), min_size=1, max_size=5))
def test_merged_lists_are_sorted(lists: list[list[Position]]):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slices, "SLICE_SECONDS", 0.0)
        whole = asyncio.run(merge_sorted([sorted(one) for one in lists], Slices()))
    assert whole == sorted(position for one in lists for position in one)
