"""An event loop with a clock that jumps: waits of minutes take microseconds, in the same order every time."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from typing_extensions import override

T = TypeVar("T")


class _JumpingSelector(selectors.SelectSelector):
    """A selector that moves the clock instead of waiting; nothing outside the process can wake the loop."""

    clock = 0.0

    @override
    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("every task waits for another one, and no timer is set")
        self.clock += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time, which starts at 0 seconds."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        self.endings: list[Callable[[], object]] = []
        """Called at the end of `run_virtually`: supervised loops survive the cancellation of their tasks."""

    @override
    def time(self) -> float:
        return self._jumping.clock

    @override
    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        """Call the function at once: a thread's end would not be deterministic."""
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return done


def at_end(ending: Callable[[], object]) -> None:
    """Call the function when the present virtual loop ends."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    loop.endings.append(ending)


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` on a new virtual loop and return its result. Tasks that still run are cancelled."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(main)
    finally:
        for ending in loop.endings:
            ending()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
