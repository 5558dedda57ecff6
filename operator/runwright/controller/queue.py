"""A queue of keys with delays and back-off: between the watch streams and the reconciling workers.

Kopf (1.45.2) logs and drops the error of an event handler, so this queue retries.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Hashable
from contextlib import suppress
from typing import Generic, TypeVar

BASE_BACKOFF = 0.1
"""Back-off, in seconds, after a key's first failure; doubles with each further failure."""

MAX_BACKOFF = 60.0
"""Longest back-off, in seconds."""

K = TypeVar("K", bound=Hashable)


class WorkQueue(Generic[K]):
    """Each key is in the queue once, and with at most one worker at a time.

    A key that is added while a worker has it is handed out again when that worker is done. Low-priority keys, such as
    runs to archive, are handed out when no other key waits: a new run does not wait for a thousand finished ones.
    """

    def __init__(self) -> None:
        self._urgent: dict[K, float] = {}
        self._low: dict[K, float] = {}
        self._handout = asyncio.Semaphore(0)
        self._working: set[K] = set()
        self._again: set[K] = set()
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}
        self._closed = False
        self._idle = asyncio.Event()
        self.retries = 0
        """Number of retries so far."""

    @property
    def delayed(self) -> int:
        """Keys that will be handed out later."""
        return len(self._timers)

    @property
    def oldest(self) -> float:
        """Seconds that the oldest key has waited for a worker; 0.0 if none waits."""
        first = [next(iter(lane.values())) for lane in (self._urgent, self._low) if lane]
        return asyncio.get_running_loop().time() - min(first) if first else 0.0

    def __len__(self) -> int:
        """Keys that wait for a worker."""
        return len(self._urgent) + len(self._low) + len(self._again)

    def add(self, key: K, *, low_priority: bool = False) -> None:
        """Hand out the key to the next free worker; with `low_priority`, when no other key waits."""
        if self._closed:
            return
        if timer := self._timers.pop(key, None):
            timer.cancel()
        if key in self._working:
            self._again.add(key)
        elif low_priority and key not in self._low and key not in self._urgent:
            self._low[key] = asyncio.get_running_loop().time()
            self._handout.release()
        elif not low_priority and key not in self._urgent:
            since = self._low.pop(key, None)
            if since is None:
                self._handout.release()
            self._urgent[key] = asyncio.get_running_loop().time() if since is None else since

    def add_after(self, key: K, seconds: float) -> None:
        """Hand out the key after that time, or earlier if it is due or added before."""
        if self._closed:
            return
        loop = asyncio.get_running_loop()
        at = loop.time() + max(0.0, seconds)
        timer = self._timers.get(key)
        if timer is not None:
            if timer.when() <= at:
                return
            timer.cancel()
        self._timers[key] = loop.call_at(at, self.add, key)

    def retry(self, key: K) -> float:
        """Hand out the key after its back-off; returns it in seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        self.retries += 1
        seconds = min(MAX_BACKOFF, BASE_BACKOFF * 2 ** min(failures, 16)) * random.uniform(0.8, 1.0)
        self.add_after(key, seconds)
        return seconds

    def succeeded(self, key: K) -> None:
        """Reset the key's back-off."""
        self._failures.pop(key, None)

    async def get(self) -> K:
        """Wait for the next key; the caller must call `done` with it."""
        await self._handout.acquire()
        while not (lane := self._urgent or self._low):
            # The queue was closed after the key was added, and before this worker had its turn.
            await self._handout.acquire()
        key = next(iter(lane))
        del lane[key]
        self._working.add(key)
        return key

    def done(self, key: K) -> None:
        """The worker has finished with the key."""
        self._working.discard(key)
        if self._closed and not self._working:
            self._idle.set()
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    async def drain(self, seconds: float) -> bool:
        """Hand out no more keys and wait for the workers; returns False if they are not done in time."""
        self.close()
        self._idle.clear()
        if self._working:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._idle.wait()
        return not self._working

    def close(self) -> None:
        """Drop all waiting keys and accept no more: the operator's term ends."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        for lane in (self._timers, self._urgent, self._low, self._again):
            lane.clear()
        self._handout = asyncio.Semaphore(0)
