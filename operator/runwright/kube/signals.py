"""How a long-lived process ends: by signals, as events, and by errors."""

from __future__ import annotations

import asyncio
import math
import signal
import sys
from collections.abc import Coroutine
from typing import Any

from runwright.kube.errors import error_line


def stop_on_signals(stop: asyncio.Event) -> None:
    """Let SIGTERM and SIGINT set the event."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)


async def pass_on(first: asyncio.Event, second: asyncio.Event) -> float:
    """Set the second event as soon as the first one is: the step of a loop, with nothing to do after that."""
    await first.wait()
    second.set()
    return math.inf


def run_process(work: Coroutine[Any, Any, None]) -> None:
    """Run the work of a process in a new event loop. An exception ends the process with exit code 1 and one line."""
    try:
        asyncio.run(work)
    except Exception as error:
        sys.exit(f"runwright: {error_line(error)}")
