"""Tracks whether the initial lists of the watches have finished, and every listed object has arrived as an event.

Kopf (1.45.2) reports neither. It lists through our HTTP session (`kopf_stream`), which reports the pages.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import cast

from runwright.kube.objects import Json, as_text, metadata_of, uid_of

MAX_SECONDS = 300.0
"""The initial lists count as finished after this time, even if one fails again and again."""


class InitialLists:
    """Until they are expected, and after they have finished, nothing is tracked."""

    def __init__(self, finished: Callable[[], None]) -> None:
        """`finished` is called once, when all expected lists have finished."""
        self._call_finished = finished
        self._unfinished: set[str] = set()
        self._pending: dict[str, str] = {}
        self._timer: asyncio.TimerHandle | None = None

    @property
    def running(self) -> bool:
        """Whether objects are still to arrive."""
        return self._timer is not None

    def expect(self, paths: Iterable[str]) -> None:
        """Begin to track the lists with these URL paths."""
        self._unfinished = set(paths)
        self._timer = asyncio.get_running_loop().call_later(MAX_SECONDS, self._finish)
        self._check()

    def add_page(self, path: str, body: Json, first: bool) -> None:
        """Take in a page of a list. A first page begins the list again: what remained of a failed one is dropped."""
        if path not in self._unfinished:
            return
        if first:
            self._pending = {uid: listed for uid, listed in self._pending.items() if listed != path}
        for item in cast(list[Json], body.get("items") or []):
            self._pending[uid_of(item)] = path
        if not as_text(metadata_of(body).get("continue")):
            self._unfinished.discard(path)
        self._check()

    def remove(self, uid: str) -> None:
        """Take in that an event of this object has arrived, of any type: Kopf merges quick events of one object."""
        if self._timer is not None and self._pending.pop(uid, None) is not None:
            self._check()

    def close(self) -> None:
        """Track no longer, and do not call `finished`."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check(self) -> None:
        if self._timer is not None and not self._unfinished and not self._pending:
            self._finish()

    def _finish(self) -> None:
        self.close()
        self._unfinished.clear()
        self._pending.clear()
        self._call_finished()
