"""Runs by the thousand that nobody would write: each is refused, run, or Stalled with a reason, and the operator takes no harm.

They are made from the CRD's own schema and from Workflows that run, with mistakes put in, by a printed seed: MADE_SEED repeats
it, and MADE_COUNT is their number.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from deploy.local.localcluster import binaries
from tests.e2e.cluster import Object, condition, stalled
from tests.e2e.conftest import REPOSITORY
from tests.e2e.control_plane import ControlPlane
from tests.e2e.fault_proxy import way_in
from tests.e2e.made import Maker
from tests.e2e.process_usage import read_process
from tests.e2e.processes import Operator
from tests.e2e.world import RUNS, WORKFLOWS, World

COUNT = 1_500
AT_A_TIME = 16
REST_SECONDS = 10.0
MEMORY_MIB = 40.0
"""Most by which the second half of the runs may raise the operator's memory: a run that goes on is remembered, in some KB."""

CRD = REPOSITORY / "crds" / "runwright.dev_pipelineruns.yaml"
LARGEST = 60_000


def test_generated_runs_end_as_predicted(stage: ControlPlane, tmp_path: Path):
    seed = int(os.environ.get("MADE_SEED") or 20261127)
    count = int(os.environ.get("MADE_COUNT") or COUNT)
    print(f"MADE_SEED={seed} MADE_COUNT={count}")
    asyncio.run(try_all(stage, Maker(seed, schema(), workflows()), count))


async def try_all(plane: ControlPlane, maker: Maker, count: int) -> None:
    """Create all of them and check each outcome; fails if the operator logged an error or restarted."""
    server, authority, token = way_in(plane.kubeconfig)
    headers = {"Authorization": f"Bearer {token}"}
    connector = aiohttp.TCPConnector(ssl=authority)
    async with aiohttp.ClientSession(server, connector=connector, headers=headers, read_bufsize=2**22) as session:
        world = World(session)
        watching = [asyncio.create_task(world.follow(*one)) for one in (("run", RUNS), ("workflow", WORKFLOWS))]
        operator = Operator(plane.kubeconfig)
        try:
            await asyncio.to_thread(operator.start)
            pid, memory = operator.pid, [read_process(operator.pid).resident]
            names = [f"made-{number}" for number in range(count)]
            replies: Counter[int] = Counter()
            for half in (names[: count // 2], names[count // 2 :]):
                taken = await create(session, maker, half, replies)
                await asyncio.wait_for(
                    world.until_true(lambda taken=taken: all(outcome(world, name) for name in taken)), 120
                )
                memory.append(read_process(pid).resident)
            assert [task.exception() for task in watching if task.done()] == []
            ends = Counter(outcome(world, name) for name in names)
            print(f"replies {dict(replies)}; outcomes {dict(ends)}; MiB {[round(one) for one in memory]}")
            # The API server says why it refuses: 400 and 422 are answers, anything else is not.
            assert set(replies) <= {201, 400, 422}
            assert min(replies[201], replies[422]) > count / 20, "both happen often, or nothing was tried"
            assert {"Workflow", "Stalled"} <= {end.partition(":")[0] for end in ends}
            assert operator.pid == pid
            assert operator.errors() == []
            await at_rest(session, world, operator)
            assert memory[2] - memory[1] < MEMORY_MIB
        finally:
            operator.kill()
            for task in watching:
                task.cancel()


async def create(session: aiohttp.ClientSession, maker: Maker, names: list[str], replies: Counter[int]) -> list[str]:
    """Send them; gives the names of those that the API server took."""
    taken: list[str] = []
    left = iter([(name, maker.make(name)) for name in names])

    async def worker() -> None:
        for name, run in left:
            async with session.post(RUNS, json=run) as reply:
                text = await reply.text()
                assert reply.status < 500, f"{name}: {text[:500]}"
                replies[reply.status] += 1
                if reply.status == 201:
                    taken.append(name)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_A_TIME):
            group.create_task(worker())
    return taken


def outcome(world: World, name: str) -> str:
    """Outcome of a run: it has a Workflow, is Stalled for a reason in words, has ended, or was cancelled; empty for nothing yet."""
    versions = world.versions["run", name]
    if not versions:
        return ""
    run = versions[-1]
    if world.versions["workflow", name]:
        return "Workflow"
    if reason := stalled(run):
        message = condition(run, "Stalled").get("message", "")
        assert message, f"{name}: stalled without a word: {run}"
        return f"Stalled: {reason}"
    return str(run.get("status", {}).get("phase") or "")


async def at_rest(session: aiohttp.ClientSession, world: World, operator: Operator) -> None:
    """Fails where the operator goes on with any of them: none is tried in a loop."""
    await world.quiet(REST_SECONDS)
    lines, versions = len(operator.log()), world.events
    await asyncio.sleep(REST_SECONDS)  # that nothing happens can only be waited for
    assert world.events == versions
    assert [line for line in operator.log()[lines:] if line["level"] != "info"] == []


def schema() -> Object:
    """What the API server holds a run against."""
    return yaml.safe_load(CRD.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def workflows() -> list[Object]:
    """Argo's own examples: one Workflow each."""
    found: list[Any] = []
    for path in sorted((binaries.argo_source() / "examples").glob("*.yaml")):
        if path.stat().st_size < LARGEST:
            documents = [one for one in yaml.safe_load_all(path.read_text()) if one]
            if len(documents) == 1 and documents[0].get("kind") == "Workflow":
                found += documents
    assert len(found) > 50
    # Dates are not JSON.
    return [one for one in found if not re.search(r"datetime\.", repr(one))]
