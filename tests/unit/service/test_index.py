"""The index, compared with a plain list that is sorted and searched at each request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runwright.service import index as index_module
from runwright.service import slices
from runwright.service.errors import Code, ServiceError
from runwright.service.index import Index
from runwright.service.order import Order, Scope, Value
from runwright.service.paging import Pages


@dataclass(frozen=True)
class Thing:
    id: str
    version: int
    name: str
    group: str
    score: float | None = None

    @property
    def scopes(self) -> tuple[Scope, ...]:
        return ("", ""), ("GROUP", self.group)

    def value(self, field: str) -> Value:
        return self.score if field.startswith("metric:") else getattr(self, field)


ORDERS = [Order("name"), Order("name", True), Order("metric:score"), Order("metric:score", True), Order("id", True)]
SCOPES: list[Scope] = [("", ""), ("GROUP", "a"), ("GROUP", "b"), ("GROUP", "none")]


def expected(things: dict[str, Thing], scope: Scope, order: Order) -> list[Thing]:
    there = [one for one in things.values() if scope in one.scopes]
    if order.field.startswith("metric:"):
        having = sorted((one for one in there if one.score is not None), key=lambda one: (one.score, one.id))
        lacking = sorted((one for one in there if one.score is None), key=lambda one: one.id)
        return having[::-1] + lacking[::-1] if order.descending else having + lacking
    return sorted(there, key=lambda one: (one.value(order.field), one.id), reverse=order.descending)


changes = st.lists(
    st.tuples(
        st.sampled_from(["apply", "apply", "apply", "remove", "keep", "read"]),
        st.integers(0, 6),
        st.sampled_from("xyz"),
        st.sampled_from("ab"),
        st.none() | st.sampled_from([0.0, -1.0, 2.5]),
        st.integers(0, 2),
    ),
    max_size=25,
)


@given(changes, st.sampled_from(SCOPES), st.sampled_from(ORDERS), st.integers(1, 4))
def test_pages_equal_those_of_a_plain_list(steps: list[Any], scope: Scope, order: Order, size: int):
    async def play() -> None:
        index, model, gone, version = Index[Thing](), dict[str, Thing](), dict[str, int](), 100
        for what, number, name, group, score, back in steps:
            version += 1
            id = f"id-{number}"
            if what == "apply":
                thing = Thing(id, version - 3 * back, name, group, score)
                index.apply(thing)
                if (id not in model or model[id].version <= thing.version) and gone.get(id, -1) < thing.version:
                    model[id] = thing
            elif what == "remove":
                index.remove(id, version)
                model.pop(id, None)
                gone[id] = version
            elif what == "keep":
                for row in index.unlisted(("", ""), {id}, version):
                    index.remove(row.id, version)
                for other in [one for one in model if one != id]:
                    del model[other]
                    gone[other] = version
            else:
                await index.page(scope, order, None, size, None)
        rows: list[Thing] = []
        after = None
        while True:
            page, total, more = await index.page(scope, order, after, size, None)
            assert total == len(expected(model, scope, order)) == index.count(scope)
            rows += page
            if not more:
                break
            after = order.position(page[-1])
        assert rows == expected(model, scope, order)
        kept, total, more = await index.page(scope, order, None, 100, lambda one: one.name == "x")
        assert kept == [one for one in rows if one.name == "x"] and total == len(kept) and not more

    asyncio.run(play())


@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=20, unique=True),
    st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=20),
    st.booleans(),
    st.booleans(),
)
def test_pages_skip_and_repeat_no_row_that_existed_all_the_time(
    first: list[int], between: list[tuple[bool, int]], descending: bool, filtered: bool
):
    async def play() -> None:
        index, pages = Index[Thing](), Pages(b"k" * 32, "Thing", ["name"])
        for number in first:
            index.apply(Thing(f"id-{number:02}", 1, f"n{number % 5}", "a"))
        changed, listed, token, version = set[str](), list[str](), "", 2
        matches: Callable[[Thing], bool] | None = (lambda one: True) if filtered else None
        steps = iter(between)
        while True:
            listing = pages.read(("", ""), token, 3, f"name {'desc' if descending else 'asc'}", "")
            page, _, more = await index.page(listing.scope, listing.order, listing.after, listing.size, matches)
            listed += [one.id for one in page]
            if not more:
                break
            token = pages.token(listing, page[-1])
            for made, number in [step for step in [next(steps, None), next(steps, None)] if step is not None]:
                version += 1
                id = f"id-{number:02}"
                changed.add(id)
                if made:
                    index.apply(Thing(id, version, f"n{number % 5}", "a"))
                else:
                    index.remove(id, version)
        assert len(listed) == len(set(listed)), "nothing twice"
        always = {f"id-{number:02}" for number in first} - changed
        assert always <= set(listed), "nothing is missing"

    asyncio.run(play())


async def test_changes_during_the_build_of_a_list_are_in_the_list(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(index_module, "SLICE", 3)
    monkeypatch.setattr(slices, "SLICE_SECONDS", 0.0)
    index = Index[Thing]()
    things = {f"id-{number:02}": Thing(f"id-{number:02}", 1, f"n{number}", "a") for number in range(40)}
    for one in things.values():
        index.apply(one)
    reading = [asyncio.create_task(index.page(("", ""), Order("name"), None, 100, None)) for _ in range(3)]
    await asyncio.sleep(0)
    for number in range(20):
        id = f"id-{number * 3 % 45:02}"
        if number % 4 == 0:
            index.remove(id, 10 + number)
            things.pop(id, None)
        else:
            changed = Thing(id, 10 + number, f"m{number}", "a")
            index.apply(changed)
            things[id] = changed
        await asyncio.sleep(0)
    for one in await asyncio.gather(*reading):
        assert one[1] >= 0
    page, total, _ = await index.page(("", ""), Order("name"), None, 100, None)
    assert page == expected(things, ("", ""), Order("name")) and total == len(things)


@pytest.mark.parametrize("becomes", ["n30x", "", None])
async def test_a_row_that_changes_during_a_search_is_found_as_it_was(
    monkeypatch: pytest.MonkeyPatch, becomes: str | None
):
    monkeypatch.setattr(slices, "SLICE_SECONDS", 0.0)
    index, pages, order = Index[Thing](), Pages(b"k" * 32, "Thing", ["name"]), Order("name")
    ids = {f"id-{number:02}" for number in range(40)}
    for id in ids:
        index.apply(Thing(id, 1, f"n{id[3:]}", "a"))
    await index.page(("", ""), order, None, 1, None)
    listed, total, token, more = list[str](), 0, "", True
    while more:
        listing = pages.read(("", ""), token, 6, "name", "")
        reading = asyncio.create_task(
            index.page(listing.scope, listing.order, listing.after, listing.size, lambda _: True)
        )
        await asyncio.sleep(0)
        if not listed:
            # The last of the first page, before it is looked at.
            index.apply(Thing("id-05", 2, becomes, "a")) if becomes is not None else index.remove("id-05", 2)
        page, total, more = await reading
        assert listed or total == 40, "all that there were at one moment"
        listed += [one.id for one in page]
        token = pages.token(listing, page[-1]) if more else ""
    assert set(listed) == ids and total == 40 - (becomes is None)


async def test_waiting_for_an_id_ends_when_its_row_arrives():
    index = Index[Thing]()
    waiting = asyncio.create_task(index.wait_for("id-1", 5))
    await asyncio.sleep(0)
    thing = Thing("id-1", 1, "n", "a")
    index.apply(thing)
    assert await waiting == thing
    assert await index.wait_for("id-1", 0) == thing
    assert await index.wait_for("id-2", 0.01) is None


def test_late_events_do_not_bring_a_deleted_row_back():
    index, thing = Index[Thing](), Thing("id", 5, "n", "a")
    index.apply(thing)
    index.apply(replace(thing, version=4, name="old"))
    assert index.row("id") == thing
    index.remove("id", 6)
    index.apply(replace(thing, version=6))
    assert index.row("id") is None and index.count(("GROUP", "a")) == 0


async def test_the_least_recently_used_list_is_dropped(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(index_module, "MAX_ORDERS", 3)
    index = Index[Thing]()
    index.apply(Thing("id", 1, "n", "a", 1.0))
    for number in range(10):
        await index.page(("", ""), Order(f"metric:m{number}"), None, 5, None)
    assert len(index._sorted) == 3


async def test_lists_with_too_many_positions_together_are_dropped(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(index_module, "MAX_POSITIONS", 25)
    index = Index[Thing]()
    for number in range(10):
        index.apply(Thing(f"id-{number}", 1, "n", "ab"[number % 2]))
    for field in ("a", "b", "c", "d"):
        await index.page(("", ""), Order(f"metric:{field}"), None, 5, None)
    await index.page(("GROUP", "a"), Order("name"), None, 5, None)
    assert list(index._sorted) == [
        (("", ""), Order("metric:c")),
        (("", ""), Order("metric:d")),
        (("GROUP", "a"), Order("name")),
    ]
    monkeypatch.setattr(index_module, "MAX_POSITIONS", 1)
    await index.page(("", ""), Order("id"), None, 5, None)
    assert list(index._sorted) == [(("", ""), Order("id"))], "the newest one is kept, however large"


async def test_lists_that_are_not_used_are_dropped_at_the_next_change(monkeypatch: pytest.MonkeyPatch):
    index = Index[Thing]()
    index.apply(Thing("id", 1, "n", "a"))
    await index.page(("", ""), Order("name"), None, 5, None)
    index.apply(Thing("id-2", 1, "n", "a"))
    assert len(index._sorted) == 1
    monkeypatch.setattr(index_module, "IDLE_SECONDS", -1.0)
    index.apply(Thing("id-3", 1, "n", "a"))
    assert not index._sorted
    assert (await index.page(("", ""), Order("name"), None, 5, None))[1] == 3


async def test_a_scope_without_rows_is_not_kept():
    index = Index[Thing]()
    for number in range(100):
        assert await index.page(("GROUP", f"unknown-{number}"), Order("name"), None, 5, None) == ([], 0, False)
    assert not index._sorted and not index._making and not index._scopes


async def test_a_costly_search_lets_other_tasks_run_and_ends(monkeypatch: pytest.MonkeyPatch):
    index = Index[Thing]()
    for number in range(2_000):
        index.apply(Thing(f"id-{number}", 1, "n", "a"))

    def costly(_: Thing) -> bool:
        sum(range(10_000))
        return False

    turns, done = 0, False

    async def other() -> None:
        nonlocal turns
        while not done:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(other())
    assert await index.page(("", ""), Order("name"), None, 5, costly) == ([], 0, False)
    assert turns > 20
    monkeypatch.setattr(index_module, "SEARCH_SECONDS", 0.02)
    with pytest.raises(ServiceError, match="filter: the search of 2000 objects takes more than") as caught:
        await index.page(("", ""), Order("name"), None, 5, costly)
    assert caught.value.code == Code.INVALID_ARGUMENT
    done = True
    await beside
    assert not index._scans


async def test_the_waiters_of_an_id_are_given_back():
    index = Index[Thing]()
    assert await asyncio.gather(*(index.wait_for(f"id-{one % 3}", 0.01) for one in range(9))) == [None] * 9
    assert not index._waiters


@settings(max_examples=20)
@given(st.integers(0, 50))
async def test_the_count_of_a_scope_follows_its_rows(number: int):
    index = Index[Thing]()
    for one in range(number):
        index.apply(Thing(f"id-{one}", 1, "n", "ab"[one % 2]))
    assert index.count(("GROUP", "a")) + index.count(("GROUP", "b")) == len(index) == number
