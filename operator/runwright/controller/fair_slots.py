"""Slots that namespaces share: one that waits for something slow always leaves some to the others."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager


class FairSlots:
    """A number of slots. A namespace gets another one only while it holds fewer than are free.

    So one namespace holds at most half of all slots, and those that hold the fewest come first.
    """

    def __init__(self, count: int, most: Callable[[str], int]) -> None:
        """`most` is the number of slots that a namespace may hold at present, whatever is free."""
        self._free, self._most = count, most
        self._held: Counter[str] = Counter()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    def held(self, namespace: str) -> int:
        """Slots that the namespace holds."""
        return self._held[namespace]

    @asynccontextmanager
    async def hold(self, namespace: str) -> AsyncGenerator[None]:
        """Waits for a slot and holds it."""
        if namespace in self._waiting or not self._may_take(namespace):
            await self._wait(namespace)
        else:
            self._take(namespace)
        try:
            yield
        finally:
            self._give_back(namespace)

    async def _wait(self, namespace: str) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(namespace, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give_back(namespace)  # it was granted at the same moment
            elif namespace in self._waiting:
                self._waiting[namespace].remove(turn)
                self._drop_if_empty(namespace)
            raise

    def _may_take(self, namespace: str) -> bool:
        return self._held[namespace] < min(self._free, self._most(namespace))

    def _take(self, namespace: str) -> None:
        self._free -= 1
        self._held[namespace] += 1

    def _give_back(self, namespace: str) -> None:
        self._free += 1
        self._held[namespace] -= 1
        if not self._held[namespace]:
            del self._held[namespace]
        self.grant()

    def grant(self) -> None:
        """Gives free slots to those that wait; call it also after `most` has changed."""
        while self._free and self._waiting:
            # `min` returns the first of equals: the one that has waited for its turn the longest.
            able = [one for one in self._waiting if self._may_take(one)]
            if not able:
                return
            namespace = min(able, key=self._held.__getitem__)
            turns = self._waiting.pop(namespace)
            turn = turns.popleft()
            if turns:
                self._waiting[namespace] = turns  # behind the others
            if not turn.done():
                self._take(namespace)
                turn.set_result(None)

    def _drop_if_empty(self, namespace: str) -> None:
        if not self._waiting[namespace]:
            del self._waiting[namespace]
