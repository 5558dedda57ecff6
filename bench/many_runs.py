"""10,000 runs driven through: runs a minute, API requests and CPU a run, and memory for each thousand that is watched."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial

from bench.argo_alone import argo_alone
from bench.stage import Reading, Stage, open_stage
from bench.table import Row
from tests.e2e.manifests import instant, pipeline_run, workflow

COUNT = 10_000
LIVE = 500
"""Runs that are under way at a time."""

WATCHED = 1_000
"""Runs that go on at the same time, for the memory that they take."""


async def measure(count: int | None) -> list[Row]:
    """Speed beside the same Workflows by themselves, CPU and memory beside Argo's controller's; there is no goal."""
    count = count or COUNT
    async with open_stage() as stage:
        empty = stage.read()
        seconds = await timed(drive(count, partial(with_run, stage)))
        used = stage.read()
        tell(count, seconds, empty, used)
        by_themselves = await timed(drive(count, partial(by_itself, stage)))
        print(f"\r  {count} Workflows by themselves: {60 * count / by_themselves:.0f} a minute", flush=True)
        watched_count = min(WATCHED, count)
        memory = await watched(stage, watched_count)
    argo = await argo_alone(watched_count)
    cpu, made = 1000 * (used.cpu - empty.cpu) / count, (used.requests - empty.requests).total()
    print(
        f"\r  Argo's controller: {1000 * argo.cpu:.1f} ms of CPU a Workflow, {argo.watched:.1f} MiB for {watched_count}"
    )
    return [
        Row(
            "runs a minute, a stand-in for Argo",
            60 * count / seconds,
            60 * count / by_themselves,
            "/min",
            "no operator",
        ),
        Row("operator's CPU a run", cpu, 1000 * argo.cpu, "ms", "Argo's controller, a Workflow without pods"),
        Row("API requests a run", made / count, None, ""),
        Row(f"memory of {watched_count:,} live runs", memory, argo.watched, "MiB", "Argo's controller"),
        Row("operator's memory at most", used.peak, empty.resident, "MiB", "itself without runs"),
    ]


async def timed(work: Awaitable[None]) -> float:
    """Seconds that it takes."""
    began = time.perf_counter()
    await work
    return time.perf_counter() - began


async def drive(count: int, carry_out: Callable[[str], Awaitable[None]]) -> None:
    """Have so many runs, or what stands for them, carried out, some at a time."""
    turns = asyncio.Semaphore(LIVE)
    done = 0

    async def one(number: int) -> None:
        nonlocal done
        async with turns:
            await carry_out(f"run-{number}")
        done += 1
        if done % 100 == 0:
            print(f"\r  {done} of {count} runs", end="", file=sys.stderr, flush=True)

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(one(number))


async def with_run(stage: Stage, name: str) -> None:
    """A run, created, carried out by the stand-in, and told of as finished."""
    created, finished = (stage.bench.expect(kind, name, what) for kind, what in MOMENTS)
    await stage.bench.create("pipelineruns", pipeline_run({"spec": instant()}, name))
    await created
    await stage.move(name, "Running")
    await stage.move(name, "Succeeded")
    await finished


async def by_itself(stage: Stage, name: str) -> None:
    """The same Workflow without a run."""
    name = f"by-itself-{name}"
    created, finished = (stage.bench.expect("workflows", name, what) for what in ("created", "finished"))
    await stage.bench.create("workflows", workflow(instant(), name))
    await created
    await stage.move(name, "Running")
    await stage.move(name, "Succeeded")
    await finished


MOMENTS = (("workflows", "created"), ("pipelineruns", "finished"))


def tell(count: int, seconds: float, before: Reading, after: Reading) -> None:
    """What the operator has done in that time, a run."""
    made = after.requests - before.requests
    each = ", ".join(f"{number / count:.2f} {what}" for what, number in made.most_common(6))
    cpu = after.cpu - before.cpu
    print(
        f"\r  {count} runs in {seconds:.0f} s: {60 * count / seconds:.0f} a minute; {1000 * cpu / count:.1f} ms of the operator's CPU a "
        f"run ({100 * cpu / seconds:.0f}% of a core)\n"
        f"  {made.total() / count:.2f} requests a run: {each}\n"
        f"  memory {before.resident:.0f} MiB empty, {after.peak:.0f} MiB at most, {after.resident:.0f} MiB at the end"
    )


async def watched(stage: Stage, count: int) -> float:
    """MiB that so many live runs add to the operator's memory."""
    before = stage.read()
    for first in range(0, count, 100):
        names = [f"live-{number}" for number in range(first, min(first + 100, count))]
        created = [stage.bench.expect("workflows", name, "created") for name in names]
        documents = [pipeline_run({"spec": instant()}, name) for name in names]
        await asyncio.gather(*(stage.bench.create("pipelineruns", document) for document in documents))
        await asyncio.gather(*created)
        await asyncio.gather(*(stage.move(name, "Running") for name in names))
    await asyncio.sleep(5)
    after = stage.read()
    print(f"  {count} live runs: {after.resident - before.resident:+.1f} MiB beside {before.resident:.0f} MiB")
    return after.resident - before.resident
