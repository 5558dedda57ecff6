"""The index follows its kind: through lists, watches, and watches that are lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from runwright.kube.errors import ApiError
from runwright.kube.objects import Json
from runwright.service import watching
from runwright.service.index import Index
from runwright.service.rows import ALL, RowFactory, RunRow
from runwright.service.watching import Reflector
from tests.unit.service.bodies import run_body


def body(name: str, version: int) -> dict[str, Any]:
    return run_body(name, metadata={"resourceVersion": str(version)})


class Source:
    """An API server that does what the test says."""

    def __init__(self) -> None:
        self.held: dict[str, dict[str, Any]] = {}
        self.version = 10
        self.failures: list[ApiError] = []
        self.lists = 0
        self.since: list[str] = []
        self.told: asyncio.Queue[tuple[str, Json] | ApiError | None] = asyncio.Queue()

    async def pages(self) -> AsyncIterator[tuple[list[Json], str]]:
        self.lists += 1
        items = list(self.held.values())
        for start in range(0, max(1, len(items)), 2):
            await asyncio.sleep(0)
            yield list(items[start : start + 2]), str(self.version)

    async def events(self, since: str) -> AsyncIterator[tuple[str, Json]]:
        self.since.append(since)
        if self.failures:
            raise self.failures.pop(0)
        yield "OPENED", {}
        while (event := await self.told.get()) is not None:
            if isinstance(event, ApiError):
                raise event
            yield event


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "BACKOFF", (0.001,))


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - of many kinds
            await asyncio.sleep(0.001)


class Follower:
    def __init__(self) -> None:
        self.source, self.index = Source(), Index[RunRow]()
        self.changes: list[bool] = []
        self.reflector = Reflector(self.source, ALL, self.index, RowFactory().row, "pipelineruns")
        self.task = asyncio.create_task(self.reflector.forever(self.changed))

    def changed(self) -> None:
        self.changes.append(self.reflector.synced)

    def names(self) -> set[str]:
        return {row.key.name for row in self.index.rows()}


async def test_a_list_then_the_watch_from_where_it_stood(quick: None):
    it = Follower()
    it.source.held = {name: body(name, number) for number, name in enumerate("abcde", 1)}
    await until(lambda: it.changes == [True])
    assert it.names() == set("abcde") and it.source.since == ["10"]
    await it.source.told.put(("ADDED", body("f", 11)))
    await it.source.told.put(("DELETED", body("a", 12)))
    await it.source.told.put(("BOOKMARK", {"metadata": {"resourceVersion": "20"}}))
    await it.source.told.put(None)
    await until(lambda: it.source.since == ["10", "20"])
    assert it.names() == set("bcdef") and it.source.lists == 1
    it.task.cancel()


async def test_a_version_that_is_too_old_is_listed_anew_and_what_vanished_goes(quick: None):
    it = Follower()
    it.source.held = {name: body(name, number) for number, name in enumerate("abc", 1)}
    await until(lambda: it.changes == [True])
    del it.source.held["b"]
    it.source.version = 30
    it.index.apply(RowFactory().row(body("new", 31)))
    await it.source.told.put(ApiError(410, "Expired", "too old"))
    await until(lambda: it.source.lists == 2 and len(it.source.since) == 2)
    assert it.names() == {"a", "c", "new"}, "what was made here after the list began stays"
    assert it.changes == [True] and it.reflector.restarts == 1
    it.task.cancel()


async def test_lists_are_not_answered_before_the_first_or_long_after_the_last_word(
    quick: None, monkeypatch: pytest.MonkeyPatch
):
    it = Follower()
    it.source.failures = [ApiError(0, "Unreachable", "away")] * 3
    await until(lambda: it.changes == [True])
    assert len(it.source.since) == 4
    monkeypatch.setattr(watching, "STALE_SECONDS", 0.05)
    it.source.failures = [ApiError(500, "InternalError", "away")] * 200
    await it.source.told.put(ApiError(0, "Unreachable", "cut"))
    await until(lambda: it.changes == [True, False])
    it.source.failures.clear()
    await until(lambda: it.changes == [True, False, True])
    assert it.source.lists == 1
    it.task.cancel()
