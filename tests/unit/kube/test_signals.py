from __future__ import annotations

import asyncio
import os
import signal

import pytest

from runwright.kube.signals import pass_on, stop_on_signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_sets_the_event(number: signal.Signals) -> None:
    stop = asyncio.Event()
    stop_on_signals(stop)
    try:
        os.kill(os.getpid(), number)
        async with asyncio.timeout(5):
            await stop.wait()
    finally:
        for one in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().remove_signal_handler(one)


async def test_the_second_event_follows_the_first() -> None:
    first, second = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(pass_on(first, second))
    await asyncio.sleep(0)
    assert not second.is_set()
    first.set()
    await task
    assert second.is_set()
