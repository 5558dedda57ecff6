"""What the watches did not tell is found, on the in-memory API server."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable

import pytest

from runwright.core.records import Key
from runwright.ports import ApiError
from runwright.runtime.resync import Resync
from tests.unit.fake.operator import Operator
from tests.unit.fake.virtual_time import run_virtually
from tests.unit.fake.world import NAMESPACE, RUN, World, manifest

KEY = Key(NAMESPACE, RUN)


def virtually(test: Callable[[World, Operator], Awaitable[None]]) -> None:
    """An operator that has seen a run to `Running`, and sees nothing more after that."""

    async def main() -> None:
        world = World()
        world.start_operator()
        (operator,) = world.operators
        world.apply(manifest("endless"))
        await world.until(lambda: world.phase() == "Running")
        await world.sleep(20)
        for stream in operator._streams:
            stream.stop()
        await test(world, operator)
        for stream in operator._streams:
            stream.start()

    run_virtually(main())


def test_nothing_is_found_where_nothing_was_missed() -> None:
    async def test(world: World, operator: Operator) -> None:
        before = dict(world.server.calls)
        assert await operator.resync.once() == set()
        made = {call: n - before.get(call, 0) for call, n in world.server.calls.items() if n != before.get(call, 0)}
        assert made == {("list", "workflows"): 1, ("list", "pipelineruns"): 2}, "only lists, no object is read"

    virtually(test)


def test_a_change_of_a_workflow_is_found() -> None:
    async def test(world: World, operator: Operator) -> None:
        status = {**(world.workflow() or {})["status"], "phase": "Failed", "finishedAt": "2026-11-24T13:00:00Z"}
        world.server.replace("Workflow", NAMESPACE, RUN, status=status)
        assert await operator.resync.once() == {KEY}
        await world.until(lambda: world.phase() == "Failed")

    virtually(test)


def test_a_deleted_workflow_is_found() -> None:
    async def test(world: World, operator: Operator) -> None:
        world.delete("Workflow")
        assert await operator.resync.once() == {KEY}
        await world.until(lambda: world.phase() == "Error")

    virtually(test)


def test_a_new_run_is_found() -> None:
    async def test(world: World, operator: Operator) -> None:
        world.apply(manifest(), "second")
        assert await operator.resync.once() == {Key(NAMESPACE, "second")}
        await world.until(lambda: world.workflow("second") is not None)

    virtually(test)


def test_a_deleted_run_leaves_the_memory() -> None:
    async def test(world: World, operator: Operator) -> None:
        world.delete("PipelineRun")
        await world.sleep(5)
        assert operator.store.run(KEY) is not None
        await operator.resync.once()
        await world.sleep(1)
        assert operator.store.runs() == [] and operator.store.workflows() == []

    virtually(test)


def test_a_workflow_that_was_never_told_of_is_found() -> None:
    async def test(world: World, operator: Operator) -> None:
        operator.store.drop_workflow(KEY)
        assert await operator.resync.once() == {KEY}
        await world.sleep(1)
        assert [record.phase for record in operator.store.workflows()] == ["Running"]

    virtually(test)


def test_lists_are_read_to_their_last_page() -> None:
    async def test(world: World, operator: Operator) -> None:
        for number in range(7):
            world.apply(manifest("endless"), f"run-{number}")
        assert await operator.resync.once() == {Key(NAMESPACE, f"run-{number}") for number in range(7)}

    virtually(test)


def test_it_looks_now_and_then_and_a_failure_does_not_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(world: World, operator: Operator) -> None:
        looks: list[float] = []

        async def once() -> int:
            looks.append(asyncio.get_running_loop().time())
            raise ApiError(500, "InternalError", "no")

        resync = Resync(operator.reconciler._cluster, operator.store, operator.queue)
        monkeypatch.setattr(resync, "once", once)
        task = asyncio.create_task(resync.forever(300))
        await world.sleep(3000)
        task.cancel()
        waits = [after - before for before, after in itertools.pairwise(looks)]
        assert len(waits) >= 8
        assert all(270 <= wait <= 330 for wait in waits)
        assert len(set(waits)) > 1, "with jitter"

    virtually(test)
