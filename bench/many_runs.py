"""10,000 runs through the operator: runs a minute, API requests and CPU per run, and memory of 1,000 live runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial

from bench.argo_alone import measure_argo
from bench.progress import show_progress
from bench.stage import Reading, Stage, open_stage
from bench.table import Row
from tests.e2e.manifests import instant, pipeline_run, workflow

COUNT = 10_000
LIVE = 500
"""Number of runs in progress at a time."""

WATCHED = 1_000
"""Number of live runs for the measurement of memory."""


async def measure(count: int | None) -> list[Row]:
    """Speed compared with Workflows created directly; CPU and memory compared with Argo's controller. No goal."""
    count = count or COUNT
    async with open_stage() as stage:
        empty = stage.read()
        seconds = await timed(drive(count, partial(carry_out_run, stage)))
        used = stage.read()
        print_costs(count, seconds, empty, used)
        direct_seconds = await timed(drive(count, partial(carry_out_workflow, stage)))
        print(f"\r  {count} Workflows created directly: {60 * count / direct_seconds:.0f} a minute", flush=True)
        live_count = min(WATCHED, count)
        memory = await memory_of_live_runs(stage, live_count)
    argo = await measure_argo(live_count)
    cpu, requests = 1000 * (used.cpu - empty.cpu) / count, (used.requests - empty.requests).total()
    print(
        f"\r  Argo's controller: {1000 * argo.cpu:.1f} ms of CPU per Workflow, {argo.live:.1f} MiB for {live_count} live "
        f"Workflows\n  CPU per run: {cpu / (1000 * argo.cpu):.2f} times that of Argo's controller"
    )
    return [
        Row(
            "runs a minute, a stand-in for Argo",
            *(60 * count / seconds, 60 * count / direct_seconds, "/min", "Workflows created directly"),
        ),
        Row("operator's CPU a run", cpu, 1000 * argo.cpu, "ms", "Argo's controller, a Workflow without pods"),
        Row("API requests a run", requests / count, None, ""),
        Row(f"memory of {live_count:,} live runs", memory, argo.live, "MiB", "Argo's controller"),
        Row("operator's memory at most", used.peak, empty.resident, "MiB", "the operator without runs"),
    ]


async def timed(work: Awaitable[None]) -> float:
    """Duration in seconds."""
    began = time.perf_counter()
    await work
    return time.perf_counter() - began


async def drive(count: int, carry_out: Callable[[str], Awaitable[None]]) -> None:
    """Carry out this many runs, LIVE at a time."""
    turns = asyncio.Semaphore(LIVE)
    done = 0

    async def one(number: int) -> None:
        nonlocal done
        async with turns:
            await carry_out(f"run-{number}")
        done += 1
        if done % 100 == 0:
            show_progress(f"{done} of {count} runs")

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(one(number))


async def carry_out_run(stage: Stage, name: str) -> None:
    """Create a run, write its Workflow's status, and wait for the run's end."""
    created, finished = (
        stage.bench.expect("workflows", name, "created"),
        stage.bench.expect("pipelineruns", name, "finished"),
    )
    await stage.bench.create("pipelineruns", pipeline_run({"spec": instant()}, name))
    await created
    await stage.set_phase(name, "Running")
    await stage.set_phase(name, "Succeeded")
    await finished


async def carry_out_workflow(stage: Stage, name: str) -> None:
    """The same with a Workflow that is created directly."""
    name = f"by-itself-{name}"
    created, finished = (stage.bench.expect("workflows", name, moment) for moment in ("created", "finished"))
    await stage.bench.create("workflows", workflow(instant(), name))
    await created
    await stage.set_phase(name, "Running")
    await stage.set_phase(name, "Succeeded")
    await finished


def print_costs(count: int, seconds: float, before: Reading, after: Reading) -> None:
    """Print speed, CPU, requests and memory of the operator."""
    made = after.requests - before.requests
    each = ", ".join(f"{number / count:.2f} {call}" for call, number in made.most_common(6))
    cpu = after.cpu - before.cpu
    print(
        f"\r  {count} runs in {seconds:.0f} s: {60 * count / seconds:.0f} a minute; {1000 * cpu / count:.1f} ms of the operator's CPU "
        f"per run ({100 * cpu / seconds:.0f}% of a core)\n"
        f"  {made.total() / count:.2f} requests per run: {each}\n"
        f"  memory {before.resident:.0f} MiB without runs, {after.peak:.0f} MiB at most, {after.resident:.0f} MiB at the end"
    )


async def memory_of_live_runs(stage: Stage, count: int) -> float:
    """MiB that this many live runs add to the operator's memory."""
    before = stage.read()
    for first in range(0, count, 100):
        names = [f"live-{number}" for number in range(first, min(first + 100, count))]
        created = [stage.bench.expect("workflows", name, "created") for name in names]
        documents = [pipeline_run({"spec": instant()}, name) for name in names]
        await asyncio.gather(*(stage.bench.create("pipelineruns", document) for document in documents))
        await asyncio.gather(*created)
        await asyncio.gather(*(stage.set_phase(name, "Running") for name in names))
    await asyncio.sleep(5)
    after = stage.read()
    print(f"  {count} live runs: {after.resident - before.resident:+.1f} MiB, {before.resident:.0f} MiB before")
    return after.resident - before.resident
