"""10,000 live and 200,000 archived runs: the operator's start time and memory.

The operator makes one run of each kind. The others are copies of its objects with other names and uids, written to etcd directly,
not through the API server. No run changes during the measurement.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
import urllib.request
import uuid
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bench.cluster import TIMEOUT, Bench, session_for
from bench.etcd_bytes import SHAPES, archive, finish_run, start_run
from bench.idle import wait_until_idle
from bench.progress import show_progress
from bench.stage import Stage, open_plane, stage_on
from bench.table import Row
from tests.e2e.control_plane import ControlPlane
from tests.e2e.process_usage import read_process
from tests.e2e.processes import Operator
from tests.ports import free_port

ARCHIVED = 200_000
LIVE_SHARE = 20
"""Archived runs for each live run."""

RUNS, SNAPSHOTS, WORKFLOWS = (
    f"/registry/{kind}/default/"
    for kind in ("runwright.dev/pipelineruns", "runwright.dev/workflowsnapshots", "argoproj.io/workflows")
)
PUTS = 100
"""Puts in one etcd transaction; the limit is 128."""

CATCH_UP_SECONDS = 600.0
"""Time limit for the API server's cache to read the objects written to etcd directly. 100,000 runs took 45 s."""

ETCD = ("--quota-backend-bytes=8589934592",)


@dataclass(frozen=True)
class Start:
    """Start of an operator."""

    seconds: float
    """Until it knows all live runs and its queue is empty."""
    cpu: float
    """CPU seconds until it is idle."""
    memory: float
    """Resident MiB once it is idle."""


async def measure(count: int | None) -> list[Row]:
    """Start time and memory with this many archived runs and a twentieth as many live runs. No goal."""
    archived = count or ARCHIVED
    live_count = max(1, archived // LIVE_SHARE)
    async with open_filled() as (plane, seeds):
        starts: dict[str, Start] = {"none": await start(plane, 0)}
        await asyncio.to_thread(fill, plane, seeds["live"], live_count, f"{live_count:,} live runs")
        await wait_for_cache(plane)
        starts["live"] = await start(plane, live_count)
        await asyncio.to_thread(fill, plane, seeds["archived"], archived, f"{archived:,} archived runs")
        await wait_for_cache(plane)
        starts["both"] = await start(plane, live_count)
        size = plane.bytes_in_use() / 2**20
    for runs, one in starts.items():
        print(f"\r  {runs}: ready after {one.seconds:.1f} s, {one.cpu:.1f} s of CPU, {one.memory:.0f} MiB{' ' * 20}")
    print(f"  etcd holds {size:,.0f} MiB")
    none, alone, both = (starts[runs] for runs in ("none", "live", "both"))
    live_runs, all_runs = f"{live_count:,} live", f"{live_count:,} live + {archived:,} archived"
    return [
        Row(f"restart, {live_runs}", alone.seconds, none.seconds, "s", "no runs"),
        Row(f"restart, {all_runs}", both.seconds, alone.seconds, "s", "the live runs alone"),
        Row(f"memory, {live_runs}", alone.memory, none.memory, "MiB", "no runs"),
        Row(f"memory, {all_runs}", both.memory, alone.memory, "MiB", "the live runs alone"),
        Row(f"etcd, {all_runs}", size, None, "MiB"),
    ]


async def start(plane: ControlPlane, live_count: int) -> Start:
    """Start an operator, and wait until it knows more than `live_count` runs and is idle."""
    began, probe = time.monotonic(), f"127.0.0.1:{free_port()}"
    with Operator(plane.kubeconfig, f"--probe-address={probe}") as operator:
        await asyncio.to_thread(operator.start)
        await asyncio.to_thread(wait_until_known, probe, live_count)
        seconds = time.monotonic() - began
        await wait_until_idle(operator.pid)
        usage = read_process(operator.pid)
        return Start(seconds, usage.cpu, usage.resident)


def wait_until_known(probe: str, live_count: int) -> None:
    """Return once the operator knows more than `live_count` runs. Raises TimeoutError after TIMEOUT seconds."""
    deadline = time.monotonic() + TIMEOUT
    while count_known(probe) <= live_count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the operator does not know {live_count:,} runs after {TIMEOUT:.0f} s")
        time.sleep(0.1)


def count_known(probe: str) -> int:
    """Number of runs that the operator knows; 0 while its queue is not empty."""
    with urllib.request.urlopen(f"http://{probe}/metrics", timeout=60) as reply:
        text = reply.read().decode()
    waiting = re.search(r"^runwright_workqueue_depth (\S+)$", text, re.MULTILINE)
    if waiting is None or float(waiting[1]):
        return 0
    return int(sum(float(one) for one in re.findall(r"^runwright_runs\{[^}]*\} (\S+)$", text, re.MULTILINE)))


async def wait_for_cache(plane: ControlPlane) -> None:
    """Return once the API server's cache has read what was written to etcd directly. Lists wait for that, and would delay the start.

    Raises TimeoutError after CATCH_UP_SECONDS.
    """
    async with session_for(plane.kubeconfig) as session, asyncio.timeout(CATCH_UP_SECONDS):
        bench = Bench(session, "default")
        for path in map(bench.path, ("pipelineruns", "workflows")):
            newest = await version(bench, f"{path}?limit=1")
            # No object has this label. resourceVersion=0 answers from the cache.
            while await version(bench, f"{path}?labelSelector=none%3Dnone&resourceVersion=0") < newest:
                await asyncio.sleep(0.5)
                # When nothing changes, only this read makes the API server ask etcd for its revision.
                await version(bench, f"{path}?limit=1")


async def version(bench: Bench, path: str) -> int:
    """The resourceVersion of a list."""
    return int((await bench.call("GET", path))["metadata"]["resourceVersion"])


@dataclass(frozen=True)
class Seed:
    """The stored objects of one run."""

    name: str
    objects: dict[str, str]
    """JSON by etcd prefix."""

    def copies(self, count: int) -> Iterator[tuple[str, str]]:
        """Keys and values of this many copies, with new names and uids."""
        uids = [json.loads(text)["metadata"]["uid"] for text in self.objects.values()]
        for number in range(count):
            name = f"{self.name}-{number}"
            fresh = {old: str(uuid.uuid4()) for old in uids}
            for prefix, text in self.objects.items():
                for old, new in fresh.items():
                    text = text.replace(old, new)
                yield prefix + name, text.replace(f'"{self.name}"', f'"{name}"')


def fill(plane: ControlPlane, seed: Seed, count: int, label: str) -> None:
    """Write copies of the run to etcd."""
    batch: list[tuple[str, str]] = []
    for number, one in enumerate(seed.copies(count), 1):
        batch.append(one)
        if len(batch) == PUTS:
            plane.put(batch)
            batch = []
            show_progress(f"{label}: {number // len(seed.objects):,}")
    plane.put(batch)


@asynccontextmanager
async def open_filled() -> AsyncGenerator[tuple[ControlPlane, dict[str, Seed]]]:
    """Runs a control plane without an operator; gives it and the stored objects of a live and an archived run.

    Raises RuntimeError as `open_plane`.
    """
    with open_plane(ETCD) as (plane, _):
        async with stage_on(plane) as stage:
            await make_both(stage)
        yield (
            plane,
            {
                "live": read_seed(plane, "live", (RUNS, WORKFLOWS)),
                "archived": read_seed(plane, "old", (RUNS, SNAPSHOTS)),
            },
        )


async def make_both(stage: Stage) -> None:
    """Let the operator make one live and one archived run."""
    bench: Bench = stage.bench
    await start_run(SHAPES[0], stage, "old")
    await finish_run(SHAPES[0], stage, "old")
    await archive(stage, "old")
    await start_run(SHAPES[0], stage, "live")
    while True:
        run = await bench.call("GET", f"{bench.path('pipelineruns')}/live")
        if run.get("status", {}).get("phase") == "Running":
            return
        await asyncio.sleep(0.2)


def read_seed(plane: ControlPlane, name: str, prefixes: tuple[str, ...]) -> Seed:
    """The stored objects of a run."""
    found: dict[str, str] = {}
    for prefix in prefixes:
        (one,) = (held for held in plane.stored(prefix) if held["metadata"]["name"] == name)
        found[prefix] = json.dumps(one, separators=(",", ":"))
    return Seed(name, found)
