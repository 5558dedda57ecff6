"""A loop survives every error or ends the process, with a back-off, and the probes and metrics report it. On virtual time."""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from runwright.kube.errors import ApiError
from runwright.kube.supervise import (
    DOWN_AFTER,
    QUIET_SECONDS,
    STUCK_SECONDS,
    Backoff,
    LoopError,
    Supervisor,
    TransientError,
)
from tests.unit.fake.virtual_time import run_virtually

ERRORS = [
    ApiError(0, "Undecodable", "no JSON"),
    ValueError("no JSON"),
    KeyError("items"),
    TypeError("'NoneType' object is not subscriptable"),
    AttributeError("'list' object has no attribute 'get'"),
    RecursionError("maximum recursion depth exceeded"),
    MemoryError(),
    StopIteration(),
    StopAsyncIteration(),
    AssertionError(),
    TimeoutError(),
    OSError(24, "Too many open files"),
    asyncio.CancelledError(),
    BaseExceptionGroup("errors", [KeyError("a")]),
]


class Script:
    """A step: each pass takes `lasts` seconds, then raises the next error of the script, or returns a pause of 10 seconds."""

    def __init__(self, *script: BaseException | float | None, lasts: float = 0.0) -> None:
        self.script, self.lasts = list(script), lasts
        self.at: list[float] = []

    async def __call__(self) -> float | None:
        self.at.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.lasts)
        answer = self.script.pop(0) if self.script else 10.0
        if isinstance(answer, BaseException):
            raise answer
        return answer

    @property
    def pauses(self) -> list[float]:
        return [after - before - self.lasts for before, after in itertools.pairwise(self.at)]


def virtually(test: Callable[[Supervisor], Awaitable[None]]) -> None:
    async def main() -> None:
        await test(Supervisor())

    run_virtually(main())


def metric(supervisor: Supervisor, name: str, loop: str = "it") -> float | None:
    registry = CollectorRegistry()
    registry.register(supervisor)
    return registry.get_sample_value(name, {"loop": loop})


# ------------------------------------------------------------------------------------------------------------- survival
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_loop_goes_on_after_any_error(error: BaseException) -> None:
    async def test(supervisor: Supervisor) -> None:
        step = Script(error, error)
        async with supervisor.group() as loops:
            loops.start("it", step)
            await asyncio.sleep(60)
        assert len(step.at) >= 7 and step.pauses[0] >= 0.8 and step.pauses[1] >= 1.6
        assert metric(supervisor, "runwright_loop_restarts_total") == 2

    virtually(test)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_the_loop_of_the_current_task_goes_on_after_any_error(error: BaseException) -> None:
    async def test(supervisor: Supervisor) -> None:
        assert await supervisor.until_done("it", Script(error, 5.0, None))
        assert 5.8 <= asyncio.get_running_loop().time() <= 6.1

    virtually(test)


def test_a_loop_survives_the_cancellation_of_its_task_in_a_pass_and_in_a_pause() -> None:
    async def test(supervisor: Supervisor) -> None:
        step = Script(lasts=4.0)
        async with supervisor.group() as loops:
            loops.start("it", step)
            (task,) = loops._tasks
            for pause in (2, 8, 30):
                await asyncio.sleep(pause)
                task.cancel()
            await asyncio.sleep(20)
            before = len(step.at)
            await asyncio.sleep(20)
            assert not task.done() and len(step.at) > before
        assert task.done()

    virtually(test)


def test_a_cancelled_task_ends_the_loop_that_it_runs_itself() -> None:
    async def test(supervisor: Supervisor) -> None:
        task = asyncio.create_task(supervisor.until_done("it", Script(lasts=5)))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert supervisor.down == {} and metric(supervisor, "runwright_loop_up") is None

    virtually(test)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)])
async def test_errors_that_end_the_event_loop_are_raised(error: BaseException) -> None:
    with pytest.raises(type(error)):
        await Supervisor().until_done("it", Script(error))


def test_a_loop_that_ends_by_itself_is_restarted() -> None:
    async def test(supervisor: Supervisor) -> None:
        step = Script(None, None)
        async with supervisor.group() as loops:
            loops.start("it", step)
            await asyncio.sleep(4)
        assert len(step.at) == 3

    virtually(test)


# ----------------------------------------------------------------------------------------------------- pauses, back-off
@settings(max_examples=30)
@given(st.lists(st.sampled_from(["good", "bad"]), max_size=40), st.floats(0.1, 5), st.floats(5, 60))
def test_pauses_after_failures_grow_within_bounds_and_start_again_after_a_success(
    passes: list[str], first: float, longest: float
) -> None:
    async def test(supervisor: Supervisor) -> None:
        step = Script(*(KeyError("x") if one == "bad" else 7.0 for one in passes))
        async with supervisor.group() as loops:
            loops.start("it", step, backoff=Backoff(first, longest))
            await asyncio.sleep(len(passes) * 60 + 100)
        failures = 0
        for what, pause in zip(passes, step.pauses, strict=False):
            failures = failures + 1 if what == "bad" else 0
            full = min(longest, first * 2 ** (failures - 1)) if failures else 7.0
            assert (0.8 * full - 1e-6 <= pause <= full + 1e-6) if failures else pause == pytest.approx(7.0)
        assert len(step.at) > len(passes)

    virtually(test)


def test_a_long_pass_without_a_limit_clears_the_failures_before_it() -> None:
    async def test(supervisor: Supervisor) -> None:
        step = Script(*[KeyError("x")] * 8, lasts=QUIET_SECONDS + 1)
        async with supervisor.group() as loops:
            loops.start("it", step)
            await asyncio.sleep(200)
            assert supervisor.ready
        assert max(step.pauses) <= 1.0

    virtually(test)


def test_wake_ends_a_pause_but_no_back_off() -> None:
    async def test(supervisor: Supervisor) -> None:
        wake, step = asyncio.Event(), Script(100.0, KeyError("x"))
        async with supervisor.group() as loops:
            loops.start("it", step, wake=wake, backoff=Backoff(50, 50))
            await asyncio.sleep(5)
            wake.set()
            await asyncio.sleep(1)
            assert step.at == [0, 5]
            await asyncio.sleep(50)
            assert len(step.at) > 2 and step.at[2] >= 45

    virtually(test)


def test_stop_ends_a_pause_and_a_back_off_of_the_current_task() -> None:
    async def test(supervisor: Supervisor) -> None:
        for step in (Script(math.inf), Script(KeyError("x"))):
            stop = asyncio.Event()
            asyncio.get_running_loop().call_later(3, stop.set)
            backoff = Backoff(100, 100)
            assert not await supervisor.until_done("it", step, stop=stop, backoff=backoff)
            assert len(step.at) == 1
        assert asyncio.get_running_loop().time() == 6

    virtually(test)


def test_a_pass_without_an_end_is_cut_off_at_its_limit() -> None:
    async def test(supervisor: Supervisor) -> None:
        step = Script(lasts=1000)
        async with supervisor.group() as loops:
            loops.start("it", step, limit=20)
            await asyncio.sleep(80)
            assert supervisor.down == {"it": "no end after 20 s"} and not supervisor.ready and supervisor.alive
        assert len(step.at) == 4

    virtually(test)


def test_leaving_a_group_ends_its_loops_and_names_one_that_does_not_end(caplog: pytest.LogCaptureFixture) -> None:
    released = asyncio.Event()

    async def stubborn() -> float:
        while not released.is_set():
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                continue
        return 0.0

    async def test(supervisor: Supervisor) -> None:
        async with supervisor.group() as loops:
            loops.start("stubborn", stubborn, limit=5)
            loops.start("good", Script())
            await asyncio.sleep(5 + STUCK_SECONDS - 1)
            assert supervisor.alive and not supervisor.ready
            await asyncio.sleep(1)
            assert not supervisor.alive, "only a restart can help"
        assert [task.get_name() for task in loops._tasks if not task.done()] == ["stubborn"]
        released.set()
        await asyncio.sleep(101)
        assert all(task.done() for task in loops._tasks)

    with caplog.at_level(logging.ERROR):
        virtually(test)
    assert "loop stubborn did not end within 10 s of its cancellation" in caplog.messages


# ---------------------------------------------------------------------------------------------- probes, log, metrics, end
def test_a_loop_is_down_after_some_failures_until_a_pass_succeeds() -> None:
    async def test(supervisor: Supervisor) -> None:
        step = Script(*[ValueError("no JSON")] * DOWN_AFTER)
        async with supervisor.group() as loops:
            loops.start("it", step, backoff=Backoff(10, 10))
            await asyncio.sleep(8 * (DOWN_AFTER - 1) - 1)
            assert supervisor.down == {} and supervisor.ready
            await asyncio.sleep(6)
            assert supervisor.down == {"it": "ValueError: no JSON"} and not supervisor.ready
            assert metric(supervisor, "runwright_loop_up") == 0
            await asyncio.sleep(20)
            assert supervisor.down == {} and supervisor.ready and metric(supervisor, "runwright_loop_up") == 1

    virtually(test)


def test_an_error_is_logged_once_until_it_changes(caplog: pytest.LogCaptureFixture) -> None:
    async def test(supervisor: Supervisor) -> None:
        step = Script(*[KeyError("a")] * 3, *[ApiError(503, "ServiceUnavailable", "away\nfor now")] * 3)
        async with supervisor.group() as loops:
            loops.start("it", step)
            await asyncio.sleep(200)

    with caplog.at_level(logging.INFO):
        virtually(test)
    found = [
        (record.levelname, record.getMessage().partition(";")[0], bool(record.exc_info)) for record in caplog.records
    ]
    assert found == [
        ("ERROR", "loop it failed: KeyError: 'a'", True),
        ("WARNING", "loop it failed: 503 ServiceUnavailable: away for now", False),
        ("INFO", "loop it works again", False),
    ]


def test_an_error_in_the_log_has_a_bounded_length(caplog: pytest.LogCaptureFixture) -> None:
    async def test(supervisor: Supervisor) -> None:
        await supervisor.until_done("it", Script(TransientError("x" * 10**6), None))

    virtually(test)
    assert len(caplog.messages[0]) < 1000


def test_the_process_ends_after_unexpected_errors_in_a_row_but_not_after_transient_ones() -> None:
    async def test(_: Supervisor) -> None:
        for error, ends in ((KeyError("x"), True), (ApiError(503, "ServiceUnavailable", "away"), False)):
            end = asyncio.Event()
            supervisor = Supervisor(end)
            async with supervisor.group() as loops:
                loops.start("it", Script(*[error] * 50), ends_after=5)
                await asyncio.sleep(1000)
            assert (end.is_set(), supervisor.alive) == (ends, not ends)
            if ends:
                with pytest.raises(LoopError, match="loop it failed 5 times in a row, last with KeyError: 'x'"):
                    supervisor.check()
            else:
                supervisor.check()

    virtually(test)


@settings(max_examples=30)
@given(st.lists(st.sampled_from([*ERRORS, 0.0, 1.0, 30.0, None]), max_size=20), st.floats(0, 40), st.booleans())
def test_whatever_a_step_does_the_loop_is_running_and_the_probes_are_true(
    script: list[BaseException | float | None], lasts: float, limited: bool
) -> None:
    async def test(supervisor: Supervisor) -> None:
        step = Script(*script, lasts=lasts)
        async with supervisor.group() as loops:
            loops.start("it", step, limit=50 if limited else None)
            await asyncio.sleep(len(script) * 75 + 150)
            assert not step.script and len(step.at) > len(script), "each pass had its turn, and more follow"
            assert supervisor.ready and supervisor.alive, "the last passes were good"
        assert all(task.done() for task in loops._tasks)

    virtually(test)
