from __future__ import annotations

import asyncio
import os
import signal

import pytest

from runwright.kube.signals import pass_on, run_process, stop_on_signals


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


async def work(error: Exception | None = None) -> None:
    if error is not None:
        raise error


def test_a_process_ends_when_its_work_is_done() -> None:
    run_process(work())


def test_an_error_ends_the_process_with_one_line() -> None:
    with pytest.raises(SystemExit) as ended:
        run_process(work(OSError("address\nin use")))
    assert ended.value.code == "runwright: OSError: address in use"
