"""10,000 live and 200,000 archived runs: how long the operator takes to start with them, and what it holds.

One run of each kind is made by the operator itself; the others are copies of what etcd then holds of it, put into etcd past the API
server, each with a name and uids of its own. Nothing moves: what is measured is the start.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
import urllib.request
import uuid
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bench.archived_runs import cpu, resident, until_at_rest
from bench.cluster import TIMEOUT, Bench, session_for
from bench.etcd_bytes import SHAPES, archive, finish_run, live
from bench.stage import Stage, open_plane, stage_on
from bench.table import Row
from tests.e2e.control_plane import ControlPlane
from tests.e2e.processes import Operator, free_port

ARCHIVED = 200_000
LIVE_SHARE = 20
"""One live run for so many archived ones."""

RUNS, SNAPSHOTS, WORKFLOWS = (
    f"/registry/{kind}/default/"
    for kind in ("runwright.dev/pipelineruns", "runwright.dev/workflowsnapshots", "argoproj.io/workflows")
)
PUTS = 100
"""In one transaction of etcd; it takes 128."""

CATCH_UP_SECONDS = 600.0
"""That the API server has for what was put past it: 100,000 runs took it 45 s."""

ETCD = ("--quota-backend-bytes=8589934592",)


@dataclass(frozen=True)
class Start:
    """Of an operator."""

    seconds: float
    """Until it knows all live runs, and none of them waits for a worker."""
    cpu: float
    """Seconds until it rests."""
    memory: float
    """MiB that it then holds."""


async def measure(count: int | None) -> list[Row]:
    """Start time and memory with so many archived runs, and a twentieth of them live; there is no goal."""
    archived = count or ARCHIVED
    lively = max(1, archived // LIVE_SHARE)
    async with open_filled() as (plane, seeds):
        starts: dict[str, Start] = {"none": await start(plane, 0)}
        await asyncio.to_thread(fill, plane, seeds["live"], lively, f"{lively:,} live runs")
        await caught_up(plane)
        starts["live"] = await start(plane, lively)
        await asyncio.to_thread(fill, plane, seeds["archived"], archived, f"{archived:,} archived runs")
        await caught_up(plane)
        starts["both"] = await start(plane, lively)
        size = plane.bytes_in_use() / 2**20
    for what, one in starts.items():
        print(
            f"\r  {what}: knows all after {one.seconds:.1f} s, {one.cpu:.1f} s of CPU, {one.memory:.0f} MiB{' ' * 20}"
        )
    print(f"  etcd holds {size:,.0f} MiB")
    none, alone, both = (starts[what] for what in ("none", "live", "both"))
    live_runs, all_runs = f"{lively:,} live", f"{lively:,} live + {archived:,} archived"
    return [
        Row(f"restart, {live_runs}", alone.seconds, none.seconds, "s", "no runs"),
        Row(f"restart, {all_runs}", both.seconds, alone.seconds, "s", "the live ones alone"),
        Row(f"memory, {live_runs}", alone.memory, none.memory, "MiB", "no runs"),
        Row(f"memory, {all_runs}", both.memory, alone.memory, "MiB", "the live ones alone"),
        Row(f"etcd, {all_runs}", size, None, "MiB"),
    ]


async def start(plane: ControlPlane, lively: int) -> Start:
    """Start an operator, and wait until it knows so many runs besides the one that was there, and rests."""
    began, probe = time.monotonic(), f"127.0.0.1:{free_port()}"
    with Operator(plane.kubeconfig, f"--probe-address={probe}") as operator:
        await asyncio.to_thread(operator.start)
        await asyncio.to_thread(until_known, probe, lively)
        seconds = time.monotonic() - began
        await until_at_rest(operator.pid)
        return Start(seconds, cpu(operator.pid), resident(operator.pid))


def until_known(probe: str, lively: int) -> None:
    """Return once it knows more runs than these. Raises TimeoutError where it never does."""
    deadline = time.monotonic() + TIMEOUT
    while known(probe) <= lively:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the operator does not know {lively:,} runs after {TIMEOUT:.0f} s")
        time.sleep(0.1)


def known(probe: str) -> int:
    """The runs that the operator knows; 0 while any waits for a worker."""
    with urllib.request.urlopen(f"http://{probe}/metrics", timeout=60) as reply:
        text = reply.read().decode()
    waiting = re.search(r"^runwright_workqueue_depth (\S+)$", text, re.MULTILINE)
    if waiting is None or float(waiting[1]):
        return 0
    return int(sum(float(one) for one in re.findall(r"^runwright_runs\{[^}]*\} (\S+)$", text, re.MULTILINE)))


async def caught_up(plane: ControlPlane) -> None:
    """Return once the API server's cache has taken in what was put past it: until then its lists wait, which no start would see.

    Raises TimeoutError where it never has.
    """
    async with session_for(plane.kubeconfig) as session, asyncio.timeout(CATCH_UP_SECONDS):
        bench = Bench(session, "default")
        for path in map(bench.path, ("pipelineruns", "workflows")):
            newest = await version(bench, f"{path}?limit=1")
            # Nothing has this label; version 0 is what the cache holds.
            while await version(bench, f"{path}?labelSelector=none%3Dnone&resourceVersion=0") < newest:
                await asyncio.sleep(0.5)
                # It is this read that makes the API server ask etcd how far it is, where nothing changes any more.
                await version(bench, f"{path}?limit=1")


async def version(bench: Bench, path: str) -> int:
    """The resourceVersion of a list."""
    return int((await bench.call("GET", path))["metadata"]["resourceVersion"])


@dataclass(frozen=True)
class Seed:
    """What etcd holds of one run, by prefix."""

    name: str
    objects: dict[str, str]
    """JSON."""

    def copies(self, count: int) -> Iterator[tuple[str, str]]:
        """Keys and values of so many like it."""
        uids = [json.loads(text)["metadata"]["uid"] for text in self.objects.values()]
        for number in range(count):
            name = f"{self.name}-{number}"
            fresh = {old: str(uuid.uuid4()) for old in uids}
            for prefix, text in self.objects.items():
                for old, new in fresh.items():
                    text = text.replace(old, new)
                yield prefix + name, text.replace(f'"{self.name}"', f'"{name}"')


def fill(plane: ControlPlane, seed: Seed, count: int, what: str) -> None:
    """Put copies of it into etcd."""
    batch: list[tuple[str, str]] = []
    for number, one in enumerate(seed.copies(count), 1):
        batch.append(one)
        if len(batch) == PUTS:
            plane.put(batch)
            batch = []
            print(f"\r  {what}: {number // len(seed.objects):,}", end="", file=sys.stderr, flush=True)
    plane.put(batch)


@asynccontextmanager
async def open_filled() -> AsyncGenerator[tuple[ControlPlane, dict[str, Seed]]]:
    """Within it, a control plane without an operator, and what it holds of one run of each kind. Raises RuntimeError as `open_plane`."""
    with open_plane(ETCD) as (plane, _):
        async with stage_on(plane) as stage:
            await make_both(stage)
        yield plane, {"live": seed(plane, "live", (RUNS, WORKFLOWS)), "archived": seed(plane, "old", (RUNS, SNAPSHOTS))}


async def make_both(stage: Stage) -> None:
    """One live run and one archived run, by the operator."""
    bench: Bench = stage.bench
    await live(SHAPES[0], stage, "old")
    await finish_run(SHAPES[0], stage, "old")
    await archive(stage, "old")
    await live(SHAPES[0], stage, "live")
    while True:
        run = await bench.call("GET", f"{bench.path('pipelineruns')}/live")
        if run.get("status", {}).get("phase") == "Running":
            return
        await asyncio.sleep(0.2)


def seed(plane: ControlPlane, name: str, prefixes: tuple[str, ...]) -> Seed:
    """What etcd holds of a run."""
    found: dict[str, str] = {}
    for prefix in prefixes:
        (one,) = (held for held in plane.stored(prefix) if held["metadata"]["name"] == name)
        found[prefix] = json.dumps(one, separators=(",", ":"))
    return Seed(name, found)
