"""The operator's process: its start, and how it competes for the Lease."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from typing_extensions import override

from runwright.controller import process
from runwright.controller.process import Operator, first_answer, unless
from runwright.kube.errors import ApiError
from runwright.kube.supervise import LoopError, LoopGroup, Supervisor
from tests.unit.fake.apiserver import ApiServer
from tests.unit.fake.client import FakeClient
from tests.unit.fake.virtual_time import run_virtually

AWAY = ApiError(0, "Unreachable", "no reply")


def client_with(*errors: ApiError) -> FakeClient:
    client = FakeClient(ApiServer(lambda: datetime(2026, 11, 24, 12, tzinfo=UTC)))
    client.fail("get discovery", *errors)
    return client


def answer(client: FakeClient) -> None:
    run_virtually(first_answer(cast(Any, client), "https://x"))


def test_start_waits_for_the_api_server():
    client = client_with(AWAY, AWAY)
    answer(client)
    assert client.calls.count("get discovery") == 4, "two failures, then one call for each watched kind"


def test_start_fails_without_an_api_server():
    with pytest.raises(ApiError, match="no reply"):
        answer(client_with(*[AWAY] * 100))


def test_start_fails_at_once_with_wrong_credentials():
    client = client_with(ApiError(401, "Unauthorized", "who are you"), AWAY)
    with pytest.raises(ApiError, match="401"):
        answer(client)
    assert client.calls == ["get discovery"]


async def test_unless_returns_whether_the_work_was_done():
    stop = asyncio.Event()
    assert await unless(stop, asyncio.sleep(0))
    asyncio.get_running_loop().call_later(0.01, stop.set)
    assert not await unless(stop, asyncio.sleep(60))


class Term:
    """Stands in for a term that ends with its event."""

    watching, waiting = True, 3

    def __init__(self, log: list[str]) -> None:
        self.log = log

    async def run(self, end: asyncio.Event, signalled: asyncio.Event) -> None:
        self.log.append("run")
        await end.wait()

    def close(self) -> None:
        self.log.append("close")


class Election:
    """Wins at once; the Lease is lost after some seconds."""

    def __init__(self, log: list[str], lost_after: float) -> None:
        self.log, self.lost_after = log, lost_after

    async def win(self) -> None:
        self.log.append("win")

    def hold(self, loops: LoopGroup, lost: asyncio.Event) -> None:
        async def step() -> float:
            self.log.append("lost")
            lost.set()
            return math.inf

        loops.start("lease", step, after=self.lost_after)

    async def release(self) -> None:
        self.log.append("release")


@pytest.mark.parametrize(
    ("lost_after", "expected"),
    [
        (1000.0, ["win", "run", "close", "release"]),
        (60.0, ["win", "run", "lost", "close", "win", "run", "close", "release"]),
    ],
)
def test_lost_lease_ends_the_term_and_starts_another(lost_after: float, expected: list[str]):
    async def scene() -> list[str]:
        log: list[str] = []
        operator = Operator(lambda: cast(Any, Term(log)), Supervisor(), "title")
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(100, stop.set)
        await operator.compete(cast(Any, Election(log, lost_after)), stop)
        return log

    assert run_virtually(scene()) == expected


def test_loop_that_fails_for_good_ends_the_process_and_releases_the_lease():
    class Broken(Election):
        @override
        def hold(self, loops: LoopGroup, lost: asyncio.Event) -> None:
            async def step() -> float:
                raise KeyError("metadata")

            loops.start("lease", step, ends_after=4)

    async def scene() -> None:
        log: list[str] = []
        stop = asyncio.Event()
        supervisor = Supervisor(stop)
        await Operator(lambda: cast(Any, Term(log)), supervisor, "title").compete(cast(Any, Broken(log, 0)), stop)
        assert log == ["win", "run", "close", "release"]
        with pytest.raises(LoopError, match="loop lease failed 4 times in a row"):
            supervisor.check()

    run_virtually(scene())


def test_probes_report_the_term():
    operator = Operator(lambda: cast(Any, Term([])), Supervisor(), "title")
    assert not operator.ready and operator.report()["leader"] is False

    async def scene() -> dict[str, object]:
        end = asyncio.Event()
        task = asyncio.create_task(operator.act(end, end))
        await asyncio.sleep(0)
        report = operator.report()
        assert operator.ready
        end.set()
        await task
        return report

    assert run_virtually(scene()) == {
        "version": process.__version__,
        "leader": True,
        "watching": True,
        "waiting": 3,
    }
