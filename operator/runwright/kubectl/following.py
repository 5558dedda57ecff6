"""Follow one run by a watch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from runwright.api.resources import PIPELINE_RUNS
from runwright.kube.informer import ADDED, DELETED, MODIFIED, SYNCED, Informer
from runwright.kube.objects import Json, Key
from runwright.kube.resource import Selection
from runwright.kubectl.session import Session, no_run

ATTEMPTS = 6
"""How many requests in a row may fail before a command gives up: about ten seconds, or more where requests time out."""


async def follow_run(here: Session, key: Key) -> AsyncGenerator[Json]:
    """Yield the run as it is now, and again at each change. Never ends by itself.

    Raises ApiError: NotFound where the run does not exist or is deleted, and where the API server refuses or stays away.
    """
    informer = Informer(here.client, PIPELINE_RUNS, Selection.of(key), attempts=ATTEMPTS)
    exists = False
    async with aclosing(informer.events()) as events:
        async for event in events:
            if event.type == DELETED or (event.type == SYNCED and not exists):
                raise no_run(key)
            if event.type in (ADDED, MODIFIED):
                exists = True
                yield event.body


async def cancel_tasks(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait for their end, so that their requests are closed before the connection."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
