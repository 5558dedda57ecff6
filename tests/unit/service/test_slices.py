"""Slices of time: when one is due, and what they count."""

from __future__ import annotations

import asyncio

import pytest

from runwright.service import slices
from runwright.service.slices import Slices


async def test_a_slice_is_due_after_its_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(slices, "SLICE_SECONDS", 60.0)
    assert not Slices().due
    monkeypatch.setattr(slices, "SLICE_SECONDS", 0.0)
    assert Slices().due


async def test_a_pause_lets_other_tasks_run_and_counts_the_time_of_the_slice():
    seen = list[int]()

    async def other() -> None:
        seen.append(1)

    found = Slices()
    sum(range(100_000))
    beside = asyncio.create_task(other())
    await found.pause()
    assert seen == [1] and found.seconds > 0
    await beside
