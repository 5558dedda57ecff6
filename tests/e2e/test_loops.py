"""No loop of the operator or of the run service dies: not by replies that are no JSON, and not by watches that are closed at once.

The processes and the API server are real; a proxy between them replies with status 200 and something else, to every request.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.e2e.control_plane import TOKEN, ControlPlane
from tests.e2e.fault_proxy import ODD_REPLIES, Call, FaultProxy, through, way_in
from tests.e2e.manifests import instant, pipeline_run
from tests.e2e.processes import Operator, Program, Serve
from tests.e2e.serving import Caller
from tests.e2e.world import RUNS, WORKFLOWS, World
from tests.ports import free_port

FAULT_SECONDS = 1.2
"""How long each odd reply lasts: longer than the pause between two renewals of the Lease, or two resyncs."""

CLOSING_SECONDS = 6.0
MOST_OPENED = 15
"""Watches of one kind that may be opened in CLOSING_SECONDS, if each is closed at once."""


@asynccontextmanager
async def scene(
    plane: ControlPlane, folder: Path, choose: Callable[[Call], str] = lambda _: ""
) -> AsyncGenerator[tuple[FaultProxy, Path, World]]:
    """A proxy, a kubeconfig that leads through it, and the objects as an independent watch sees them."""
    server, authority, token = way_in(plane.kubeconfig)
    proxy, headers = FaultProxy(server, authority, choose), {"Authorization": f"Bearer {token}"}
    connector = aiohttp.TCPConnector(ssl=authority)
    async with (
        proxy.serve() as address,
        aiohttp.ClientSession(server, connector=connector, headers=headers, read_bufsize=2**22) as session,
    ):
        world = World(session)
        watching = [asyncio.create_task(world.follow(*one)) for one in (("run", RUNS), ("workflow", WORKFLOWS))]
        try:
            yield proxy, through(plane.kubeconfig, address, folder / "through-the-proxy"), world
        finally:
            for task in watching:
                task.cancel()


def probe(address: str, path: str = "readyz") -> tuple[int, Any]:
    """Status and body of a probe."""
    try:
        with urllib.request.urlopen(f"http://{address}/{path}", timeout=10) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def restarts_of(address: str) -> dict[str, float]:
    """Restarts of each loop."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as reply:
        found = re.findall(r'^runwright_loop_restarts_total{loop="(.*)"} (.*)$', reply.read().decode(), re.MULTILINE)
    return {loop: float(number) for loop, number in found}


async def ready(address: str, wanted: bool, seconds: float = 60) -> Any:
    """Return the report of /readyz once it is 200, or 503 where it is not `wanted`."""
    deadline = time.monotonic() + seconds
    while True:
        status, report = await asyncio.to_thread(probe, address)
        if (status == 200) == wanted:
            return report
        assert time.monotonic() < deadline, f"/readyz is {status} for {seconds:.0f} s: {report}"
        await asyncio.sleep(0.1)  # a probe has no watch


async def reply_oddly(proxy: FaultProxy, process: Program, address: str) -> list[Any]:
    """Reply with each of ODD_REPLIES for a time, also to new watches; returns the reports of /readyz."""
    reports: list[Any] = []
    for name, body in ODD_REPLIES.items():
        proxy.odd_reply = body
        proxy.cut_watches()
        await asyncio.sleep(FAULT_SECONDS)  # the fault lasts
        assert process.alive, f"it ended by {name}"
        reports.append((await asyncio.to_thread(probe, address))[1])
        assert (await asyncio.to_thread(probe, address, "healthz"))[0] == 200
    proxy.odd_reply = None
    return reports


@pytest.mark.parametrize("lease", [False, True])
def test_operator_survives_replies_that_are_no_json(stage: ControlPlane, tmp_path: Path, lease: bool):
    """Afterwards it acts: on a run that its watch reports, and on one that only its resync finds."""

    seen, unseen = (f"{name}-{'with' if lease else 'without'}-a-lease" for name in ("seen", "unseen"))

    def lose_events(call: Call) -> str:
        return "lost" if call.method == "WATCH" and call.name == unseen else ""

    async def play() -> None:
        address = f"127.0.0.1:{free_port()}"
        options = ("--resync=1", f"--probe-address={address}")
        options += ("--lease=default/odd", "--lease-seconds=10") if lease else ()
        async with scene(stage, tmp_path, lose_events) as (proxy, kubeconfig, world):
            with Operator(kubeconfig, *options) as operator:
                await asyncio.to_thread(operator.start)
                await ready(address, True)
                reports = await reply_oddly(proxy, operator, address)
                loops = ("resync", "lease") if lease else ("resync",)
                assert not lease or any("lease" in one["down"] for one in reports), (
                    "the probes name the loop that is down"
                )
                await ready(address, True)
                restarts = await asyncio.to_thread(restarts_of, address)
                assert min(restarts[loop] for loop in loops) >= 1, restarts
                for name in (seen, unseen):
                    await world.call("POST", RUNS, pipeline_run({"spec": instant()}, name))
                    async with asyncio.timeout(30):
                        await world.until("workflow", name, lambda _: True)
                assert (await asyncio.to_thread(probe, address))[1]["down"] == {}
                assert await asyncio.to_thread(operator.stop) == 0

    asyncio.run(play())


def test_run_service_survives_replies_that_are_no_json(stage: ControlPlane, tmp_path: Path):
    """Afterwards it lists a run that was created during the fault."""

    async def play() -> None:
        address = f"127.0.0.1:{free_port()}"
        async with scene(stage, tmp_path) as (proxy, kubeconfig, world):
            with Serve(kubeconfig, f"--probe-address={address}") as serve:
                await asyncio.to_thread(serve.start)
                await ready(address, True)
                await world.call("POST", RUNS, pipeline_run({"spec": instant()}, "during-the-fault"))
                await reply_oddly(proxy, serve, address)
                await ready(address, True)
                query = {"resource_reference_key.type": "NAMESPACE", "resource_reference_key.id": "default"}
                caller = Caller(serve.url, TOKEN)
                names: list[str] = []
                async with asyncio.timeout(30):
                    # For 15 seconds without a watch, the index counts as in sync.
                    while "during-the-fault" not in names:
                        listed = await asyncio.to_thread(lambda: caller.good("GET", "/runs", **query, page_size=200))
                        names = [run["name"] for run in listed["runs"]]
                        await asyncio.sleep(0.2)  # a list has no watch
                assert await asyncio.to_thread(serve.stop) == 0

    asyncio.run(play())


def test_watches_that_are_closed_at_once_cost_few_requests_and_fail_readiness(stage: ControlPlane, tmp_path: Path):
    async def play() -> None:
        address = f"127.0.0.1:{free_port()}"
        async with scene(stage, tmp_path) as (proxy, kubeconfig, world):
            with Operator(kubeconfig, f"--probe-address={address}") as operator:
                await asyncio.to_thread(operator.start)
                await ready(address, True)
                proxy.closing = True
                proxy.asked.clear()
                proxy.cut_watches()
                await asyncio.sleep(CLOSING_SECONDS)  # the fault lasts
                opened = {path: number for path, number in proxy.asked.items() if path.startswith("WATCH")}
                assert any("pipelineruns" in path for path in opened)
                assert max(opened.values()) <= MOST_OPENED, opened
                assert (await ready(address, False))["watching"] is False
                proxy.closing = False
                await ready(address, True)
                await world.call("POST", RUNS, pipeline_run({"spec": instant()}, "after-closing"))
                async with asyncio.timeout(20):
                    await world.until("workflow", "after-closing", lambda _: True)
                assert await asyncio.to_thread(operator.stop) == 0

    asyncio.run(play())
