"""From the create call of a PipelineRun to the watch event that its Workflow is there, on an idle operator.

Beside it, the same for a Workflow that is created by itself: what the API server and the watch take is in both.
"""

from __future__ import annotations

import asyncio
import statistics
import sys

from bench.cluster import TIMEOUT, Bench
from bench.table import Row
from bench.workloads import NO_POD
from tests.e2e.manifests import pipeline_run, workflow

COUNT = 100
GOAL_SECONDS = 0.050


async def measure(bench: Bench, count: int | None) -> list[Row]:
    """The percentiles; the goal is of the median."""
    count = count or COUNT
    runs: list[float] = []
    direct: list[float] = []
    for number in range(count + 1):
        name = f"idle-{number}"
        created, ended = (bench.expect("workflows", name, what) for what in ("created", "finished"))
        told = bench.expect("pipelineruns", name, "finished")
        start = await bench.create("pipelineruns", pipeline_run({"spec": NO_POD}, name))
        took = await asyncio.wait_for(created, TIMEOUT) - start
        # The operator is idle again once it has told of the end.
        await asyncio.wait_for(asyncio.gather(ended, told), TIMEOUT)

        created = bench.expect("workflows", f"direct-{name}", "created")
        ended = bench.expect("workflows", f"direct-{name}", "finished")
        start = await bench.create("workflows", workflow(NO_POD, f"direct-{name}"))
        took_direct = await asyncio.wait_for(created, TIMEOUT) - start
        await asyncio.wait_for(ended, TIMEOUT)
        if number:
            runs.append(took)
            direct.append(took_direct)
        print(f"\r  {number} of {count}", end="", file=sys.stderr, flush=True)
    p50, p99, floor = percentile(runs, 50), percentile(runs, 99), statistics.median(direct)
    print(
        f"\r  p50 {1000 * p50:.1f} ms, p99 {1000 * p99:.1f} ms, {len(runs)} runs; a Workflow by itself: p50 {1000 * floor:.1f} ms, "
        f"p99 {1000 * percentile(direct, 99):.1f} ms; ratio of the p50 {p50 / floor:.2f}",
        flush=True,
    )
    against, goal = "a Workflow created by itself", 1000 * GOAL_SECONDS
    return [
        Row("create call to Workflow, p50", 1000 * p50, 1000 * floor, "ms", against, at_most=goal, absolute=True),
        Row("create call to Workflow, p99", 1000 * p99, 1000 * percentile(direct, 99), "ms", against),
    ]


def percentile(values: list[float], percent: int) -> float:
    """The value that so many percent of them are at or under (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]
