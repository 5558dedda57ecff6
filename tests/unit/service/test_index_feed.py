"""The index follows its kind through lists, watches, and watches that are lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from runwright.api.resources import PIPELINE_RUNS
from runwright.kube import informer
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json
from runwright.kube.supervise import Supervisor
from runwright.service.index import Index
from runwright.service.index_feed import IndexedObjects, IndexFeed, index_scope
from runwright.service.rows import ALL, RowFactory, RunRow
from tests.unit.fake.apiserver import ApiServer
from tests.unit.fake.client import FakeClient
from tests.unit.service.bodies import run_body


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(informer, "BACKOFF", (0.001,))
    monkeypatch.setattr(informer, "SHORTEST_WATCH", 0.0)


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - of many kinds
            await asyncio.sleep(0.001)


class Followed:
    """An index, its feed, and the API server that it follows."""

    def __init__(self, *namespaces: str) -> None:
        self.server = ApiServer(lambda: datetime(2026, 11, 24, 12, tzinfo=UTC))
        self.client = FakeClient(self.server, page=2)
        self.index, self.factory = Index[RunRow](), RowFactory()
        self.refused: list[str] = []
        self.feed = IndexFeed(self.client, PIPELINE_RUNS, namespaces, self.index, self.factory.row, self.refused.append)

    def create(self, *names: str, namespace: str = "team") -> None:
        for name in names:
            self.server.create("PipelineRun", run_body(name, metadata={"namespace": namespace}))

    @property
    def names(self) -> str:
        return "".join(sorted(row.key.name for row in self.index.rows()))

    @property
    def lists(self) -> int:
        """Number of complete lists."""
        return self.client.calls.count("watch pipelineruns")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with Supervisor().group() as loops:
            self.feed.start(loops)
            yield


async def test_a_list_fills_the_index_and_the_watch_keeps_it_up_to_date():
    it = Followed()
    it.create(*"abcde")
    async with it.running():
        await until(lambda: it.index.synced and it.names == "abcde")
        it.create("f")
        it.server.delete("PipelineRun", "team", "a")
        it.server.patch_status("PipelineRun", "team", "b", {"phase": "Failed"})
        await until(lambda: it.names == "bcdef")
        assert [row.status for row in it.index.rows() if row.key.name == "b"] == ["Failed"]


async def test_a_new_list_after_an_expired_watch_removes_what_was_deleted_unseen():
    it = Followed()
    it.create(*"abc")
    async with it.running():
        await until(lambda: it.index.synced)
        it.client.end_watches(ApiError(410, "Expired", "too old"))
        it.server.delete("PipelineRun", "team", "b")
        later = it.server.version + 50
        it.index.apply(it.factory.row(run_body("d", metadata={"resourceVersion": str(later)})))
        await until(lambda: it.lists == 2)
        await until(lambda: it.names == "acd")
        assert it.index.synced, "a row that is newer than the list was created after it"


async def test_the_log_says_how_many_objects_were_listed(caplog: pytest.LogCaptureFixture):
    it = Followed()
    it.create(*"abc")
    with caplog.at_level(logging.INFO):
        async with it.running():
            await until(lambda: it.index.synced)
    assert [record.getMessage().rpartition(" in ")[0] for record in caplog.records] == ["3 pipelineruns listed"]


async def test_an_index_is_synced_once_every_namespace_is_listed():
    it = Followed("team", "other", "third")
    it.create("a")
    it.create("b", namespace="other")
    it.create("c", namespace="elsewhere")
    it.client.fail("list pipelineruns", *[ApiError(500, "InternalError", "")] * 2)
    async with it.running():
        await until(lambda: it.index.synced)
        assert it.names == "ab" and it.lists == 3


async def test_a_new_list_of_one_namespace_leaves_the_rows_of_another():
    it = Followed("team", "other")
    it.create("a")
    it.create("b", namespace="other")
    async with it.running():
        await until(lambda: it.index.synced)
        it.client.end_watches(ApiError(410, "Expired", "too old"))
        await until(lambda: it.lists == 4)
        assert it.names == "ab"


async def test_an_index_is_not_synced_while_the_api_server_is_away_for_long(monkeypatch: pytest.MonkeyPatch):
    it = Followed()
    it.create("a")
    async with it.running():
        await until(lambda: it.index.synced)
        monkeypatch.setattr(informer, "STALE_SECONDS", 0.05)
        it.client.fail("watch pipelineruns", *[ApiError(0, "Unreachable", "away")] * 10_000)
        it.client.end_watches()
        await until(lambda: not it.index.synced)
        it.client.failures.clear()
        await until(lambda: it.index.synced)
        assert it.names == "a"


def row(name: str, version: int, namespace: str = "team") -> RunRow:
    return RowFactory().row(run_body(name, metadata={"resourceVersion": str(version), "namespace": namespace}))


def test_indexed_objects_are_the_rows_of_their_scope():
    index = Index[RunRow]()
    for one in (row("a", 5), row("b", 7), row("c", 9), row("d", 5, "other")):
        index.apply(one)
    known = IndexedObjects(index, index_scope("team"))
    assert [known.version(f"uid-{name}") for name in ("a", "b", "none")] == ["5", "7", None]
    assert known.missing({"uid-b"}, "8") == [{"metadata": {"uid": "uid-a", "resourceVersion": "8"}}]
    assert known.missing({"uid-b"}, "opaque") == ()
    assert len(list(IndexedObjects(index, ALL).missing(set(), "8"))) == 3


async def test_an_object_without_a_row_is_left_out_and_others_are_listed(caplog: pytest.LogCaptureFixture):
    it = Followed()
    make_row = it.feed._make_row

    def refuse(body: Json) -> RunRow:
        if body["metadata"]["name"] == "b":
            raise RecursionError("too deep")
        return make_row(body)

    it.feed._make_row = refuse
    it.create(*"abc")
    async with it.running():
        await until(lambda: it.index.synced and it.names == "ac")
    assert it.refused == ["Unreadable"]
    assert "pipelineruns team/b is left out of lists: it cannot be read" in caplog.messages


async def test_a_feed_that_fails_is_not_in_sync_until_it_is_restarted(monkeypatch: pytest.MonkeyPatch):
    it = Followed()
    it.create("a")
    async with it.running():
        await until(lambda: it.index.synced)
        it.client.fail("watch pipelineruns", cast(Any, KeyError("object")))
        it.client.end_watches()
        await until(lambda: not it.index.synced)
        it.create("b")
        await until(lambda: it.index.synced and it.names == "ab")
