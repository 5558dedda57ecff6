"""An informer's events, whatever becomes of its lists and watches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Iterable
from contextlib import aclosing
from itertools import pairwise
from typing import Any

import pytest
from typing_extensions import override

from runwright.kube import informer as module
from runwright.kube.client import PAGE, Form, ListWatch, Page, WatchEvent
from runwright.kube.errors import ApiError
from runwright.kube.informer import DELETED, STALE, SYNCED, Informer, Known, follow_synced
from runwright.kube.objects import Json, name_of, uid_of, version_of
from runwright.kube.resource import ALL, Resource, Selection

THINGS = Resource("example.dev", "v1", "things")
EXPIRED = ApiError(410, "Expired", "too old resource version")
AWAY = ApiError(0, "Unreachable", "no reply")


def thing(name: str, version: int) -> Json:
    return {"metadata": {"namespace": "team", "name": name, "uid": f"uid-{name}", "resourceVersion": str(version)}}


class Script(ListWatch):
    """Lists and watches by a script; a list is pages, a watch is events; an ApiError among them is raised."""

    def __init__(self, *steps: Any) -> None:
        self.steps = list(steps)
        self.since: list[str] = []

    @override
    async def pages(
        self, resource: Resource, selection: Selection = ALL, *, form: Form = Form.OBJECTS, limit: int = PAGE
    ) -> AsyncGenerator[Page]:
        for page in self._next():
            yield Page(page[1], page[0], {})

    @override
    async def watch(
        self, resource: Resource, selection: Selection, since: str, *, form: Form = Form.OBJECTS
    ) -> AsyncGenerator[WatchEvent]:
        self.since.append(since)
        for kind, body in self._next():
            yield WatchEvent(kind, body)

    def _next(self) -> Iterable[Any]:
        if not self.steps:
            raise asyncio.CancelledError
        for item in self.steps.pop(0):
            if isinstance(item, Exception):
                raise item
            yield item


OPENED = ("OPENED", {})


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Time passes only as `asyncio.sleep` is asked for it."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(module.asyncio, "sleep", sleep)
    monkeypatch.setattr(module.time, "monotonic", lambda: sum(slept))
    return slept


async def reported(script: Script, **options: Any) -> list[str]:
    """What the informer reports until its script ends."""
    reports: list[str] = []
    try:
        async for event in Informer(script, THINGS, **options).events():
            reports.append(f"{event.type} {name_of(event.body)}".strip())
    except asyncio.CancelledError:
        pass
    return reports


async def test_a_list_is_reported_and_then_synced_and_the_watch_goes_on_from_its_version() -> None:
    script = Script([("7", [thing("a", 3)]), ("7", [thing("b", 4)])], [OPENED, ("ADDED", thing("c", 8))], [OPENED])
    assert await reported(script) == ["ADDED a", "ADDED b", SYNCED, "ADDED c"]
    assert script.since == ["7", "8", "8"]


async def test_a_watch_from_a_given_version_has_no_initial_list() -> None:
    script = Script([OPENED, ("ADDED", thing("a", 8))], [OPENED])
    assert await reported(script, since="7") == [SYNCED, "ADDED a"]
    assert script.since == ["7", "8", "8"]


async def test_bookmarks_move_the_version_and_are_not_reported() -> None:
    script = Script([("7", [])], [OPENED, ("BOOKMARK", {"metadata": {"resourceVersion": "20"}})], [])
    assert await reported(script) == [SYNCED]
    assert script.since == ["7", "20", "20"]


async def test_a_new_list_reports_only_what_changed_and_what_was_deleted_unseen() -> None:
    script = Script(
        [("7", [thing("same", 1), thing("changed", 2), thing("gone", 3)])],
        [OPENED, EXPIRED],
        [("9", [thing("same", 1), thing("changed", 8), thing("new", 9)])],
        [OPENED],
    )
    assert await reported(script) == [
        "ADDED same",
        "ADDED changed",
        "ADDED gone",
        SYNCED,
        "MODIFIED changed",
        "ADDED new",
        "DELETED gone",
        SYNCED,
    ]


async def test_an_object_that_was_recreated_between_lists_is_deleted_and_added() -> None:
    again = {"metadata": {**thing("a", 9)["metadata"], "uid": "uid-other"}}
    script = Script([("7", [thing("a", 3)])], [OPENED, EXPIRED], [("9", [again])], [OPENED])
    assert await reported(script) == ["ADDED a", SYNCED, "ADDED a", "DELETED a", SYNCED]


async def test_a_deletion_that_the_watch_reported_is_not_reported_by_the_next_list() -> None:
    script = Script([("7", [thing("a", 3)])], [OPENED, ("DELETED", thing("a", 8)), EXPIRED], [("9", [])], [OPENED])
    assert await reported(script) == ["ADDED a", SYNCED, "DELETED a", SYNCED]


async def test_a_list_that_fails_begins_again(no_pauses: list[float]) -> None:
    script = Script([("7", [thing("a", 3)]), EXPIRED], [AWAY], [("9", [thing("a", 3), thing("b", 9)])], [OPENED])
    assert await reported(script) == ["ADDED a", "ADDED b", SYNCED]
    assert sum(no_pauses) > 0


async def test_a_short_outage_is_not_stale() -> None:
    script = Script([("7", [])], [OPENED, AWAY], [AWAY], [OPENED, ("ADDED", thing("a", 8))])
    assert await reported(script) == [SYNCED, "ADDED a"]


async def test_a_long_outage_is_stale_once_and_synced_when_the_watch_is_back() -> None:
    script = Script([("7", [])], [OPENED, AWAY], *[[AWAY]] * 12, [OPENED, ("ADDED", thing("a", 8))])
    assert await reported(script) == [SYNCED, STALE, SYNCED, "ADDED a"]


async def test_a_long_outage_that_ends_in_a_new_list_is_synced_after_the_list() -> None:
    script = Script([("7", [])], [OPENED, AWAY], *[[AWAY]] * 12, [EXPIRED], [("9", [thing("a", 9)])], [OPENED])
    assert await reported(script) == [SYNCED, STALE, "ADDED a", SYNCED]


async def test_the_pauses_between_failures_grow_to_a_bound(no_pauses: list[float]) -> None:
    await reported(Script(*[[AWAY]] * 12))
    assert all(earlier * 0.6 < later for earlier, later in pairwise(no_pauses))
    assert 10 <= max(no_pauses) <= 15


async def test_watches_that_end_at_once_after_an_event_do_not_spin(no_pauses: list[float]) -> None:
    await reported(Script([("7", [])], *([[OPENED, ("ADDED", thing("a", 8))]] * 20)))
    assert sum(no_pauses) > 100


async def test_a_list_without_a_version_deletes_nothing() -> None:
    script = Script([("7", [thing("a", 3)])], [OPENED, EXPIRED], [("", [])], [("9", [thing("a", 3)])], [OPENED])
    assert await reported(script) == ["ADDED a", SYNCED, SYNCED]


async def test_events_that_cannot_be_decoded_are_followed_by_a_list_with_a_growing_pause(
    no_pauses: list[float],
) -> None:
    bad = [OPENED, ApiError(0, "Undecodable", "no JSON")]
    script = Script(*([[("7", [thing("a", 3)])], bad] * 10))
    assert await reported(script) == ["ADDED a", *([SYNCED] * 10)]
    assert sum(one for one in no_pauses) > 40


async def test_watches_that_end_at_once_do_not_spin(no_pauses: list[float]) -> None:
    await reported(Script([("7", [])], *[[OPENED]] * 5))
    assert all(earlier * 0.6 < later for earlier, later in pairwise(no_pauses[1:]))
    assert sum(no_pauses) > 5


async def test_with_attempts_a_refusal_is_raised_at_once() -> None:
    refused = ApiError(403, "Forbidden", "no")
    with pytest.raises(ApiError, match="Forbidden"):
        await reported(Script([refused]), attempts=6)


async def test_with_attempts_an_outage_is_raised_in_the_end() -> None:
    script = Script(*[[AWAY]] * 6)
    with pytest.raises(ApiError, match="Unreachable"):
        await reported(script, attempts=6)
    assert script.steps == []


async def test_without_attempts_a_refusal_is_waited_out() -> None:
    script = Script([ApiError(403, "Forbidden", "no")], [("7", [thing("a", 1)])], [OPENED])
    assert await reported(script) == ["ADDED a", SYNCED]


async def test_rows_of_a_table_are_reported_as_objects_are() -> None:
    def row(name: str, version: int) -> Json:
        return {"cells": [name], "object": thing(name, version)}

    script = Script(
        [("7", [row("a", 3), row("b", 4)])],
        [OPENED, ("MODIFIED", {"rows": [row("a", 8)]}), EXPIRED],
        [("9", [row("a", 8)])],
        [OPENED],
    )
    reports: list[tuple[str, str]] = []
    with pytest.raises(asyncio.CancelledError):
        async for event in Informer(script, THINGS, form=Form.TABLE).events():
            reports.append((event.type, name_of(event.body.get("object") or {})))
    assert reports == [
        ("ADDED", "a"),
        ("ADDED", "b"),
        (SYNCED, ""),
        ("MODIFIED", "a"),
        ("DELETED", "b"),
        (SYNCED, ""),
    ]
    assert script.since[:2] == ["7", "9"]


class Rows(Known):
    """A consumer that holds what it needs by itself."""

    def __init__(self) -> None:
        self.held: dict[str, str] = {}

    @override
    def version(self, uid: str) -> str | None:
        return self.held.get(uid)

    @override
    def missing(self, listed: Collection[str], version: str) -> Iterable[Json]:
        return [
            {"metadata": {"uid": uid, "resourceVersion": version}}
            for uid, at in self.held.items()
            if uid not in listed and int(at) <= int(version)
        ]

    def apply(self, event: WatchEvent) -> None:
        if event.type == DELETED:
            self.held.pop(uid_of(event.body))
        else:
            self.held[uid_of(event.body)] = version_of(event.body)


async def test_a_consumer_that_holds_the_objects_gets_the_same_changes() -> None:
    rows, states = Rows(), list[bool]()
    script = Script(
        [("7", [thing("a", 3), thing("gone", 4)])],
        [OPENED, ("ADDED", thing("b", 8)), EXPIRED],
        [("9", [thing("a", 3), thing("b", 8)])],
        [OPENED],
    )
    with pytest.raises(asyncio.CancelledError):
        await follow_synced(Informer(script, THINGS, known=rows), rows.apply, states.append)
    assert rows.held == {"uid-a": "3", "uid-b": "8"}
    assert states == [True, True]


async def test_closing_the_events_closes_the_watch() -> None:
    closed = asyncio.Event()

    class Open(Script):
        @override
        async def watch(
            self, resource: Resource, selection: Selection, since: str, *, form: Form = Form.OBJECTS
        ) -> AsyncGenerator[WatchEvent]:
            try:
                yield WatchEvent("ADDED", thing("a", 8))
                await asyncio.Event().wait()
            finally:
                closed.set()

    async with aclosing(Informer(Open([("7", [])]), THINGS).events()) as events:
        async for event in events:
            if event.type == "ADDED":
                break
    assert closed.is_set()
