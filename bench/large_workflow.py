"""One Workflow of 5,000 nodes, as Argo writes it while it runs: the run's own size, the operator's writes, and how late it is."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import sys
import time

from bench.stage import Stage, open_stage
from bench.table import Row
from tests.e2e.cluster import Object
from tests.e2e.manifests import instant, pipeline_run

NODES = 5_000
STEPS = 50
"""Times that Argo writes the Workflow, each with more nodes that have ended."""

PAUSE = 0.5
"""Seconds between two of them."""


async def measure(count: int | None) -> list[Row]:
    """Size of the run, the operator's writes, and how late it is; there is no goal."""
    nodes = count or NODES
    async with open_stage() as stage:
        before = stage.read()
        lag = await run_through(stage, nodes)
        after = stage.read()
        run = await stage.bench.text("GET", f"{stage.bench.path('pipelineruns')}/large")
        workflow = await stage.bench.text("GET", f"{stage.bench.path('workflows')}/large")
        made = after.requests - before.requests
        writes = sum(number for what, number in made.items() if what.split()[0] in ("create", "patch", "update"))
        print(
            f"\r  {nodes} nodes, written {STEPS} times: the run has {len(run):,} bytes; {writes} writes by the operator; told "
            f"{1000 * lag:.0f} ms after its Workflow of its end; {(after.cpu - before.cpu) / STEPS * 1000:.0f} ms of CPU a write of "
            f"Argo's; memory {before.resident:.0f} to {after.peak:.0f} MiB"
        )
        return [
            Row(f"bytes of a run of {nodes:,} nodes", len(run), len(workflow), "B", "its Workflow, packed by Argo"),
            Row("writes of its status", writes, STEPS, "", "Argo's writes of the Workflow"),
            Row("its end is told after its Workflow's", 1000 * lag, None, "ms"),
        ]


async def run_through(stage: Stage, nodes: int) -> float:
    """Have a Workflow with so many nodes run to its end; gives the seconds between its end and that of its run."""
    bench = stage.bench
    created = bench.expect("workflows", "large", "created")
    ended = [bench.expect(kind, "large", "finished") for kind in ("workflows", "pipelineruns")]
    await bench.create("pipelineruns", pipeline_run({"spec": instant()}, "large"))
    await created
    began = time.perf_counter()
    for step in range(1, STEPS + 1):
        done = nodes * step // STEPS
        status: Object = {
            "progress": f"{done}/{nodes}",
            "compressedNodes": compressed(nodes, done),
        }
        if step == STEPS:
            status["finishedAt"] = "2026-11-26T13:00:00Z"
        await stage.move("large", "Succeeded" if step == STEPS else "Running", **status)
        print(f"\r  {done} of {nodes} nodes, {time.perf_counter() - began:.0f} s", end="", file=sys.stderr, flush=True)
        await asyncio.sleep(PAUSE)
    of_workflow, of_run = [await one for one in ended]
    return of_run - of_workflow


def compressed(nodes: int, done: int) -> str:
    """`status.compressedNodes` as Argo 3.7 writes it: JSON, gzip, base64."""
    found = {
        f"large-{number}": {
            "id": f"large-{number}",
            "name": f"large.fan({number}:{number})",
            "displayName": f"fan({number}:{number})",
            "type": "Pod",
            "templateName": "work",
            "phase": "Succeeded" if number < done else "Running",
            "startedAt": "2026-11-26T12:00:00Z",
            "finishedAt": "2026-11-26T12:10:00Z" if number < done else None,
            "inputs": {"parameters": [{"name": "item", "value": str(number)}]},
        }
        for number in range(nodes)
    }
    return base64.b64encode(gzip.compress(json.dumps(found).encode(), 6)).decode()
