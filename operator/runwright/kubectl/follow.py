"""An object, or several, as they are now and as they change: a list, then a watch that goes on over its ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from runwright.adapters.watching import Watching
from runwright.core.observe import key_of, mapping, text
from runwright.core.records import Key
from runwright.ports import ApiError, Json

SYNCED = "SYNCED"
"""Follows what is there when following begins."""

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
            there: dict[Key, Json] = {}
            since = ""
            async for items, since in watched.pages():
                there |= {key_of(item): item for item in items}
            for key, item in known.items():
                if key not in there:
                    yield "DELETED", item
            for key, item in there.items():
                if key not in known or version_of(item) != version_of(known[key]):
                    yield ("MODIFIED" if key in known else "ADDED"), item
            known = there
            yield SYNCED, {}
            while True:
                async with aclosing(watched.events(since)) as events:
                    async for kind, body in events:
                        missed = 0
                        since = version_of(body) or since
                        if kind not in ("ADDED", "MODIFIED", "DELETED"):
                            continue
                        if kind == "DELETED":
                            known.pop(key_of(body), None)
                        else:
                            known[key_of(body)] = body
                        yield kind, body
        except ApiError as error:
            missed += 1
            if error.code not in (0, 410, 429, 500, 503, 504) or missed >= ATTEMPTS:
                raise
            await asyncio.sleep(min(2.0**missed / 2, 10) if error.code != 410 else 0)


def version_of(item: Json) -> str:
    """The object's resourceVersion."""
    return text(mapping(item.get("metadata")).get("resourceVersion"))
