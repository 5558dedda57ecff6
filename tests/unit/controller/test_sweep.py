"""Archived runs are found when they are due, by lists that name only those. On virtual time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import timedelta
from typing import Any, cast

import pytest

from runwright.controller import sweep
from runwright.controller.sweep import RETRY_SECONDS, SWEEP_SECONDS
from runwright.kube.client import Client, Page
from runwright.kube.errors import ApiError
from runwright.kube.objects import Key
from runwright.kube.resource import Resource, Selection
from tests.unit.controller.bench import Bench, virtually
from tests.unit.fake.world import NAMESPACE

DAY = timedelta(days=1)


def key(name: str) -> Key:
    return Key(NAMESPACE, name)


def archived(bench: Bench, *names: str, days: int | None = None) -> None:
    """Runs that are archived, and will be deleted so many days from now, or never."""
    labels = {"runwright.dev/storage-state": "Archived"}
    if days is not None:
        labels["runwright.dev/delete-on"] = (bench.world.clock.now() + days * DAY).date().isoformat()
    for name in names:
        bench.finished(name, labels=labels, status={"storageState": "Archived"})


async def take(bench: Bench) -> set[str]:
    """The runs that were enqueued since the last call; each is to be read from the API server."""
    keys = await bench.take()
    assert all([bench.cache.pop_unwatched(key) for key in keys])
    return {key.name for key in keys}


def swept(test: Callable[[Bench, asyncio.Task[None]], Awaitable[None]], setup: Callable[[Bench], object]) -> None:
    """Run the test beside a sweep that begins after the setup."""

    async def body(bench: Bench) -> None:
        setup(bench)
        task = asyncio.create_task(bench.sweep.forever())
        await bench.wait(1)
        await test(bench, task)
        assert not task.done(), "nothing ends it"

    virtually(body)


class Lists:
    """Lists of the API server; the first ones fail after their first page was sent, each with one of the errors."""

    def __init__(self, client: Client, *errors: BaseException) -> None:
        self.pages, self.errors = client.pages, list(errors)
        self.asked: list[Selection] = []
        self.at: list[float] = []

    async def __call__(self, resource: Resource, selection: Selection, **options: Any) -> AsyncGenerator[Page]:
        self.asked.append(selection)
        self.at.append(asyncio.get_running_loop().time())
        error = self.errors.pop(0) if self.errors else None
        async for page in self.pages(resource, selection, **options):
            if error is not None:
                raise error
            yield page


def lists_of(bench: Bench, *errors: BaseException) -> Lists:
    lists = Lists(bench.client, *errors)
    cast(Any, bench.client).pages = lists
    return lists


def due(*days: str) -> Selection:
    """Select the archived runs that will be deleted on these days, or on any."""
    dated = f"runwright.dev/delete-on in ({','.join(days)})" if days else "runwright.dev/delete-on"
    return Selection(labels=f"runwright.dev/storage-state=Archived,{dated}")


NO = ApiError(503, "ServiceUnavailable", "no")


def test_at_the_start_all_are_found_that_are_due_by_tomorrow_and_no_others() -> None:
    async def test(bench: Bench, task: asyncio.Task[None]) -> None:
        assert await take(bench) == {"long-ago", "yesterday", "today", "tomorrow"}
        assert bench.calls() == {"list pipelineruns": 3}, "pages of a list; no run is read"

    def setup(bench: Bench) -> None:
        for name, days in (("long-ago", -400), ("yesterday", -1), ("today", 0), ("tomorrow", 1), ("later", 2)):
            archived(bench, name, days=days)
        archived(bench, "for-ever")
        bench.finished("available")

    swept(test, setup)


def test_what_is_due_waits_for_the_runs_that_run() -> None:
    async def test(bench: Bench, task: asyncio.Task[None]) -> None:
        bench.queue.add(key("running"))
        assert [(await bench.queue.get()).name for _ in range(3)] == ["running", "due", "overdue"]

    def setup(bench: Bench) -> None:
        archived(bench, "due", days=0)
        archived(bench, "overdue", days=-3)

    swept(test, setup)


def test_six_hours_later_it_asks_for_those_of_three_days_only() -> None:
    async def test(bench: Bench, task: asyncio.Task[None]) -> None:
        assert await take(bench) == {"first"}
        lists = lists_of(bench)
        archived(bench, "second", days=1)
        await bench.wait(SWEEP_SECONDS - 2)
        assert await take(bench) == set() and lists.asked == []
        await bench.wait(2)
        assert await take(bench) == {"first", "second"}
        assert lists.asked == [due("2026-11-23", "2026-11-24", "2026-11-25")]
        await bench.wait(DAY)
        assert await take(bench) == {"first", "second", "third"}
        assert len(lists.asked) == 5 and lists.asked[-1] == due("2026-11-24", "2026-11-25", "2026-11-26")

    def setup(bench: Bench) -> None:
        archived(bench, "first", days=0)
        archived(bench, "third", days=2)

    swept(test, setup)


def test_what_came_due_while_the_api_server_was_away_is_found_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "RETRY_SECONDS", 3600.0)

    async def test(bench: Bench, task: asyncio.Task[None]) -> None:
        assert await take(bench) == set()
        lists_of(bench, *[NO] * 96)
        await bench.wait(4 * DAY)
        assert await take(bench) == set()
        await bench.wait(DAY / 2)
        assert await take(bench) == {"meanwhile"}

    swept(test, lambda bench: archived(bench, "meanwhile", days=2))


def test_what_came_due_while_the_machine_slept_is_found_late() -> None:
    async def test(bench: Bench, task: asyncio.Task[None]) -> None:
        assert await take(bench) == set()
        bench.world.clock.ahead = 5 * DAY
        await bench.wait(SWEEP_SECONDS)
        assert await take(bench) == {"meanwhile"}

    swept(test, lambda bench: archived(bench, "meanwhile", days=2))


def test_what_fails_is_tried_again_soon(caplog: pytest.LogCaptureFixture) -> None:
    async def test(bench: Bench) -> None:
        archived(bench, "due", days=0)
        lists = lists_of(bench, NO, NO)
        task = asyncio.create_task(bench.sweep.forever())
        await bench.wait(2 * RETRY_SECONDS + 1)
        assert lists.at == pytest.approx([0, RETRY_SECONDS, 2 * RETRY_SECONDS], abs=0.1)
        assert lists.asked == [due()] * 3, "none has been found yet"
        assert await take(bench) == {"due"} and not task.done()

    with caplog.at_level(logging.WARNING):
        virtually(test)
    assert "503 ServiceUnavailable: no; trying again in 30 s" in caplog.text


def test_a_request_that_is_cut_off_does_not_end_it() -> None:
    async def test(bench: Bench) -> None:
        archived(bench, "due", days=0)
        lists = lists_of(bench, asyncio.CancelledError())
        task = asyncio.create_task(bench.sweep.forever())
        await bench.wait(RETRY_SECONDS + 1)
        assert await take(bench) == {"due"} and len(lists.asked) == 2 and not task.done()
        bench.sweep.policy_changed(NAMESPACE)
        task.cancel()
        await bench.wait(1)
        assert task.cancelled()

    virtually(test)


# --------------------------------------------------------------------------------------------------- policies that change


def test_all_runs_of_a_namespace_are_looked_at_when_its_policy_changes() -> None:
    async def test(bench: Bench, task: asyncio.Task[None]) -> None:
        assert await take(bench) == set()
        bench.sweep.policy_changed(NAMESPACE)
        await bench.wait(1)
        assert await take(bench) == {"archived", "available", "running"}
        await bench.wait(100)
        assert await take(bench) == set(), "once"

    def setup(bench: Bench) -> None:
        archived(bench, "archived")
        bench.finished("available")
        bench.world.apply({"workflow": {}}, "running")
        bench.server.create(
            "PipelineRun", {"metadata": {"namespace": "other", "name": "not-this"}, "spec": {}, "status": {}}
        )

    swept(test, setup)


def test_a_change_does_not_put_off_the_next_look_for_what_is_due() -> None:
    async def test(bench: Bench, task: asyncio.Task[None]) -> None:
        lists = lists_of(bench)
        for _ in range(3):
            await bench.wait(SWEEP_SECONDS / 4)
            bench.sweep.policy_changed("empty")
        await bench.wait(SWEEP_SECONDS / 4)
        at = [at for at, selection in zip(lists.at, lists.asked, strict=True) if not selection.namespace]
        assert at == pytest.approx([SWEEP_SECONDS], abs=0.1)

    swept(test, lambda bench: None)


def test_a_change_whose_runs_cannot_be_listed_is_not_forgotten() -> None:
    async def test(bench: Bench, task: asyncio.Task[None]) -> None:
        await take(bench)
        lists = lists_of(bench, NO, asyncio.CancelledError())
        bench.sweep.policy_changed(NAMESPACE)
        await bench.wait(RETRY_SECONDS * 2 + 1)
        assert await take(bench) == {"a", "b", "c"}
        assert lists.asked == [Selection(NAMESPACE)] * 3

    swept(test, lambda bench: archived(bench, "a", "b", "c"))


def test_a_policy_that_changes_again_while_its_runs_are_listed_has_them_looked_at_again() -> None:
    async def test(bench: Bench, task: asyncio.Task[None]) -> None:
        await take(bench)
        pages, seen = bench.client.pages, list[set[str]]()

        async def changing(resource: Resource, selection: Selection, **options: Any) -> AsyncGenerator[Page]:
            async for page in pages(resource, selection, **options):
                yield page
            seen.append(await take(bench))
            if len(seen) == 1:
                bench.sweep.policy_changed(selection.namespace)

        cast(Any, bench.client).pages = changing
        bench.sweep.policy_changed(NAMESPACE)
        await bench.wait(1)
        assert seen == [{"a", "b"}] * 2

    swept(test, lambda bench: archived(bench, "a", "b"))


# ---------------------------------------------------------------------------------------------------- policies that begin


def undated(bench: Bench) -> None:
    """Archived runs, two of them without a day of deletion, and one that is available."""
    archived(bench, "undated", "too")
    archived(bench, "dated", days=9)
    bench.finished("available")
    labels = {"runwright.dev/storage-state": "Archived"}
    bench.server.create("PipelineRun", {"metadata": {"namespace": "other", "name": "elsewhere", "labels": labels}})


@pytest.mark.parametrize(
    ("namespace", "names"), [(NAMESPACE, {"undated", "too"}), ("", {"undated", "too", "elsewhere"}), ("empty", set())]
)
def test_archived_runs_without_a_day_are_looked_at_when_a_policy_that_deletes_begins(
    namespace: str, names: set[str]
) -> None:
    async def test(bench: Bench, task: asyncio.Task[None]) -> None:
        assert await take(bench) == set()
        bench.sweep.policy_begins(namespace)
        await bench.wait(1)
        assert await take(bench) == names
        await bench.wait(100)
        assert await take(bench) == set(), "once"

    swept(test, undated)


def test_a_beginning_whose_runs_cannot_be_listed_is_not_forgotten() -> None:
    async def test(bench: Bench, task: asyncio.Task[None]) -> None:
        lists = lists_of(bench, NO, asyncio.CancelledError())
        bench.sweep.policy_begins(NAMESPACE)
        bench.sweep.policy_changed("empty")
        await bench.wait(RETRY_SECONDS * 2 + 1)
        assert await take(bench) == {"undated", "too"}
        undated = Selection(NAMESPACE, "runwright.dev/storage-state=Archived,!runwright.dev/delete-on")
        assert lists.asked == [undated, undated, undated, Selection("empty")] and not bench.sweep._changed

    swept(test, undated)
