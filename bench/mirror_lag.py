"""How long after a Workflow its run says the same, by the two watch streams, with 100 and with 1,000 runs under way."""

from __future__ import annotations

import asyncio
import statistics
import sys

from bench.apply_to_workflow import percentile
from bench.stage import Stage, open_stage
from bench.table import Row
from tests.e2e.manifests import instant, pipeline_run, workflow

LIVE = (100, 1_000)
ENDS = 90
"""Runs of them that end, some at a time, and are measured."""

AT_ONCE = 5


async def measure(count: int | None) -> list[Row]:
    """p50 and p99, beside one write and its watch event, than which no operator could be faster."""
    rows: list[Row] = []
    for live in (count,) if count else LIVE:
        async with open_stage() as stage:
            lags = await lag(stage, live)
            floor = 1000 * statistics.median(await writes(stage))
        p50, p99 = (1000 * percentile(lags, percent) for percent in (50, 99))
        print(
            f"\r  {live} live runs, {len(lags)} ends, {AT_ONCE} at a time: p50 {p50:.1f} ms, p99 {p99:.1f} ms; one write and its "
            f"watch event {floor:.1f} ms"
        )
        against = "one write until its watch event"
        rows += [
            Row(f"mirror lag with {live:,} live runs, {what}", value, floor, "ms", against)
            for what, value in (("p50", p50), ("p99", p99))
        ]
    return rows


async def writes(stage: Stage) -> list[float]:
    """Seconds from a create call to its watch event, some at a time as the ends are."""
    found: list[float] = []
    for first in range(0, ENDS, AT_ONCE):
        names = [f"alone-{number}" for number in range(first, first + AT_ONCE)]
        created = [stage.bench.expect("workflows", name, "created") for name in names]
        sent = await asyncio.gather(*(stage.bench.create("workflows", workflow(instant(), name)) for name in names))
        found += [await end - start for end, start in zip(created, sent, strict=True)]
    return found


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
