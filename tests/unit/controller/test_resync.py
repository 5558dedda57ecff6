"""What the watches did not tell is found, on the in-memory API server."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable

import pytest

from runwright.controller.resync import Resync
from runwright.controller.scope import Scope
from runwright.kube.errors import ApiError
from runwright.kube.objects import Key
from tests.unit.controller import bench
from tests.unit.controller.bench import Bench
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
        assert made == {("list", "workflows"): 1, ("list", "pipelineruns"): 3}, "only lists, no object is read"

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
        assert operator.cache.run(KEY) is not None
        await operator.resync.once()
        await world.sleep(1)
        assert operator.cache.runs() == [] and operator.cache.workflows() == []

    virtually(test)


def test_a_workflow_that_was_never_reported_is_found() -> None:
    async def test(world: World, operator: Operator) -> None:
        operator.cache.drop_workflow(KEY)
        assert await operator.resync.once() == {KEY}
        await world.sleep(1)
        assert [record.phase for record in operator.cache.workflows()] == ["Running"]

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

        resync = Resync(operator.reconciler._client, Scope(), operator.cache, operator.queue)
        monkeypatch.setattr(resync, "once", once)
        task = asyncio.create_task(resync.forever(300))
        await world.sleep(3000)
        task.cancel()
        waits = [after - before for before, after in itertools.pairwise(looks)]
        assert len(waits) >= 8
        assert all(270 <= wait <= 330 for wait in waits)
        assert len(set(waits)) > 1, "with jitter"

    virtually(test)


def test_an_edit_of_a_run_is_found() -> None:
    async def test(it: Bench) -> None:
        it.world.apply(manifest())
        it.tell()
        await it.take()
        it.world.apply(manifest() | {"shutdown": "Stop"})
        assert await it.resync.once() == {KEY} == await it.take()
        assert it.cache.run(KEY) == it.run()

    bench.virtually(test)


def test_a_run_that_has_no_workflow_and_waits_is_not_found() -> None:
    async def test(it: Bench) -> None:
        it.world.apply({"workflow": {"manifest": "kind: CronWorkflow"}})
        it.tell()
        await it.reconcile()
        it.tell()
        await it.take()
        assert it.world.stalled() and await it.resync.once() == set() == await it.take()

    bench.virtually(test)


def test_a_run_that_has_gone_is_forgotten_and_decided_about() -> None:
    async def test(it: Bench) -> None:
        it.cache.put_run(it.finished("gone", phase="Running"))
        it.world.delete("PipelineRun", "gone")
        assert await it.resync.once() == {Key(NAMESPACE, "gone")}
        assert it.cache.runs() == [] and await it.take() == {Key(NAMESPACE, "gone")}

    bench.virtually(test)


# ------------------------------------------------------------------------------------------------- what no watch reports


def test_runs_are_found_whose_storage_state_is_not_yet_what_their_label_asks_for() -> None:
    async def test(it: Bench) -> None:
        archived = {"runwright.dev/storage-state": "Archived"}
        it.finished("asked-while-away", labels=archived)
        it.finished("brought-back-and-asked-again", labels=archived, status={"storageState": "Available"})
        it.finished("archived", labels=archived, status={"storageState": "Archived"})
        it.finished("available")
        it.finished("asked-back", status={"storageState": "Archived"})
        it.finished(
            "put-back", labels={"runwright.dev/storage-state": "Available"}, status={"storageState": "Archived"}
        )
        it.world.apply(manifest("endless"), "running", labels=archived)
        found = await it.resync.half_archived()
        assert {key.name for key in found} == {"asked-while-away", "brought-back-and-asked-again", "running"} | {
            "asked-back",
            "put-back",
        }
        assert await it.take() == found and all(it.cache.pop_unwatched(key) for key in found)
        assert it.calls() == {"list pipelineruns": 3}, "pages of two lists; no run is read"

    bench.virtually(test)


def test_what_is_archived_late_waits_for_those_that_run() -> None:
    async def test(it: Bench) -> None:
        it.finished("asked-while-away", labels={"runwright.dev/storage-state": "Archived"})
        await it.resync.half_archived()
        it.queue.add(KEY)
        assert [await it.queue.get(), (await it.queue.get()).name] == [KEY, "asked-while-away"]

    bench.virtually(test)


def test_at_the_start_it_looks_for_those_alone_and_at_all_of_it_later() -> None:
    async def test(it: Bench) -> None:
        it.finished("asked-while-away", labels={"runwright.dev/storage-state": "Archived"})
        it.world.apply(manifest(), "reported-by-the-watch")
        task = asyncio.create_task(it.resync.forever(300))
        await it.wait(1)
        assert {key.name for key in await it.take()} == {"asked-while-away"}
        assert it.calls() == {"list pipelineruns": 2}
        await it.wait(331)
        assert it.calls()["list workflows"] == 1 and Key(NAMESPACE, "reported-by-the-watch") in await it.take()
        assert not task.done()

    bench.virtually(test)


@pytest.mark.parametrize("error", [ApiError(500, "InternalError", "no"), asyncio.CancelledError()])
def test_a_start_that_fails_or_is_cut_off_is_made_up_for(error: BaseException) -> None:
    async def test(it: Bench) -> None:
        it.finished("asked-while-away", labels={"runwright.dev/storage-state": "Archived"})
        it.client.handlers["list pipelineruns"] = bench.fails(error)
        task = asyncio.create_task(it.resync.forever(300))
        await it.wait(1)
        assert await it.take() == set() and not task.done()
        it.client.handlers.clear()
        await it.wait(331)
        assert await it.take() == {Key(NAMESPACE, "asked-while-away")} and not task.done()
        task.cancel()
        await it.wait(1)
        assert task.cancelled()

    bench.virtually(test)


def test_a_run_that_was_archived_while_its_watch_was_away_is_archived() -> None:
    async def test(world: World, operator: Operator) -> None:
        world.archive()
        status = {**(world.workflow() or {})["status"], "phase": "Failed", "finishedAt": "2026-11-24T13:00:00Z"}
        world.server.replace("Workflow", NAMESPACE, RUN, status=status)
        assert await operator.resync.once() == {KEY}
        await world.until(lambda: world.archived() and world.workflow() is None)
        assert world.phase() == "Failed"

    virtually(test)
