"""Conversion of messages: large ones in a thread, one after the other."""

from __future__ import annotations

import asyncio
import threading

import pytest

from runwright.service.conversion import LARGE, convert


async def test_a_small_message_is_converted_at_once_and_a_large_one_in_a_thread():
    assert await convert(LARGE, threading.get_ident) == threading.get_ident()
    assert await convert(LARGE + 1, threading.get_ident) != threading.get_ident()


async def test_one_large_message_is_converted_at_a_time():
    running, most, lock = 0, 0, threading.Lock()
    pause = threading.Event()

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        pause.wait(0.005)
        with lock:
            running -= 1

    await asyncio.gather(*(convert(LARGE + 1, work) for _ in range(8)))
    assert most == 1


async def test_an_error_ends_the_turn():
    def fail() -> None:
        raise ValueError("no message")

    for _ in range(2):
        with pytest.raises(ValueError, match="no message"):
            await convert(LARGE + 1, fail)
    assert await convert(LARGE + 1, lambda: 7) == 7
