"""Long functions run in a thread, one at a time, each namespace in turn."""

from __future__ import annotations

import asyncio
import threading

import pytest

from runwright.controller.lane import MAX_WAITING, Lane
from runwright.kube.errors import ApiError


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_one_call_runs_at_a_time_and_each_namespace_in_turn() -> None:
    lane, ended, running, most = Lane(), list[str](), 0, 0
    gate = threading.Event()

    def work(name: str) -> str:
        nonlocal running, most
        running += 1
        most = max(most, running)
        gate.wait(10)
        running -= 1
        ended.append(name)
        return name

    calls = [asyncio.create_task(lane.run("many", work, f"many-{number}")) for number in range(3)]
    await settle()
    calls.append(asyncio.create_task(lane.run("few", work, "few")))
    await settle()
    gate.set()
    assert await asyncio.gather(*calls) == ["many-0", "many-1", "many-2", "few"]
    assert most == 1
    assert ended == ["many-0", "few", "many-1", "many-2"]


async def test_namespace_with_many_calls_is_busy_until_one_ends() -> None:
    lane, gate = Lane(), threading.Event()
    calls = [asyncio.create_task(lane.run("a", gate.wait, 10)) for _ in range(MAX_WAITING)]
    await settle()
    with pytest.raises(ApiError, match="Busy"):
        await lane.run("a", int)
    other = asyncio.create_task(lane.run("b", int))
    gate.set()
    assert await asyncio.gather(*calls) == [True] * MAX_WAITING and await other == 0
    assert await lane.run("a", int) == 0


async def test_failed_or_cancelled_call_leaves_the_lane_free() -> None:
    lane, gate = Lane(), threading.Event()
    with pytest.raises(ZeroDivisionError):
        await lane.run("a", lambda: 1 // 0)
    running = asyncio.create_task(lane.run("a", gate.wait, 10))
    waiting = asyncio.create_task(lane.run("a", int))
    await settle()
    waiting.cancel()
    gate.set()
    await running
    assert waiting.cancelled() or await asyncio.gather(waiting, return_exceptions=True)
    for _ in range(MAX_WAITING + 1):
        assert await lane.run("a", int) == 0


@pytest.mark.parametrize("large", [True, False])
async def test_only_large_input_waits_for_the_lane(large: bool) -> None:
    lane, gate = Lane(), threading.Event()
    running = asyncio.create_task(lane.run("a", gate.wait, 10))
    await settle()
    beside = asyncio.create_task(lane.thread(large, "a", int))
    done, _ = await asyncio.wait([beside], timeout=0.5)
    assert bool(done) != large
    gate.set()
    assert await asyncio.gather(running, beside) == [True, 0]
