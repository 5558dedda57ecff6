"""10,000 runs driven through: runs a minute, API requests and CPU a run, and memory for each thousand that is watched."""

from __future__ import annotations

import asyncio
import sys
import time

from bench.stage import Reading, Stage, open_stage
from tests.e2e.manifests import instant, pipeline_run

COUNT = 10_000
LIVE = 500
"""Runs that are under way at a time."""

WATCHED = 1_000
"""Runs that go on at the same time, for the memory that they take."""


async def measure(count: int | None) -> bool:
    """Print what was found; there is no goal, so it is met."""
    count = count or COUNT
    async with open_stage() as stage:
        empty = stage.read()
        began = time.perf_counter()
        await drive(stage, count)
        seconds = time.perf_counter() - began
        used = stage.read()
        tell(count, seconds, empty, used)
        await watched(stage, min(WATCHED, count))
    return True


async def drive(stage: Stage, count: int) -> None:
    """Have runs created, carried out by the stand-in, and told of as finished, so many at a time."""
    turns = asyncio.Semaphore(LIVE)
    done = 0

    async def one(number: int) -> None:
        nonlocal done
        name = f"run-{number}"
        async with turns:
            created, finished = (stage.bench.expect(kind, name, what) for kind, what in MOMENTS)
            await stage.bench.create("pipelineruns", pipeline_run({"spec": instant()}, name))
            await created
            await stage.move(name, "Running")
            await stage.move(name, "Succeeded")
            await finished
        done += 1
        if done % 100 == 0:
            print(f"\r  {done} of {count} runs", end="", file=sys.stderr, flush=True)

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(one(number))


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


async def watched(stage: Stage, count: int) -> None:
    """What so many live runs add to the operator's memory."""
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
