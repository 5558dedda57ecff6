"""Runs a minute, 20 at a time: PipelineRuns compared with the same Workflows created directly, in alternating blocks."""

from __future__ import annotations

import asyncio
import time

from bench.cluster import Bench
from bench.create_to_finished import finish
from bench.progress import show_progress
from bench.table import Row
from bench.workloads import ONE_STEP
from tests.e2e.manifests import pipeline_run, workflow

COUNT = 200
"""Runs, and as many Workflows."""

AT_A_TIME = 20
BLOCKS = 4
"""Blocks of each kind: runs, Workflows, Workflows, runs and so on, so that changes of the machine affect both alike."""

GOAL = 0.95
MAKE = {"pipelineruns": pipeline_run, "workflows": workflow}


async def measure(bench: Bench, count: int | None) -> list[Row]:
    """Runs a minute, compared with Argo alone."""
    size = max(1, (count or COUNT) // BLOCKS)
    seconds = dict.fromkeys(MAKE, 0.0)
    await block(bench, "workflows", "warm", min(size, AT_A_TIME))
    for number in range(BLOCKS):
        for kind in list(MAKE)[:: 1 if number % 2 else -1]:
            seconds[kind] += await block(bench, kind, str(number), size)
    rates = {kind: 60 * BLOCKS * size / took for kind, took in seconds.items()}
    print(
        f"\r  {BLOCKS * size} runs and Workflows, {AT_A_TIME} at a time: {rates['pipelineruns']:.1f} runs a minute, "
        f"{rates['workflows']:.1f} Workflows created directly"
    )
    label = f"runs a minute, {AT_A_TIME} at a time, one step each"
    against = "the same Workflows created directly"
    return [Row(label, rates["pipelineruns"], rates["workflows"], "/min", against, at_least=GOAL)]


async def block(bench: Bench, kind: str, name: str, size: int) -> float:
    """Duration of `size` runs or Workflows, in seconds."""
    left = iter(range(size))
    began, done = time.perf_counter(), 0

    async def worker() -> None:
        nonlocal done
        for number in left:
            source = {"spec": ONE_STEP} if kind == "pipelineruns" else ONE_STEP
            await finish(bench, kind, MAKE[kind](source, f"{kind[0]}-{name}-{number}"))
            done += 1
            show_progress(f"block {name} of {kind}: {done} of {size}")

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_A_TIME):
            group.create_task(worker())
    return time.perf_counter() - began
