"""Watches that end at once are opened again with a back-off; all other requests go on at once. On virtual time."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from yarl import URL

from runwright.controller.watch_pace import SHORTEST_WATCH, WatchPace
from tests.unit.fake.virtual_time import run_virtually

WATCH = "http://x/apis/runwright.dev/v1alpha1/pipelineruns?watch=true"
LIST = "http://x/apis/runwright.dev/v1alpha1/pipelineruns?limit=500"


class Sender:
    """Sends requests through the pace, and keeps the times at which they were sent."""

    def __init__(self, status: int = 200) -> None:
        self.pace, self.status = WatchPace(), status
        self.sent: list[float] = []

    async def request(self, url: str) -> None:
        async def send(_: Any) -> Any:
            self.sent.append(asyncio.get_running_loop().time())
            return SimpleNamespace(status=self.status)

        await self.pace(cast(Any, SimpleNamespace(url=URL(url))), send)


@pytest.mark.parametrize(("url", "most"), [(WATCH, 400), (LIST, 200)])
def test_watches_and_lists_that_end_at_once_are_repeated_with_a_back_off(url: str, most: int) -> None:
    async def scene() -> list[float]:
        sender = Sender()
        while asyncio.get_running_loop().time() < 300:
            await sender.request(url)
        return sender.sent

    sent = run_virtually(scene())
    assert most / 2 <= len(sent) < most, "some at first, then one in a second, or in two"
    assert sent[1] - sent[0] <= 0.1, "the first one is quick"


def test_a_watch_that_lasts_is_opened_again_at_once() -> None:
    async def scene() -> None:
        sender = Sender()
        for _ in range(5):
            await sender.request(WATCH)
            await asyncio.sleep(SHORTEST_WATCH)
        assert sender.sent == [0, 1, 2, 3, 4]

    run_virtually(scene())


@pytest.mark.parametrize("url", [f"{LIST}&continue=abc", "http://x/apis/runwright.dev/v1alpha1"])
def test_pages_and_discovery_are_not_delayed(url: str) -> None:
    async def scene() -> None:
        sender = Sender()
        for _ in range(50):
            await sender.request(url)
        assert sender.sent == [0] * 50

    run_virtually(scene())


def test_refused_requests_are_not_delayed_since_kopf_has_a_back_off_for_them() -> None:
    async def scene() -> None:
        sender = Sender(503)
        for _ in range(50):
            await sender.request(WATCH)
        assert sender.sent == [0] * 50

    run_virtually(scene())


def test_watches_count_as_interrupted_until_one_lasts() -> None:
    async def scene() -> None:
        sender = Sender()
        for number in range(10):
            assert bool(sender.pace.interrupted) == (number > 3)
            await sender.request(WATCH)
            assert not number > 2 or sender.pace.interrupted == ["/apis/runwright.dev/v1alpha1/pipelineruns"]
        pausing = asyncio.create_task(sender.request(WATCH))
        await asyncio.sleep(0.5)
        assert sender.pace.interrupted
        await pausing
        await asyncio.sleep(SHORTEST_WATCH)
        assert sender.pace.interrupted == []

    run_virtually(scene())
