"""Writes to objects that others write too."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from runwright.kube.client import Client
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, key_of
from runwright.kube.resource import Resource

ATTEMPTS = 10
"""How often an edit is decided again because others wrote the object after it was read."""

PAUSE_SECONDS = 0.02
"""Longest pause after the first conflict, so that writers at the same time get out of step; it doubles with each conflict."""

MAX_PAUSE_SECONDS = 0.5

T = TypeVar("T")
R = TypeVar("R")


async def edit_until_accepted(
    read: Callable[[], Awaitable[T]], write: Callable[[T], Awaitable[R]], attempts: int = ATTEMPTS
) -> R:
    """Read an object and write an edit of it; both again while the API server answers Conflict.

    `write` decides from what `read` returned, and names its resourceVersion as a precondition. Returns what `write` returned.
    Raises the last ApiError after `attempts` conflicts, and any other at once.
    """
    for number in range(attempts):
        found = await read()
        try:
            return await write(found)
        except ApiError as error:
            if error.reason != "Conflict" or number == attempts - 1:
                raise
        await asyncio.sleep(random.uniform(0, min(PAUSE_SECONDS * 2**number, MAX_PAUSE_SECONDS)))
    raise ValueError(f"attempts: expected at least 1, got {attempts}")


async def get_or_create(client: Client, resource: Resource, body: Json) -> Json:
    """Get the object of the body's name; create it where it does not exist.

    Raises ApiError; Conflict where another process created it and it was deleted again.
    """
    key = key_of(body)
    if (found := await client.get(resource, key)) is not None:
        return found
    try:
        return await client.create(resource, body)
    except ApiError as error:
        if error.reason != "AlreadyExists":
            raise
    if (found := await client.get(resource, key)) is not None:
        return found
    raise ApiError(409, "Conflict", f"{resource} {key} was deleted while it was read; try again")
