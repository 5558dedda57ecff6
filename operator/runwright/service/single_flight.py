"""Shares one call among all tasks that make it at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Calls by key, at most one of each key at a time."""

    def __init__(self) -> None:
        self._running: dict[Hashable, asyncio.Task[T]] = {}

    def __len__(self) -> int:
        """Number of calls that are running."""
        return len(self._running)

    async def call(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        """Return the result of `work`, or of the call of this key that is running already.

        Raises what the call raises. A caller that is cancelled does not cancel the call: others may wait for it.
        """
        task = self._running.get(key)
        if task is None:
            task = asyncio.create_task(_await(work))
            self._running[key] = task
            task.add_done_callback(lambda done: self._end(key, done))
        return await asyncio.shield(task)

    def _end(self, key: Hashable, task: asyncio.Task[T]) -> None:
        self._running.pop(key, None)
        if not task.cancelled():
            # Marks the exception as retrieved: every caller may have been cancelled.
            task.exception()


async def _await(work: Callable[[], Awaitable[T]]) -> T:
    return await work()
