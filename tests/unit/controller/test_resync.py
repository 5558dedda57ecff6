"""What the watches did not tell is found, on the in-memory API server."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable

import pytest

from runwright.controller import resync
from runwright.controller.resync import Resync
from runwright.controller.scope import Scope
from runwright.core.records import RunRecord
from runwright.core.run_record import run_record
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, Key, key_of
from runwright.kube.supervise import Supervisor
from tests.unit.controller.bench import Bench, failing, virtually
from tests.unit.fake.operator import Operator
from tests.unit.fake.virtual_time import run_virtually
from tests.unit.fake.world import NAMESPACE, RUN, World, manifest

KEY = Key(NAMESPACE, RUN)


def without_watch_events(test: Callable[[World, Operator], Awaitable[None]]) -> None:
    """Run the test with an operator that saw a run reach `Running` and gets no watch events after it."""

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


def test_resync_without_missed_events_finds_nothing() -> None:
    async def test(world: World, operator: Operator) -> None:
        before = dict(world.server.calls)
        assert await operator.resync.once() == set()
        made = {call: n - before.get(call, 0) for call, n in world.server.calls.items() if n != before.get(call, 0)}
        assert made == {("list", "workflows"): 1, ("list", "pipelineruns"): 3}, "only lists, no object is read"

    without_watch_events(test)


def test_missed_workflow_change_is_found() -> None:
    async def test(world: World, operator: Operator) -> None:
        status = {**(world.workflow() or {})["status"], "phase": "Failed", "finishedAt": "2026-11-24T13:00:00Z"}
        world.server.replace("Workflow", NAMESPACE, RUN, status=status)
        assert await operator.resync.once() == {KEY}
        await world.until(lambda: world.phase() == "Failed")

    without_watch_events(test)


def test_missed_workflow_deletion_is_found() -> None:
    async def test(world: World, operator: Operator) -> None:
        world.delete("Workflow")
        assert await operator.resync.once() == {KEY}
        await world.until(lambda: world.phase() == "Error")

    without_watch_events(test)


def test_missed_run_is_found() -> None:
    async def test(world: World, operator: Operator) -> None:
        world.apply(manifest(), "second")
        assert await operator.resync.once() == {Key(NAMESPACE, "second")}
        await world.until(lambda: world.workflow("second") is not None)

    without_watch_events(test)


def test_missed_run_deletion_drops_the_run() -> None:
    async def test(world: World, operator: Operator) -> None:
        world.delete("PipelineRun")
        await world.sleep(5)
        assert operator.cache.run(KEY) is not None
        await operator.resync.once()
        await world.sleep(1)
        assert operator.cache.runs() == [] and operator.cache.workflows() == []

    without_watch_events(test)


def test_a_workflow_that_was_never_reported_is_found() -> None:
    async def test(world: World, operator: Operator) -> None:
        operator.cache.drop_workflow(KEY)
        assert await operator.resync.once() == {KEY}
        await world.sleep(1)
        assert [record.phase for record in operator.cache.workflows()] == ["Running"]

    without_watch_events(test)


def test_all_pages_are_read() -> None:
    async def test(world: World, operator: Operator) -> None:
        for number in range(7):
            world.apply(manifest("endless"), f"run-{number}")
        assert await operator.resync.once() == {Key(NAMESPACE, f"run-{number}") for number in range(7)}

    without_watch_events(test)


@pytest.mark.parametrize("fails", [False, True])
def test_resync_repeats_with_jitter(monkeypatch: pytest.MonkeyPatch, fails: bool) -> None:
    async def test(world: World, operator: Operator) -> None:
        resyncs: list[float] = []

        async def once() -> set[Key]:
            resyncs.append(asyncio.get_running_loop().time())
            if fails:
                raise ApiError(500, "InternalError", "no")
            return set()

        resyncing = Resync(operator.reconciler._client, Scope(), operator.cache, operator.queue)
        monkeypatch.setattr(resyncing, "once", once)
        async with Supervisor().group() as loops:
            resyncing.start(loops, 300)
            await world.sleep(3000)
        waits = [after - before for before, after in itertools.pairwise(resyncs)]
        assert len(waits) >= 8
        assert all((1.5 <= wait <= 60) if fails else (270 <= wait <= 330) for wait in waits)
        assert len(set(waits)) > 1, "with jitter"

    without_watch_events(test)


def test_missed_edit_of_a_run_is_found() -> None:
    async def test(bench: Bench) -> None:
        bench.world.apply(manifest())
        bench.deliver_run()
        await bench.take()
        bench.world.apply(manifest() | {"shutdown": "Stop"})
        assert await bench.resync.once() == {KEY} == await bench.take()
        assert bench.cache.run(KEY) == bench.run()

    virtually(test)


def test_stalled_run_without_a_workflow_is_not_found() -> None:
    async def test(bench: Bench) -> None:
        bench.world.apply({"workflow": {"manifest": "kind: CronWorkflow"}})
        bench.deliver_run()
        await bench.reconcile()
        bench.deliver_run()
        await bench.take()
        assert bench.world.stalled() and await bench.resync.once() == set() == await bench.take()

    virtually(test)


def test_run_that_cannot_be_read_harms_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(body: Json) -> RunRecord:
        if key_of(body).name == "bad":
            raise KeyError("spec")
        return run_record(body)

    async def test(bench: Bench) -> None:
        monkeypatch.setattr(resync, "run_record", read)
        names = ("a", "bad", "z")
        for name in names:
            bench.world.apply(manifest("endless"), name)
        found = {Key(NAMESPACE, name) for name in names}
        assert await bench.resync.once() == found == await bench.take()
        assert {run.key.name for run in bench.cache.runs()} == {"a", "z"}

    virtually(test)


def test_deleted_run_is_dropped_and_enqueued() -> None:
    async def test(bench: Bench) -> None:
        bench.cache.put_run(bench.finished("gone", phase="Running"))
        bench.world.delete("PipelineRun", "gone")
        assert await bench.resync.once() == {Key(NAMESPACE, "gone")}
        assert bench.cache.runs() == [] and await bench.take() == {Key(NAMESPACE, "gone")}

    virtually(test)


# ------------------------------------------------------------------------------------------------- what no watch reports


def test_half_archived_finds_runs_with_a_label_unlike_their_storage_state() -> None:
    async def test(bench: Bench) -> None:
        archived = {"runwright.dev/storage-state": "Archived"}
        bench.finished("labelled-during-downtime", labels=archived)
        bench.finished("restored-and-labelled-again", labels=archived, status={"storageState": "Available"})
        bench.finished("archived", labels=archived, status={"storageState": "Archived"})
        bench.finished("available")
        bench.finished("label-removed", status={"storageState": "Archived"})
        bench.finished(
            "put-back", labels={"runwright.dev/storage-state": "Available"}, status={"storageState": "Archived"}
        )
        bench.world.apply(manifest("endless"), "running", labels=archived)
        found = await bench.resync.half_archived()
        assert {key.name for key in found} == {"labelled-during-downtime", "restored-and-labelled-again", "running"} | {
            "label-removed",
            "put-back",
        }
        assert await bench.take() == found and all(bench.cache.pop_unwatched(key) for key in found)
        assert bench.calls() == {"list pipelineruns": 3}, "pages of two lists; no run is read"

    virtually(test)


def test_half_archived_runs_are_enqueued_with_low_priority() -> None:
    async def test(bench: Bench) -> None:
        bench.finished("labelled-during-downtime", labels={"runwright.dev/storage-state": "Archived"})
        await bench.resync.half_archived()
        bench.queue.add(KEY)
        assert [await bench.queue.get(), (await bench.queue.get()).name] == [KEY, "labelled-during-downtime"]

    virtually(test)


def test_first_resync_lists_half_archived_runs_only() -> None:
    async def test(bench: Bench) -> None:
        bench.finished("labelled-during-downtime", labels={"runwright.dev/storage-state": "Archived"})
        bench.world.apply(manifest(), "seen-by-the-watch")
        async with Supervisor().group() as loops:
            bench.resync.start(loops, 300)
            await bench.wait(1)
            assert {key.name for key in await bench.take()} == {"labelled-during-downtime"}
            assert bench.calls() == {"list pipelineruns": 2}
            await bench.wait(331)
            assert bench.calls()["list workflows"] == 1 and Key(NAMESPACE, "seen-by-the-watch") in await bench.take()

    virtually(test)


@pytest.mark.parametrize(
    "error", [ApiError(500, "InternalError", "no"), ValueError("no JSON"), asyncio.CancelledError()]
)
def test_failed_first_resync_is_repeated_later(error: BaseException) -> None:
    async def test(bench: Bench) -> None:
        bench.finished("labelled-during-downtime", labels={"runwright.dev/storage-state": "Archived"})
        bench.client.handlers["list pipelineruns"] = failing(error)
        async with Supervisor().group() as loops:
            bench.resync.start(loops, 300)
            await bench.wait(1)
            assert await bench.take() == set()
            bench.client.handlers.clear()
            await bench.wait(6)
            assert await bench.take() == {Key(NAMESPACE, "labelled-during-downtime")}

    virtually(test)


def test_run_labelled_archived_without_an_event_is_archived() -> None:
    async def test(world: World, operator: Operator) -> None:
        world.archive()
        status = {**(world.workflow() or {})["status"], "phase": "Failed", "finishedAt": "2026-11-24T13:00:00Z"}
        world.server.replace("Workflow", NAMESPACE, RUN, status=status)
        assert await operator.resync.once() == {KEY}
        await world.until(lambda: world.archived() and world.workflow() is None)
        assert world.phase() == "Failed"

    without_watch_events(test)
