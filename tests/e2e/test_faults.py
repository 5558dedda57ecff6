"""Each request of a run's life goes wrong once, in each way: the run ends as it should, with one Workflow, and all comes to rest.

The operator and the API server are real; a stand-in moves the Workflows, and an independent watch sees every version of every
object. All cases go on at the same time: which request of a run goes wrong, and how, stands in the run's name.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable
from pathlib import Path

import aiohttp

from tests.e2e.cluster import Object
from tests.e2e.control_plane import ControlPlane
from tests.e2e.fault_proxy import EVENT_FAULTS, FAULTS, Call, FaultProxy, through, way_in
from tests.e2e.manifests import instant, pipeline_run
from tests.e2e.processes import Operator
from tests.e2e.world import RUNS, WORKFLOWS, World

REQUESTS = 20
"""Requests of the operator about a run, from its creation until it is archived, brought back and deleted; more than there are."""

EVENTS = 14
"""Events of the watches about a run and its Workflow, in the same time; more than there are."""

FEWEST = 6
"""Events that each life has at least: quick changes arrive as one event."""

TURNS = 3
"""A life has fewer while the others' broken watches are listed again: cases that were not reached are played again."""

STATE = "runwright.dev/storage-state"
MOMENT = "2026-11-26T12:00:00Z"
CASE_SECONDS = 60.0
"""How long a run may take until all has come of it, whatever goes wrong."""


async def live(world: World, name: str) -> None:
    """The life of one run, as a user and Argo make it."""
    await world.call("POST", RUNS, pipeline_run({"spec": instant()}, name))
    await world.until("workflow", name, lambda _: True)
    status: Object = {"phase": "Running", "startedAt": MOMENT, "progress": "0/1"}
    await world.call("PATCH", f"{WORKFLOWS}/{name}", {"status": status})
    await world.until("run", name, lambda run: run.get("status", {}).get("phase") == "Running")
    ended = {**status, "phase": "Succeeded", "finishedAt": MOMENT, "progress": "1/1"}
    await world.call("PATCH", f"{WORKFLOWS}/{name}", {"status": ended})
    await world.until("run", name, lambda run: run["status"].get("phase") == "Succeeded")
    for state in ("Archived", "Available"):
        await world.call("PATCH", f"{RUNS}/{name}", {"metadata": {"labels": {STATE: state}}})
        await world.until("run", name, lambda run, state=state: run["status"].get("storageState") == state)
    await world.until("workflow", name, lambda found: found["status"]["phase"] == "Succeeded")


def judged(world: World, name: str) -> list[str]:
    """What was wrong with the life of a run, as the independent watch saw it."""
    wrong: list[str] = []
    phases = [run.get("status", {}).get("phase") for run in world.versions["run", name]]
    if "Succeeded" not in phases:
        return [f"{name}: it has not ended as its Workflow: {phases}"]
    if set(phases[phases.index("Succeeded") :]) != {"Succeeded"}:
        wrong.append(f"{name}: it went back: {phases}")
    workflows = world.versions["workflow", name]
    begun = {one["metadata"]["uid"] for one in workflows if not one.get("status", {}).get("phase")}
    if len(begun) != 1:
        wrong.append(f"{name}: {len(begun)} Workflows were begun for its one attempt")
    if len({one["metadata"]["uid"] for one in workflows}) > 2:
        wrong.append(f"{name}: more than the first Workflow and the one that was put back")
    return wrong


def cases() -> dict[str, tuple[int, str]]:
    """Every request with every fault; by the name of the run that has it."""
    return {f"r{number}-{fault.replace(' ', '-')}": (number, fault) for number in range(REQUESTS) for fault in FAULTS}


async def play(plane: ControlPlane, folder: Path, names: list[str], choose: Callable[[Call], str]) -> FaultProxy:
    """Have all these runs live, through a proxy with these faults; fails where anything was wrong."""
    server, authority, token = way_in(plane.kubeconfig)
    proxy = FaultProxy(server, authority, choose)
    connector = aiohttp.TCPConnector(ssl=authority)
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        proxy.serve() as address,
        aiohttp.ClientSession(server, connector=connector, headers=headers, read_bufsize=2**22) as session,
    ):
        world = World(session)
        watching = [asyncio.create_task(world.follow(*one)) for one in (("run", RUNS), ("workflow", WORKFLOWS))]
        kubeconfig = through(plane.kubeconfig, address, folder / "through-the-proxy")
        operator = Operator(kubeconfig, "--resync=5")
        try:
            await asyncio.to_thread(operator.start)
            pid = operator.pid
            late: list[str] = []

            async def one(name: str) -> None:
                try:
                    async with asyncio.timeout(CASE_SECONDS):
                        await live(world, name)
                except TimeoutError:
                    late.append(name)

            async with asyncio.TaskGroup() as group:
                for name in names:
                    group.create_task(one(name))
            # One more look for what was missed, and then rest.
            await world.quiet(6)
            assert not [task for task in watching if task.done()], [
                task.exception() for task in watching if task.done()
            ]
            assert late == [], f"{late} came to no end\n" + "\n".join(
                describe_history(proxy, world, late[0]) + [line for line in map(str, operator.log()) if late[0] in line]
            )
            assert [wrong for name in names for wrong in judged(world, name)] == []
            assert operator.pid == pid
            assert [line for line in operator.errors() if "exception" in line] == []
            for name in names:
                await world.call("DELETE", f"{RUNS}/{name}")
        finally:
            operator.kill()
            for task in watching:
                task.cancel()
    return proxy


def planned(chosen: dict[str, tuple[int, str]], *, watches: bool) -> Callable[[Call], str]:
    """Each run has its fault at the event, or else the request, of that number."""

    def choose(call: Call) -> str:
        number, fault = chosen.get(call.name, (-1, ""))
        return fault if (call.method == "WATCH") == watches and call.number == number else ""

    return choose


def test_every_request_goes_wrong_once_in_every_way(stage: ControlPlane, tmp_path: Path):
    chosen = cases()
    proxy = asyncio.run(play(stage, tmp_path, list(chosen), planned(chosen, watches=False)))
    reached = {(number, fault) for name, (number, fault) in chosen.items() if (name, fault) in happened(proxy)}
    last = max(number for number, _ in reached)
    assert last < REQUESTS - 1, "there are more requests than cases: raise REQUESTS"
    assert last >= 12
    assert {(number, fault) for number in range(last - 2) for fault in FAULTS} <= reached, "each was played"


def test_every_watch_event_goes_wrong_once_in_every_way(stage: ControlPlane, tmp_path: Path):
    left = {(number, fault) for number in range(EVENTS) for fault in EVENT_FAULTS}
    for turn in range(TURNS):
        chosen = {f"e{turn}-{number}-{fault}": (number, fault) for number, fault in left}
        proxy = asyncio.run(play(stage, tmp_path, list(chosen), planned(chosen, watches=True)))
        reached = {chosen[name] for name, _ in happened(proxy)}
        assert all(number < EVENTS - 1 for number, _ in reached), "there are more events than cases: raise EVENTS"
        left = {(number, fault) for number, fault in left - reached if number < FEWEST}
        if not left:
            return
    raise AssertionError(f"not played: {left}")


def describe_history(proxy: FaultProxy, world: World, name: str) -> list[str]:
    """What a run went through: the operator's requests and events, and what the API server had of it."""
    calls = [f"{call.method} {call.plural} {call.number} {fault}" for call, fault in proxy.calls if call.name == name]
    versions = [
        f"{kind} {one['metadata']['resourceVersion']} {one['metadata'].get('labels')} {one.get('status')}"
        for kind in ("run", "workflow")
        for one in world.versions[kind, name]
    ]
    return calls + versions


def happened(proxy: FaultProxy) -> set[tuple[str, str]]:
    """Which run had which fault."""
    return {(call.name, fault) for call, fault in proxy.calls if fault}


def test_requests_go_wrong_at_random(stage: ControlPlane, tmp_path: Path):
    """One request in four, one event in fifty, of every kind, with a printed seed: FAULT_SEED repeats it."""
    seed = int(os.environ.get("FAULT_SEED") or 20261126)
    chance = random.Random(seed)

    def choose(call: Call) -> str:
        if call.method == "WATCH":
            return chance.choice(EVENT_FAULTS) if chance.random() < 0.02 else ""
        return chance.choice(FAULTS) if chance.random() < 0.25 else ""

    print(f"FAULT_SEED={seed}")
    proxy = asyncio.run(play(stage, tmp_path, [f"random-{number}" for number in range(60)], choose))
    assert len(happened(proxy)) > 100
