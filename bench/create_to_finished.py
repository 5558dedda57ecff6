"""Seconds from the create call to the watch event of the end: a PipelineRun compared with the same Workflow created directly.

They run in pairs and take turns in being first, so that changes of the machine affect both alike.
"""

from __future__ import annotations

import asyncio
import statistics

from bench.cluster import TIMEOUT, Bench
from bench.progress import show_progress
from bench.table import Row
from bench.workloads import NO_POD, ONE_STEP, TWO_STEPS
from tests.e2e.cluster import Object
from tests.e2e.manifests import pipeline_run, workflow

PAIRS = 20
GOAL = 1.05
"""Largest median ratio of the pairs, for runs with pods."""

WORKLOADS = {"no pod": NO_POD, "one step": ONE_STEP, "two steps": TWO_STEPS}


async def measure(bench: Bench, count: int | None) -> list[Row]:
    """The ratios. The goal applies to the workloads with pods."""
    rows: list[Row] = []
    for label, spec in WORKLOADS.items():
        pairs = await compare(bench, label, spec, count or PAIRS)
        ratios = sorted(run / direct for run, direct in pairs)
        ratio = statistics.median(ratios)
        run, direct = (statistics.median(side) for side in zip(*pairs, strict=True))
        added = statistics.median(run - direct for run, direct in pairs)
        quartiles = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else [ratio] * 3
        print(
            f"\r  {label:<10} ratio {ratio:.3f} (quartiles {quartiles[0]:.3f} to {quartiles[2]:.3f}): "
            f"PipelineRun {run:.3f} s, Workflow {direct:.3f} s, median difference {1000 * added:+.0f} ms, {len(pairs)} pairs",
            flush=True,
        )
        rows.append(
            Row(
                f"create to finished, {label}",
                *(run, direct, "s", "the same Workflow created directly"),
                at_most=None if spec is NO_POD else GOAL,
                low=quartiles[0],
                high=quartiles[2],
                given_ratio=ratio,
            )
        )
    return rows


async def compare(bench: Bench, label: str, spec: Object, count: int) -> list[tuple[float, float]]:
    """Seconds of the PipelineRun and of the Workflow, for each pair. The first pair is the warm-up and does not count."""
    pairs: list[tuple[float, float]] = []
    for number in range(count + 1):
        name = f"{label.replace(' ', '-')}-{number}"
        sides = {"pipelineruns": pipeline_run({"spec": spec}, f"run-{name}"), "workflows": workflow(spec, f"wf-{name}")}
        took: dict[str, float] = {}
        for kind in list(sides)[:: 1 if number % 2 else -1]:
            took[kind] = await finish(bench, kind, sides[kind])
        if number:
            pairs.append((took["pipelineruns"], took["workflows"]))
        show_progress(f"{label}: {number} of {count} pairs")
    return pairs


async def finish(bench: Bench, kind: str, document: Object) -> float:
    """Create the object; gives the seconds until the watch event of its end."""
    end = bench.expect(kind, document["metadata"]["name"], "finished")
    start = await bench.create(kind, document)
    return await asyncio.wait_for(end, TIMEOUT) - start
