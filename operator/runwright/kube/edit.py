"""Edits of objects that others write too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from runwright.kube.errors import ApiError

ATTEMPTS = 10
"""How often an edit is decided again because others wrote the object after it was read."""

T = TypeVar("T")
R = TypeVar("R")


async def edit_until_accepted(
    read: Callable[[], Awaitable[T]], write: Callable[[T], Awaitable[R]], attempts: int = ATTEMPTS
) -> R:
    """Read an object and write an edit of it; both again while the API server answers Conflict.

    `write` decides from what `read` returned, and names its resourceVersion as a precondition. Returns what `write` returned.
    Raises the last ApiError after `attempts` conflicts, and any other at once.
    """
    for left in reversed(range(attempts)):
        found = await read()
        try:
            return await write(found)
        except ApiError as error:
            if error.reason != "Conflict" or not left:
                raise
    raise ValueError(f"attempts: expected at least 1, got {attempts}")
