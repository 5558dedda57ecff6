from __future__ import annotations

import asyncio
import itertools
import logging

import pytest

from runwright.controller.queue import WorkQueue
from runwright.controller.workers import RECONCILE_SECONDS, start_workers
from runwright.kube.errors import ApiError
from runwright.kube.objects import Key
from runwright.kube.supervise import Supervisor
from runwright.log import current_run
from tests.unit.fake.virtual_time import run_virtually

A, B = Key("team", "a"), Key("team", "b")


class Recorder:
    """What the workers were given, when; answers as scripted."""

    def __init__(self, *answers: float | Exception | None) -> None:
        self.answers = list(answers)
        self.calls: list[tuple[float, Key]] = []
        self.contexts: list[Key | None] = []

    async def reconcile(self, key: Key) -> float | None:
        self.calls.append((asyncio.get_running_loop().time(), key))
        self.contexts.append(current_run.get())
        await asyncio.sleep(1)
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer


def worked(recorder: Recorder, *keys: Key, workers: int = 2, seconds: float = 1000) -> list[float]:
    """Work on the keys for some seconds. Returns the start time of each call."""

    async def main() -> None:
        queue = WorkQueue[Key]()
        for key in keys:
            queue.add(key)
        async with Supervisor().group() as loops:
            start_workers(loops, queue, recorder.reconcile, workers)
            await asyncio.sleep(seconds)

    run_virtually(main())
    return [at for at, _ in recorder.calls]


def test_key_without_a_delay_is_reconciled_once() -> None:
    assert worked(Recorder(None), A) == [0]


def test_key_is_reconciled_again_after_the_returned_delay() -> None:
    assert worked(Recorder(30.0, 5.0, None), A) == [0, 31, 37]


def test_api_error_is_retried_with_back_off() -> None:
    starts = worked(Recorder(*[ApiError(500, "InternalError", "no")] * 3, None), A)
    assert len(starts) == 4
    waits = [after - before - 1 for before, after in itertools.pairwise(starts)]
    assert waits[0] < waits[1] < waits[2]


def test_unexpected_error_is_logged_and_retried(caplog: pytest.LogCaptureFixture) -> None:
    assert len(worked(Recorder(KeyError("surprise"), None), A)) == 2
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info is not None and "surprise" in str(record.exc_info[1])


@pytest.mark.parametrize(("code", "level"), [(409, logging.DEBUG), (500, logging.WARNING), (0, logging.WARNING)])
def test_conflict_is_logged_at_debug_level(code: int, level: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    worked(Recorder(ApiError(code, "Why", "because"), None), A)
    assert [record.levelno for record in caplog.records if "because" in record.getMessage()] == [level]


def test_cancelled_request_is_retried_and_ends_no_worker() -> None:
    """When Kopf ends, it cancels all tasks it does not know, also those of requests."""

    async def cut_off() -> None:
        request = asyncio.create_task(asyncio.sleep(1))
        asyncio.get_running_loop().call_later(0.5, request.cancel)
        await request

    starts = list[float]()

    async def main() -> None:
        async def reconcile(_: Key) -> None:
            starts.append(asyncio.get_running_loop().time())
            if len(starts) < 3:
                await cut_off()

        queue = WorkQueue[Key]()
        queue.add(A)
        async with Supervisor().group() as loops:
            start_workers(loops, queue, reconcile, 1)
            await asyncio.sleep(100)
            assert len(starts) == 3
            queue.add(B)
            await asyncio.sleep(1)
            assert len(starts) == 4

    run_virtually(main())


def test_success_resets_the_back_off() -> None:
    error = ApiError(500, "InternalError", "no")
    starts = worked(Recorder(error, error, error, error, 10.0, error, None), A)
    assert starts[6] - starts[5] - 1 <= 0.1


def test_runs_are_reconciled_concurrently() -> None:
    assert worked(Recorder(), A, B, workers=2) == [0, 0]
    assert worked(Recorder(), A, B, workers=1) == [0, 1]


def test_current_run_is_set_during_a_reconcile() -> None:
    recorder = Recorder()
    worked(recorder, A, B)
    assert set(recorder.contexts) == {A, B}
    assert current_run.get() is None


def test_error_with_a_wait_is_retried_after_it_without_back_off() -> None:
    async def main() -> list[float]:
        queue, at = WorkQueue[Key](), list[float]()
        done = asyncio.Event()

        async def reconcile(key: Key) -> float | None:
            at.append(asyncio.get_running_loop().time())
            if len(at) < 5:
                raise ApiError(409, "Conflict", "pods are still being deleted", wait=1.0)
            done.set()
            return None

        async with Supervisor().group() as loops:
            start_workers(loops, queue, reconcile, 1)
            queue.add(A)
            await done.wait()
        return at

    at = run_virtually(main())
    assert [round(moment - at[0]) for moment in at] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "error", [ValueError("no JSON"), RecursionError(), MemoryError(), StopIteration(), KeyError("x")]
)
def test_any_error_of_a_reconcile_is_retried_and_ends_no_worker(error: Exception) -> None:
    assert len(worked(Recorder(error, error, None), A, workers=1)) == 3


def test_reconcile_without_an_end_is_cut_off_and_retried_and_the_worker_goes_on() -> None:
    starts: list[tuple[Key, float]] = []

    async def main() -> None:
        async def reconcile(key: Key) -> float | None:
            starts.append((key, asyncio.get_running_loop().time()))
            if key == A and len(starts) == 1:
                await asyncio.Event().wait()
            return None

        queue = WorkQueue[Key]()
        async with Supervisor().group() as loops:
            start_workers(loops, queue, reconcile, 1)
            for key in (A, B):
                queue.add(key)
            await asyncio.sleep(RECONCILE_SECONDS + 10)

    run_virtually(main())
    assert [key for key, _ in starts] == [A, B, A] and starts[1][1] == RECONCILE_SECONDS
