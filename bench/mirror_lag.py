"""How long after a Workflow its run says the same, by the two watch streams, with 100 and with 1,000 runs under way."""

from __future__ import annotations

import asyncio
import statistics
import sys

from bench.stage import Stage, open_stage
from tests.e2e.manifests import instant, pipeline_run

LIVE = (100, 1_000)
ENDS = 90
"""Runs of them that end, some at a time, and are measured."""

AT_ONCE = 5


async def measure(count: int | None) -> bool:
    """Print p50 and p99; there is no goal, so it is met."""
    for live in (count,) if count else LIVE:
        async with open_stage() as stage:
            lags = await lag(stage, live)
        ordered = sorted(lags)
        p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
        print(
            f"\r  {live} live runs, {len(lags)} ends, {AT_ONCE} at a time: p50 {1000 * statistics.median(ordered):.1f} ms, "
            f"p99 {1000 * p99:.1f} ms"
        )
    return True


async def lag(stage: Stage, live: int) -> list[float]:
    """Seconds from the watch event of the Workflow's end to that of its run's."""
    bench = stage.bench
    names = [f"run-{number}" for number in range(live)]
    for first in range(0, live, 50):
        some = names[first : first + 50]
        created = [bench.expect("workflows", name, "created") for name in some]
        await asyncio.gather(*(bench.create("pipelineruns", pipeline_run({"spec": instant()}, name)) for name in some))
        await asyncio.gather(*created)
        await asyncio.gather(*(stage.move(name, "Running") for name in some))
        print(f"\r  {first + len(some)} of {live} runs are under way", end="", file=sys.stderr, flush=True)
    await asyncio.sleep(5)
    found: list[float] = []
    ends = names[:: max(1, live // ENDS)][:ENDS]
    for first in range(0, len(ends), AT_ONCE):
        some = ends[first : first + AT_ONCE]
        moments = [
            (bench.expect("workflows", name, "finished"), bench.expect("pipelineruns", name, "finished"))
            for name in some
        ]
        await asyncio.gather(*(stage.move(name, "Succeeded") for name in some))
        for of_workflow, of_run in moments:
            found.append(await of_run - await of_workflow)
    return found
