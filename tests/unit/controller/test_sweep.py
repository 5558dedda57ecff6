"""The sweep enqueues archived runs when they are due. On virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, cast

import pytest

from runwright.controller import sweep
from runwright.controller.sweep import SWEEP_SECONDS
from runwright.kube.client import Client, Page
from runwright.kube.errors import ApiError
from runwright.kube.objects import Key
from runwright.kube.resource import Resource, Selection
from runwright.kube.supervise import Backoff, Supervisor
from tests.unit.controller.bench import Bench, virtually
from tests.unit.fake.world import NAMESPACE

DAY = timedelta(days=1)


def key(name: str) -> Key:
    return Key(NAMESPACE, name)


def archived(bench: Bench, *names: str, days: int | None = None) -> None:
    """Store archived runs with a deletion date `days` from now, or without one."""
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


@asynccontextmanager
async def sweeping(bench: Bench) -> AsyncIterator[None]:
    async with Supervisor().group() as loops:
        bench.sweep.start(loops)
        yield


def swept(test: Callable[[Bench], Awaitable[None]], setup: Callable[[Bench], object]) -> None:
    """Run the test next to a sweep that starts after the setup."""

    async def body(bench: Bench) -> None:
        setup(bench)
        async with sweeping(bench):
            await bench.wait(1)
            await test(bench)

    virtually(body)


class Lists:
    """Lists of the API server. The first lists fail after one page, each with one of the errors."""

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
    """Selection of the archived runs with one of these deletion dates, or with any."""
    dated = f"runwright.dev/delete-on in ({','.join(days)})" if days else "runwright.dev/delete-on"
    return Selection(labels=f"runwright.dev/storage-state=Archived,{dated}")


NO = ApiError(503, "ServiceUnavailable", "no")


def test_first_sweep_enqueues_the_runs_due_by_tomorrow() -> None:
    async def test(bench: Bench) -> None:
        assert await take(bench) == {"long-ago", "yesterday", "today", "tomorrow"}
        assert bench.calls() == {"list pipelineruns": 3}, "pages of a list; no run is read"

    def setup(bench: Bench) -> None:
        for name, days in (("long-ago", -400), ("yesterday", -1), ("today", 0), ("tomorrow", 1), ("later", 2)):
            archived(bench, name, days=days)
        archived(bench, "for-ever")
        bench.finished("available")

    swept(test, setup)


def test_due_runs_are_enqueued_with_low_priority() -> None:
    async def test(bench: Bench) -> None:
        bench.queue.add(key("running"))
        assert [(await bench.queue.get()).name for _ in range(3)] == ["running", "due", "overdue"]

    def setup(bench: Bench) -> None:
        archived(bench, "due", days=0)
        archived(bench, "overdue", days=-3)

    swept(test, setup)


def test_later_sweep_lists_three_days_only() -> None:
    async def test(bench: Bench) -> None:
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


def test_run_due_during_an_api_server_outage_is_enqueued_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "BACKOFF", Backoff(3600.0, 3600.0))

    async def test(bench: Bench) -> None:
        assert await take(bench) == set()
        lists_of(bench, *[NO] * 108)
        await bench.wait(4 * DAY)
        assert await take(bench) == set()
        await bench.wait(DAY / 2)
        assert await take(bench) == {"meanwhile"}

    swept(test, lambda bench: archived(bench, "meanwhile", days=2))


def test_run_due_during_a_clock_jump_is_enqueued_after_it() -> None:
    async def test(bench: Bench) -> None:
        assert await take(bench) == set()
        bench.world.clock.ahead = 5 * DAY
        await bench.wait(SWEEP_SECONDS)
        assert await take(bench) == {"meanwhile"}

    swept(test, lambda bench: archived(bench, "meanwhile", days=2))


@pytest.mark.parametrize("error", [NO, KeyError("items"), asyncio.CancelledError()])
def test_failed_list_is_repeated_with_a_back_off(error: BaseException) -> None:
    async def test(bench: Bench) -> None:
        archived(bench, "due", days=0)
        lists = lists_of(bench, error, error)
        async with sweeping(bench):
            await bench.wait(16)
            assert len(lists.at) == 3 and lists.at[1] >= 4 and lists.at[2] - lists.at[1] >= 8
            assert lists.asked == [due()] * 3, "no list has succeeded yet"
            assert await take(bench) == {"due"}

    virtually(test)


# --------------------------------------------------------------------------------------------------- policies that change


def test_policy_change_enqueues_all_runs_of_the_namespace_once() -> None:
    async def test(bench: Bench) -> None:
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


def test_policy_changes_do_not_delay_the_next_sweep() -> None:
    async def test(bench: Bench) -> None:
        lists = lists_of(bench)
        for _ in range(3):
            await bench.wait(SWEEP_SECONDS / 4)
            bench.sweep.policy_changed("empty")
        await bench.wait(SWEEP_SECONDS / 4)
        at = [at for at, selection in zip(lists.at, lists.asked, strict=True) if not selection.namespace]
        assert at == pytest.approx([SWEEP_SECONDS], abs=0.1)

    swept(test, lambda bench: None)


def test_policy_change_with_a_failed_list_is_retried() -> None:
    async def test(bench: Bench) -> None:
        await take(bench)
        lists = lists_of(bench, NO, asyncio.CancelledError())
        bench.sweep.policy_changed(NAMESPACE)
        await bench.wait(16)
        assert await take(bench) == {"a", "b", "c"}
        assert lists.asked == [Selection(NAMESPACE)] * 3

    swept(test, lambda bench: archived(bench, "a", "b", "c"))


def test_policy_change_during_the_list_repeats_the_list() -> None:
    async def test(bench: Bench) -> None:
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
def test_first_deleting_policy_enqueues_archived_runs_without_a_date(namespace: str, names: set[str]) -> None:
    async def test(bench: Bench) -> None:
        assert await take(bench) == set()
        bench.sweep.policy_begins(namespace)
        await bench.wait(1)
        assert await take(bench) == names
        await bench.wait(100)
        assert await take(bench) == set(), "once"

    swept(test, undated)


def test_first_deleting_policy_with_a_failed_list_is_retried() -> None:
    async def test(bench: Bench) -> None:
        lists = lists_of(bench, NO, asyncio.CancelledError())
        bench.sweep.policy_begins(NAMESPACE)
        bench.sweep.policy_changed("empty")
        await bench.wait(16)
        assert await take(bench) == {"undated", "too"}
        undated = Selection(NAMESPACE, "runwright.dev/storage-state=Archived,!runwright.dev/delete-on")
        assert lists.asked == [undated, undated, undated, Selection("empty")] and not bench.sweep._changed

    swept(test, undated)
