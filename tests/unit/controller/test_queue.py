"""The work queue, on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runwright.controller.queue import BASE_BACKOFF, MAX_BACKOFF, WorkQueue
from tests.unit.fake.virtual_time import run_virtually


def virtually(test: Callable[[WorkQueue[str]], Awaitable[None]]) -> None:
    async def main() -> None:
        await test(WorkQueue[str]())

    run_virtually(main())


def now() -> float:
    return asyncio.get_running_loop().time()


def test_key_added_twice_is_queued_once() -> None:
    async def test(queue: WorkQueue[str]) -> None:
        for key in "abaab":
            queue.add(key)
        assert len(queue) == 2
        assert [await queue.get(), await queue.get()] == ["a", "b"]
        assert len(queue) == 0

    virtually(test)


def test_oldest_is_the_age_of_the_next_key() -> None:
    async def test(queue: WorkQueue[str]) -> None:
        assert queue.oldest == 0
        queue.add("a")
        await asyncio.sleep(5)
        queue.add("b")
        queue.add("a")
        await asyncio.sleep(1)
        assert queue.oldest == 6
        assert await queue.get() == "a"
        assert queue.oldest == 1
        queue.add("a")
        await queue.get()
        assert queue.oldest == 0, "keys in work are not waiting"
        queue.done("a")
        assert queue.oldest == 0
        await asyncio.sleep(2)
        assert queue.oldest == 2

    virtually(test)


def test_key_added_while_in_work_is_queued_after_done() -> None:
    async def test(queue: WorkQueue[str]) -> None:
        queue.add("a")
        await queue.get()
        queue.add("a")
        queue.add("a")
        assert len(queue) == 1
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(queue.get(), 100)
        queue.done("a")
        assert await queue.get() == "a"
        queue.done("a")
        assert len(queue) == 0

    virtually(test)


def test_delayed_key_is_queued_after_its_delay() -> None:
    async def test(queue: WorkQueue[str]) -> None:
        queue.add_after("a", 30)
        assert len(queue) == 0
        await queue.get()
        assert now() == 30

    virtually(test)


@pytest.mark.parametrize(("first", "second"), [(10, 30), (30, 10)])
def test_shorter_of_two_delays_applies(first: float, second: float) -> None:
    async def test(queue: WorkQueue[str]) -> None:
        queue.add_after("a", first)
        queue.add_after("a", second)
        await queue.get()
        assert now() == 10
        queue.done("a")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(queue.get(), 100)

    virtually(test)


def test_add_cancels_the_delay_of_the_key() -> None:
    async def test(queue: WorkQueue[str]) -> None:
        queue.add_after("a", 30)
        queue.add("a")
        await queue.get()
        assert now() == 0
        queue.done("a")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(queue.get(), 100)

    virtually(test)


def test_negative_delay_queues_at_once() -> None:
    async def test(queue: WorkQueue[str]) -> None:
        queue.add_after("a", -5)
        await queue.get()
        assert now() == 0

    virtually(test)


def test_back_off_doubles_up_to_its_bound_and_resets_after_success() -> None:
    async def test(queue: WorkQueue[str]) -> None:
        waits: list[float] = []
        for _ in range(14):
            seconds, at = queue.retry("a"), now()
            assert await queue.get() == "a"
            assert now() == pytest.approx(at + seconds)
            queue.done("a")
            waits.append(seconds)
        for number, seconds in enumerate(waits):
            full = min(MAX_BACKOFF, BASE_BACKOFF * 2**number)
            assert 0.8 * full <= seconds <= full
        assert max(waits[-3:]) <= MAX_BACKOFF
        queue.succeeded("a")
        assert queue.retry("a") <= BASE_BACKOFF

    virtually(test)


def test_back_off_does_not_overflow() -> None:
    async def test(queue: WorkQueue[str]) -> None:
        for _ in range(2000):
            assert queue.retry("a") <= MAX_BACKOFF

    virtually(test)


def test_each_key_has_its_own_back_off() -> None:
    async def test(queue: WorkQueue[str]) -> None:
        for _ in range(9):
            queue.retry("a")
        assert queue.retry("b") <= BASE_BACKOFF

    virtually(test)


def test_closed_queue_delivers_nothing() -> None:
    async def test(queue: WorkQueue[str]) -> None:
        queue.add_after("a", 1)
        queue.close()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(queue.get(), 100)

    virtually(test)


@pytest.mark.parametrize("work", [3, 30])
def test_drain_waits_for_the_keys_in_work(work: float) -> None:
    async def test(queue: WorkQueue[str]) -> None:
        done: list[str] = []

        async def worker() -> None:
            while True:
                key = await queue.get()
                await asyncio.sleep(work)
                done.append(key)
                queue.done(key)

        workers = [asyncio.create_task(worker()) for _ in range(2)]
        for key in "abcd":
            queue.add(key, low_priority=key == "d")
        queue.add_after("e", 1)
        await asyncio.sleep(1)
        queue.add("a")  # again, while it is in work
        began = asyncio.get_running_loop().time()
        assert await queue.drain(10) is (work < 10)
        assert asyncio.get_running_loop().time() - began == min(work - 1, 10)
        queue.add("f")
        queue.add_after("g", 1)
        assert len(queue) == 0
        assert queue.delayed == 0
        await asyncio.sleep(100)
        assert sorted(done) == ["a", "b"]
        for one in workers:
            one.cancel()

    virtually(test)


STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "patient", "later", "retry", "wait"]), st.sampled_from("abc"), st.integers(0, 5)),
    max_size=40,
)


@settings(max_examples=60)
@given(STEPS, st.integers(1, 3), st.integers(0, 3))
def test_each_added_key_is_worked_on_and_never_concurrently(
    steps: list[tuple[str, str, int]], workers: int, seconds: int
) -> None:
    async def test(queue: WorkQueue[str]) -> None:
        working: set[str] = set()
        started: dict[str, float] = {}

        async def worker() -> None:
            while True:
                key = await queue.get()
                assert key not in working
                working.add(key)
                started[key] = now()
                await asyncio.sleep(seconds)
                working.discard(key)
                queue.done(key)

        tasks = [asyncio.create_task(worker()) for _ in range(workers)]
        added: dict[str, float] = {}
        for what, key, number in steps:
            match what:
                case "add":
                    queue.add(key)
                case "patient":
                    queue.add(key, low_priority=True)
                case "later":
                    queue.add_after(key, number)
                case "retry":
                    queue.retry(key)
                case _:
                    await asyncio.sleep(number)
                    continue
            added[key] = now()
        await asyncio.sleep(1000)
        assert not any(task.done() for task in tasks), [task.exception() for task in tasks if task.done()]
        assert added.keys() == started.keys()
        assert all(started[key] >= at for key, at in added.items())
        assert len(queue) == 0 and not working

    virtually(test)


def test_key_that_is_added_just_before_the_drain_ends_no_worker() -> None:
    async def test(queue: WorkQueue[str]) -> None:
        worker = asyncio.create_task(queue.get())
        await asyncio.sleep(0)
        queue.add("a")
        assert await queue.drain(1)
        await asyncio.sleep(10)
        assert not worker.done(), "a closed queue hands out nothing"

    virtually(test)


ENDINGS = st.lists(
    st.tuples(
        st.sampled_from(["add", "low", "later", "retry", "turn", "wait", "cancel", "drain", "close"]),
        st.sampled_from("abc"),
        st.integers(0, 3),
    ),
    max_size=40,
)


@settings(max_examples=150)
@given(ENDINGS, st.integers(1, 3), st.integers(0, 3))
def test_drain_and_close_at_any_moment_end_no_worker_and_leave_nothing_waiting(
    steps: list[tuple[str, str, int]], workers: int, seconds: int
) -> None:
    async def test(queue: WorkQueue[str]) -> None:
        working: list[str] = []
        closed = False

        async def worker() -> None:
            while True:
                key = await queue.get()
                assert key not in working and not closed
                working.append(key)
                try:
                    await asyncio.sleep(seconds)
                finally:
                    working.remove(key)
                    queue.done(key)

        tasks = [asyncio.create_task(worker()) for _ in range(workers)]
        draining: list[asyncio.Task[bool]] = []
        for what, key, number in steps:
            match what:
                case "add" | "low":
                    queue.add(key, low_priority=what == "low")
                case "later":
                    queue.add_after(key, number)
                case "retry":
                    queue.retry(key)
                case "turn":
                    await asyncio.sleep(0)
                case "wait":
                    await asyncio.sleep(number)
                case "cancel":
                    tasks[number % workers].cancel()
                    await asyncio.sleep(0)
                    tasks[number % workers] = asyncio.create_task(worker())
                case "drain":
                    draining.append(asyncio.create_task(queue.drain(number)))
                    await asyncio.sleep(0)
                    closed = True
                case _:
                    closed = True
                    queue.close()
            lanes = queue._urgent.keys() | queue._low.keys()
            assert not queue._urgent.keys() & queue._low.keys()
            assert not lanes & set(working)
        await asyncio.sleep(1000)
        assert not any(task.done() for task in tasks), [task.exception() for task in tasks if task.done()]
        assert all(task.done() for task in draining) and not working
        assert len(queue) == 0 and queue.delayed == 0

    virtually(test)


def test_low_priority_keys_come_after_all_others() -> None:
    async def main() -> list[str]:
        queue = WorkQueue[str]()
        for number in range(3):
            queue.add(f"archived-{number}", low_priority=True)
        queue.add("new")
        queue.add("archived-2")
        queue.add("archived-1", low_priority=True)
        queue.add("new", low_priority=True)
        assert len(queue) == 4
        return [await queue.get() for _ in range(4)]

    assert run_virtually(main()) == ["new", "archived-2", "archived-0", "archived-1"]


def test_oldest_includes_low_priority_keys() -> None:
    async def main() -> None:
        queue = WorkQueue[str]()
        queue.add("a", low_priority=True)
        await asyncio.sleep(2)
        queue.add("b")
        assert round(queue.oldest) == 2
        queue.add("a")
        assert [await queue.get(), await queue.get()] == ["b", "a"]
        assert queue.oldest == 0.0

    run_virtually(main())
