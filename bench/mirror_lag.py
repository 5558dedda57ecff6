"""Seconds from a Workflow's end to the end of its run, both by their watch events, with 100 and with 1,000 live runs."""

from __future__ import annotations

import asyncio
import statistics

from bench.percentiles import percentile
from bench.progress import show_progress
from bench.stage import Stage, open_stage
from bench.table import Row
from tests.e2e.manifests import instant, pipeline_run, workflow

LIVE = (100, 1_000)
ENDS = 90
"""Number of live runs whose end is measured."""

AT_ONCE = 5


async def measure(count: int | None) -> list[Row]:
    """p50 and p99, compared with one write and its watch event, the lower bound for any operator."""
    rows: list[Row] = []
    for live in (count,) if count else LIVE:
        async with open_stage() as stage:
            lags = await lag(stage, live)
            floor = 1000 * statistics.median(await writes(stage))
        p50, p99 = (1000 * percentile(lags, percent) for percent in (50, 99))
        print(
            f"\r  {live} live runs, {len(lags)} ends, {AT_ONCE} at a time: p50 {p50:.1f} ms, p99 {p99:.1f} ms; one write to its "
            f"watch event: {floor:.1f} ms"
        )
        against = "one write to its watch event"
        rows += [
            Row(f"mirror lag with {live:,} live runs, {percent}", value, floor, "ms", against)
            for percent, value in (("p50", p50), ("p99", p99))
        ]
    return rows


async def writes(stage: Stage) -> list[float]:
    """Seconds from a create call to its watch event, AT_ONCE at a time."""
    found: list[float] = []
    for first in range(0, ENDS, AT_ONCE):
        names = [f"alone-{number}" for number in range(first, first + AT_ONCE)]
        created = [stage.bench.expect("workflows", name, "created") for name in names]
        sent = await asyncio.gather(*(stage.bench.create("workflows", workflow(instant(), name)) for name in names))
        found += [await end - start for end, start in zip(created, sent, strict=True)]
    return found


async def lag(stage: Stage, live: int) -> list[float]:
    """Seconds from the watch event of a Workflow's end to that of its run."""
    bench = stage.bench
    names = [f"run-{number}" for number in range(live)]
    for first in range(0, live, 50):
        batch = names[first : first + 50]
        created = [bench.expect("workflows", name, "created") for name in batch]
        await asyncio.gather(*(bench.create("pipelineruns", pipeline_run({"spec": instant()}, name)) for name in batch))
        await asyncio.gather(*created)
        await asyncio.gather(*(stage.set_phase(name, "Running") for name in batch))
        show_progress(f"{first + len(batch)} of {live} runs are running")
    await asyncio.sleep(5)
    found: list[float] = []
    ends = names[:: max(1, live // ENDS)][:ENDS]
    for first in range(0, len(ends), AT_ONCE):
        batch = ends[first : first + AT_ONCE]
        moments = [
            (bench.expect("workflows", name, "finished"), bench.expect("pipelineruns", name, "finished"))
            for name in batch
        ]
        await asyncio.gather(*(stage.set_phase(name, "Succeeded") for name in batch))
        for workflow_end, run_end in moments:
            found.append(await run_end - await workflow_end)
    return found
