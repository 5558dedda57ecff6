"""Kopf restarts when it ends and when a missing kind appears."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import kopf
import pytest
from prometheus_client import CollectorRegistry

from runwright.controller import watches
from runwright.controller.watches import Watches
from runwright.controller.workers import start_workers
from runwright.core.shard import EVERYTHING
from runwright.kube.errors import ApiError
from runwright.kube.objects import Key
from runwright.kube.supervise import Backoff, Supervisor
from tests.unit.controller.bench import Bench
from tests.unit.fake.virtual_time import run_virtually


class Starts:
    """Fake of Kopf: each start runs the next step of the script."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *script: str) -> None:
        self.script = list(script)
        self.count = 0
        self.started = asyncio.Event()
        monkeypatch.setattr(kopf, "spawn_tasks", self.spawn)
        monkeypatch.setattr(kopf, "run_tasks", self.run)

    async def spawn(self, *, stop_flag: asyncio.Event, ready_flag: asyncio.Event, **_: Any) -> asyncio.Event:
        ready_flag.set()
        # Kopf replaces the signal handlers too.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: None)
        return stop_flag

    async def run(self, stop_flag: asyncio.Event, *, ignored: set[asyncio.Task[Any]]) -> None:
        assert asyncio.current_task() in ignored
        self.count += 1
        step = self.script.pop(0) if self.script else "wait"
        if not self.script:
            self.started.set()
        if step == "fail":
            raise RuntimeError("list failed")
        if step == "wait":
            await stop_flag.wait()


async def served() -> tuple[str, ...]:
    return ()


def restarts_of(supervisor: Supervisor, loop: str) -> float | None:
    registry = CollectorRegistry()
    registry.register(supervisor)
    return registry.get_sample_value("runwright_loop_restarts_total", {"loop": loop})


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watches, "BACKOFF", Backoff(0.001, 0.001))
    monkeypatch.setattr(watches, "POLL_SECONDS", 0.001)


@pytest.mark.usefixtures("quick")
async def test_watches_restart_after_an_end_or_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    starts = Starts(monkeypatch, "fail", "end", "fail", "wait")
    stop = asyncio.Event()
    supervisor = Supervisor()
    running = Watches(kopf.OperatorRegistry(), (), EVERYTHING, served, supervisor)
    task = asyncio.create_task(running.run(stop))
    await asyncio.wait_for(starts.started.wait(), 5)
    assert running.running
    stop.set()
    await asyncio.wait_for(task, 5)
    assert starts.count == 4
    assert restarts_of(supervisor, "watches") == 3, "each start but the first is counted, and the end is not"
    assert not running.running


async def test_stop_ends_the_wait_between_two_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    starts = Starts(monkeypatch, "fail")
    stop = asyncio.Event()
    task = asyncio.create_task(Watches(kopf.OperatorRegistry(), (), EVERYTHING, served, Supervisor()).run(stop))
    await asyncio.wait_for(starts.started.wait(), 5)
    stop.set()
    await asyncio.wait_for(task, 5)
    assert starts.count == 1


@pytest.mark.usefixtures("quick")
async def test_namespaced_watches_restart_when_a_kind_appears(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[tuple[str, ...] | None] = [("workflows.argoproj.io",), None, ("workflows.argoproj.io",), ()]

    async def missing() -> tuple[str, ...]:
        answer = answers.pop(0) if answers else ()
        if answer is None:
            raise ApiError(0, "Unreachable", "away")
        return answer

    starts = Starts(monkeypatch, "wait", "wait")
    stop = asyncio.Event()
    task = asyncio.create_task(
        Watches(kopf.OperatorRegistry(), ("team-a",), EVERYTHING, missing, Supervisor()).run(stop)
    )
    await asyncio.wait_for(starts.started.wait(), 5)
    stop.set()
    await asyncio.wait_for(task, 5)
    assert starts.count == 2


async def test_sigterm_stops_the_watches_after_kopf_replaced_the_handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    starts = Starts(monkeypatch, "wait")
    stop = asyncio.Event()
    task = asyncio.create_task(Watches(kopf.OperatorRegistry(), (), EVERYTHING, served, Supervisor()).run(stop))
    await asyncio.wait_for(starts.started.wait(), 5)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(task, 5)
    assert stop.is_set()
    assert starts.count == 1


def test_tasks_beside_kopf_survive_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """When it ends, Kopf (1.45.2) cancels every task that is not in its list."""

    async def spawn(*, ready_flag: asyncio.Event, **_: Any) -> list[asyncio.Task[None]]:
        ready_flag.set()
        return [asyncio.create_task(asyncio.sleep(60))]

    async def main() -> None:
        monkeypatch.setattr(kopf, "spawn_tasks", spawn)
        bench, reconciled = Bench(), list[Key]()

        async def reconcile(key: Key) -> None:
            reconciled.append(key)

        supervisor = Supervisor()
        async with supervisor.group() as beside:
            start_workers(beside, bench.queue, reconcile, 2)
            bench.sweep.start(beside)
            bench.resync.start(beside, 300)
            stop = asyncio.Event()
            asyncio.get_running_loop().call_later(1000, stop.set)
            # Not as a task, so that the tasks beside it have started.
            await Watches(kopf.OperatorRegistry(), (), EVERYTHING, served, supervisor).run(stop)
            assert [task.done() for task in beside._tasks] == [False] * 4
            bench.queue.add(Key("team", "a"))
            bench.queue.add(Key("team", "b"))
            bench.sweep.policy_changed("team")
            await asyncio.sleep(1)
            assert reconciled == [Key("team", "a"), Key("team", "b")]
            assert not bench.sweep._changed

    run_virtually(main())
