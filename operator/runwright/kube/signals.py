"""Signals that end a process, as events."""

from __future__ import annotations

import asyncio
import signal


def stop_on_signals(stop: asyncio.Event) -> None:
    """Let SIGTERM and SIGINT set the event."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)


async def pass_on(first: asyncio.Event, second: asyncio.Event) -> None:
    """Set the second event as soon as the first one is."""
    await first.wait()
    second.set()
