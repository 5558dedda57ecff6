"""One call for all that wait for it."""

from __future__ import annotations

import asyncio

import pytest

from runwright.service.single_flight import SingleFlight


class Work:
    """Counts its calls; each waits until `go` is set."""

    def __init__(self, error: Exception | None = None) -> None:
        self.calls, self.go, self.error = 0, asyncio.Event(), error

    async def __call__(self) -> int:
        self.calls += 1
        await self.go.wait()
        if self.error:
            raise self.error
        return self.calls


async def test_calls_of_one_key_at_the_same_time_are_one_call():
    flight, work = SingleFlight[int](), Work()
    callers = [asyncio.create_task(flight.call("a", work)) for _ in range(5)]
    other = asyncio.create_task(flight.call("b", work))
    await asyncio.sleep(0.01)
    assert work.calls == len(flight) == 2
    work.go.set()
    assert len({await caller for caller in callers}) == 1
    await other
    assert len(flight) == 0


async def test_a_call_after_the_end_is_a_new_call():
    flight, work = SingleFlight[int](), Work()
    work.go.set()
    assert [await flight.call("a", work) for _ in range(2)] == [1, 2]


async def test_an_error_is_raised_to_every_caller_and_not_kept():
    flight, work = SingleFlight[int](), Work(OSError("away"))
    work.go.set()
    results = await asyncio.gather(*(flight.call("a", work) for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [OSError] * 3 and work.calls == 1
    with pytest.raises(OSError, match="away"):
        await flight.call("a", work)
    assert work.calls == 2


async def test_a_cancelled_caller_leaves_the_call_to_the_others():
    flight, work = SingleFlight[int](), Work()
    first, second = (asyncio.create_task(flight.call("a", work)) for _ in range(2))
    await asyncio.sleep(0.01)
    first.cancel()
    work.go.set()
    assert await second == 1
    with pytest.raises(asyncio.CancelledError):
        await first
