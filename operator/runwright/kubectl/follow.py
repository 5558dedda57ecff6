"""An object, or several, as they are now and as they change: a list, then a watch that goes on over its ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from runwright.adapters.watching import Watching
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, Key, key_of, version_of

SYNCED = "SYNCED"
"""Follows what is there when following begins."""

CHANGES = ("ADDED", "MODIFIED", "DELETED")

PASSING = (0, 410, 429, 500, 503, 504)
"""Replies after which it is worth another try; 0 is none at all."""

ATTEMPTS = 6
"""How often in a row the API server may be away: with what is waited between, half a minute."""


async def follow(watched: Watching) -> AsyncGenerator[tuple[str, Json]]:
    """ADDED, MODIFIED and DELETED with the object; SYNCED, with nothing, after each list. Never ends by itself.

    Raises ApiError where the API server refuses, or stays away.
    """
    known: dict[Key, Json] = {}
    missed = 0
    while True:
        try:
            there, since = await listed(watched)
            for change in differences(known, there):
                yield change
            known = there
            yield SYNCED, {}
            while True:
                async with aclosing(watched.events(since)) as events:
                    async for kind, body in events:
                        missed, since = 0, version_of(body) or since
                        if kind in CHANGES:
                            remember(known, kind, body)
                            yield kind, body
        except ApiError as error:
            missed += 1
            if error.code not in PASSING or missed >= ATTEMPTS:
                raise
            await asyncio.sleep(min(2.0**missed / 2, 10) if error.code != 410 else 0)


async def listed(watched: Watching) -> tuple[dict[Key, Json], str]:
    """All objects, and the version at which they are."""
    there: dict[Key, Json] = {}
    version = ""
    async for items, at in watched.pages():
        there |= {key_of(item): item for item in items}
        version = at
    return there, version


def differences(before: dict[Key, Json], there: dict[Key, Json]) -> list[tuple[str, Json]]:
    """The changes that lead from what was known to what is there."""
    found = [("DELETED", item) for key, item in before.items() if key not in there]
    for key, item in there.items():
        if key not in before:
            found.append(("ADDED", item))
        elif version_of(item) != version_of(before[key]):
            found.append(("MODIFIED", item))
    return found


def remember(known: dict[Key, Json], kind: str, body: Json) -> None:
    """Bring what is known up to date."""
    if kind == "DELETED":
        known.pop(key_of(body), None)
    else:
        known[key_of(body)] = body


async def stop(*tasks: asyncio.Task[Any]) -> None:
    """End tasks, and wait until they have: what they had open is closed while the connection still is there."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
