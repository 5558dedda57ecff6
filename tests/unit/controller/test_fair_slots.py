"""A namespace that holds its slots for ever leaves some to the others."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from runwright.controller.fair_slots import FairSlots
from tests.unit.fake.virtual_time import run_virtually


class Users:
    """Tasks that hold slots."""

    def __init__(self, count: int, most: int = 1000) -> None:
        self.most = most
        self.slots = FairSlots(count, lambda _: self.most)
        self.tasks: list[asyncio.Task[None]] = []
        self.order: list[str] = []

    def begin(self, namespace: str, seconds: float = 1000) -> asyncio.Task[None]:
        async def use() -> None:
            async with self.slots.hold(namespace):
                self.order.append(namespace)
                await asyncio.sleep(seconds)

        self.tasks.append(asyncio.create_task(use()))
        return self.tasks[-1]


def test_a_namespace_takes_at_most_half() -> None:
    async def main() -> None:
        users = Users(16)
        for namespace in ("a", "b", "c", "d", "e", "f"):
            for _ in range(20):
                users.begin(namespace)
            await asyncio.sleep(1)
        assert [users.slots.held(one) for one in "abcdef"] == [8, 4, 2, 1, 1, 0]

    run_virtually(main())


def test_a_free_slot_goes_to_the_namespace_that_holds_the_fewest() -> None:
    async def main() -> None:
        users = Users(2)
        users.begin("a", 10)
        users.begin("b", 10)
        for namespace in ("a", "a", "c", "d"):
            users.begin(namespace, 100)
        await asyncio.sleep(11)
        assert users.order == ["a", "b", "a", "c"]
        await asyncio.sleep(100)
        assert users.order == ["a", "b", "a", "c", "d", "a"], "the namespaces take turns"

    run_virtually(main())


def test_a_cancelled_task_gives_back_what_it_has_or_waits_for() -> None:
    async def main() -> None:
        users = Users(2)
        first = users.begin("a")
        second, third = users.begin("a"), users.begin("a")
        await asyncio.sleep(1)
        second.cancel()
        first.cancel()
        await asyncio.sleep(1)
        assert (users.slots.held("a"), len(users.order), third.done()) == (1, 2, False)
        third.cancel()
        await asyncio.sleep(1)
        assert users.slots.held("a") == 0

    run_virtually(main())


def test_a_slot_that_is_granted_to_a_cancelled_task_goes_to_the_next() -> None:
    async def main() -> None:
        users = Users(1)
        first, second, third = users.begin("a"), users.begin("a"), users.begin("b")
        await asyncio.sleep(1)
        first.cancel()
        second.cancel()
        await asyncio.sleep(1)
        assert (users.slots.held("b"), third.done()) == (1, False)

    run_virtually(main())


def test_the_number_of_a_namespace_can_change() -> None:
    async def main() -> None:
        users = Users(16, most=1)
        for _ in range(3):
            users.begin("a")
        await asyncio.sleep(1)
        assert users.slots.held("a") == 1
        users.most = 16
        users.slots.grant()
        await asyncio.sleep(1)
        assert users.slots.held("a") == 3

    run_virtually(main())


steps = st.lists(st.tuples(st.sampled_from("abcd"), st.floats(0.1, 5), st.booleans()), max_size=60)


@given(st.integers(1, 8), steps)
def test_all_slots_are_used_and_given_back(count: int, steps: list[tuple[str, float, bool]]) -> None:
    async def main() -> None:
        users, cancelled = Users(count), 0
        for namespace, seconds, cancel in steps:
            task = users.begin(namespace, seconds)
            await asyncio.sleep(0.3)
            if cancel:
                cancelled += 1
                task.cancel()
            assert sum(users.slots.held(one) for one in "abcd") <= count
        for task in users.tasks:
            with suppress(asyncio.CancelledError):
                await task
        assert sum(users.slots.held(one) for one in "abcd") == 0

    run_virtually(main())
