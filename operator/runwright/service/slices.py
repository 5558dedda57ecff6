"""Computes in slices of time, between which the event loop serves other tasks."""

from __future__ import annotations

import asyncio
import time

SLICE_SECONDS = 0.005
"""How long a task may compute before others get a turn."""


class Slices:
    """The slices of one computation, in an async function that looks at `due` often and then calls `pause`."""

    def __init__(self) -> None:
        self._until = time.perf_counter() + SLICE_SECONDS
        self._began = time.thread_time()
        self.seconds = 0.0
        """CPU time of the slices that have ended."""

    @property
    def due(self) -> bool:
        """Whether the slice has lasted for SLICE_SECONDS."""
        return time.perf_counter() >= self._until

    async def pause(self) -> None:
        """End the slice: other tasks run first."""
        self.seconds += time.thread_time() - self._began
        await asyncio.sleep(0)
        self._began = time.thread_time()
        self._until = time.perf_counter() + SLICE_SECONDS
