"""Seconds from the create call of a PipelineRun to the watch event of its Workflow, on an idle operator.

Compared with a Workflow that is created directly: both figures include the API server and the watch.
"""

from __future__ import annotations

import asyncio
import statistics

from bench.cluster import TIMEOUT, Bench
from bench.percentiles import percentile
from bench.progress import show_progress
from bench.table import Row
from bench.workloads import NO_POD
from tests.e2e.manifests import pipeline_run, workflow

COUNT = 100
GOAL_SECONDS = 0.050


async def measure(bench: Bench, count: int | None) -> list[Row]:
    """p50 and p99. The goal applies to the p50."""
    count = count or COUNT
    runs: list[float] = []
    direct: list[float] = []
    for number in range(count + 1):
        name = f"idle-{number}"
        created, workflow_end = (bench.expect("workflows", name, moment) for moment in ("created", "finished"))
        run_end = bench.expect("pipelineruns", name, "finished")
        start = await bench.create("pipelineruns", pipeline_run({"spec": NO_POD}, name))
        took = await asyncio.wait_for(created, TIMEOUT) - start
        # Once the run is finished, the operator is idle again.
        await asyncio.wait_for(asyncio.gather(workflow_end, run_end), TIMEOUT)

        created, workflow_end = (
            bench.expect("workflows", f"direct-{name}", moment) for moment in ("created", "finished")
        )
        start = await bench.create("workflows", workflow(NO_POD, f"direct-{name}"))
        took_direct = await asyncio.wait_for(created, TIMEOUT) - start
        await asyncio.wait_for(workflow_end, TIMEOUT)
        if number:  # the first pair is the warm-up
            runs.append(took)
            direct.append(took_direct)
        show_progress(f"{number} of {count}")
    p50, p99, direct_p50 = percentile(runs, 50), percentile(runs, 99), statistics.median(direct)
    print(
        f"\r  PipelineRun: p50 {1000 * p50:.1f} ms, p99 {1000 * p99:.1f} ms, {len(runs)} runs; Workflow created directly: "
        f"p50 {1000 * direct_p50:.1f} ms, p99 {1000 * percentile(direct, 99):.1f} ms; ratio of the p50 {p50 / direct_p50:.2f}",
        flush=True,
    )
    against, goal = "a Workflow created directly", 1000 * GOAL_SECONDS
    return [
        Row("create call to Workflow, p50", 1000 * p50, 1000 * direct_p50, "ms", against, at_most=goal, absolute=True),
        Row("create call to Workflow, p99", 1000 * p99, 1000 * percentile(direct, 99), "ms", against),
    ]
