"""Runs long functions in a thread: one at a time, each namespace in turn.

A thread that runs Python holds the interpreter's lock for up to 5 ms at a time. Several of them would leave the event loop a small
part of it, and several large Workflows at once would take the memory of several.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from runwright.kube.errors import ApiError

MAX_WAITING = 3
"""Calls of one namespace that run or wait: each holds a worker, and the workers are for all namespaces."""

P = ParamSpec("P")
T = TypeVar("T")


class Lane:
    """The one thread for long functions."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._turns: dict[str, asyncio.Lock] = {}
        self._waiting: dict[str, int] = {}

    async def thread(
        self, large: bool, namespace: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call the function in a thread: in the lane if its input is large, otherwise beside it."""
        if large:
            return await self.run(namespace, function, *args, **kwargs)
        return await asyncio.to_thread(function, *args, **kwargs)

    async def run(self, namespace: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the function in a thread. Raises ApiError (Busy) while MAX_WAITING calls of the namespace run or wait."""
        waiting = self._waiting.get(namespace, 0)
        if waiting >= MAX_WAITING:
            # 409, as for a conflict: the worker retries with back-off, without a warning.
            raise ApiError(409, "Busy", f"{waiting} large Workflows of namespace {namespace} are being processed")
        self._waiting[namespace] = waiting + 1
        own = self._turns.setdefault(namespace, asyncio.Lock())
        try:
            # A namespace waits for the common lock once, and that lock is handed out in the order of the requests.
            async with own, self._turn:
                return await asyncio.to_thread(function, *args, **kwargs)
        finally:
            left = self._waiting.pop(namespace) - 1
            if left:
                self._waiting[namespace] = left
            else:
                del self._turns[namespace]
