"""Decodes and encodes messages: small ones at once, large ones in a thread, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar
from weakref import WeakKeyDictionary

LARGE = 256 * 1024
"""Bytes. Larger messages are converted in a thread, so that the event loop goes on."""

T = TypeVar("T")

turns = WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock]()
"""One large message is converted at a time: it may take many times its size in memory, and threads share one processor."""


async def convert(size: int, work: Callable[[], T]) -> T:
    """Call `work`, which converts a message of `size` bytes. Raises what it raises."""
    if size <= LARGE:
        return work()
    async with turns.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
        return await asyncio.to_thread(work)
