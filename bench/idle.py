"""Waits until a process is idle."""

from __future__ import annotations

import asyncio

from bench.cluster import TIMEOUT
from tests.e2e.process_usage import read_process

IDLE_SECONDS = 2.0
IDLE_SHARE = 0.05
"""A process is idle if it uses at most this share of a core for IDLE_SECONDS."""


async def wait_until_idle(pid: int) -> None:
    """Return once the process is idle. Raises TimeoutError after TIMEOUT seconds."""
    async with asyncio.timeout(TIMEOUT):
        while True:
            before = read_process(pid).cpu
            await asyncio.sleep(IDLE_SECONDS)
            if read_process(pid).cpu - before <= IDLE_SHARE * IDLE_SECONDS:
                return
