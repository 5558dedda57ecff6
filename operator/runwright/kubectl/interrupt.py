"""Ctrl-C: the first SIGINT ends a command, whatever it is doing."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine
from typing import Any

INTERRUPTED = 130
"""Exit code of an interrupted command: 128 and the number of SIGINT, as a shell reports it."""

CANCEL_SECONDS = 0.5
"""Pause between two cancellations. Code below a command can swallow one, as `asyncio.wait_for` does in Python 3.11."""

EXIT_SECONDS = 5.0
"""Time from the signal to the end of the process, for a command that no cancellation reaches, such as a blocked write."""


class Interruption:
    """A SIGINT that has come, or has not yet."""

    def __init__(self) -> None:
        self.received = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._event = asyncio.Event()

    def handle(self, number: int, frame: object) -> None:
        """Handle a signal: start the time limit and wake the loop."""
        if not self.received:
            self.received = True
            signal.signal(signal.SIGALRM, exit_at_once)
            signal.setitimer(signal.ITIMER_REAL, EXIT_SECONDS)
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._event.set)  # It also ends the loop's select.

    async def supervise(self, command: Coroutine[Any, Any, None]) -> None:
        """Run a command, and cancel it once a signal has come until it ends."""
        self._loop = asyncio.get_running_loop()
        if self.received:
            self._event.set()
        task, signalled = asyncio.create_task(command), asyncio.create_task(self._event.wait())
        await asyncio.wait((task, signalled), return_when=asyncio.FIRST_COMPLETED)
        while not task.done():
            task.cancel()
            await asyncio.wait((task,), timeout=CANCEL_SECONDS)
        signalled.cancel()
        if not self.received:
            await task
        elif not task.cancelled():
            task.exception()  # Read, or asyncio reports it when the process ends.


def exit_at_once(number: int, frame: object) -> None:
    """End the process without any clean-up."""
    os._exit(INTERRUPTED)


def run_interruptible(command: Coroutine[Any, Any, None]) -> None:
    """Run a command in a new event loop, from the main thread.

    Raises KeyboardInterrupt after a SIGINT, also where the command returns or fails after it. The handler replaces
    SIG_IGN too: a shell without job control starts background commands that way.
    """
    interruption = Interruption()
    before = signal.signal(signal.SIGINT, interruption.handle)
    try:
        asyncio.run(interruption.supervise(command))
    finally:
        signal.signal(signal.SIGINT, before)
        if interruption.received:
            signal.setitimer(signal.ITIMER_REAL, 0)
    if interruption.received:
        raise KeyboardInterrupt
