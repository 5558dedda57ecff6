"""One Workflow of 5,000 nodes, updated as Argo does while it runs: size of the run, the operator's writes, and its lag."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import time

from bench.progress import show_progress
from bench.stage import Stage, open_stage
from bench.table import Row
from tests.e2e.cluster import Object
from tests.e2e.manifests import instant, pipeline_run

NODES = 5_000
STEPS = 50
"""Number of updates of the Workflow; each has more finished nodes."""

PAUSE = 0.5
"""Seconds between two updates."""


async def measure(count: int | None) -> list[Row]:
    """Size of the run, the operator's writes, and the lag of its end. No goal."""
    nodes = count or NODES
    async with open_stage() as stage:
        before = stage.read()
        lag = await run_through(stage, nodes)
        after = stage.read()
        run = await stage.bench.text("GET", f"{stage.bench.path('pipelineruns')}/large")
        workflow = await stage.bench.text("GET", f"{stage.bench.path('workflows')}/large")
        requests = after.requests - before.requests
        writes = sum(number for call, number in requests.items() if call.split()[0] in ("create", "patch", "update"))
        print(
            f"\r  {nodes} nodes, {STEPS} updates: the run has {len(run):,} bytes; {writes} writes by the operator; the run ended "
            f"{1000 * lag:.0f} ms after its Workflow; {(after.cpu - before.cpu) / STEPS * 1000:.0f} ms of CPU per update; "
            f"memory {before.resident:.0f} to {after.peak:.0f} MiB"
        )
        return [
            Row(f"bytes of a run of {nodes:,} nodes", len(run), len(workflow), "B", "its Workflow, packed by Argo"),
            Row("writes of its status", writes, STEPS, "", "Argo's writes of the Workflow"),
            Row("lag of its end behind its Workflow's", 1000 * lag, None, "ms"),
        ]


async def run_through(stage: Stage, nodes: int) -> float:
    """Carry out a Workflow of this many nodes; gives the seconds between its end and that of its run."""
    bench = stage.bench
    created = bench.expect("workflows", "large", "created")
    ends = [bench.expect(kind, "large", "finished") for kind in ("workflows", "pipelineruns")]
    await bench.create("pipelineruns", pipeline_run({"spec": instant()}, "large"))
    await created
    began = time.perf_counter()
    for step in range(1, STEPS + 1):
        done = nodes * step // STEPS
        status: Object = {
            "progress": f"{done}/{nodes}",
            "compressedNodes": compressed_nodes(nodes, done),
        }
        if step == STEPS:
            status["finishedAt"] = "2026-11-26T13:00:00Z"
        await stage.set_phase("large", "Succeeded" if step == STEPS else "Running", **status)
        show_progress(f"{done} of {nodes} nodes, {time.perf_counter() - began:.0f} s")
        await asyncio.sleep(PAUSE)
    workflow_end, run_end = [await end for end in ends]
    return run_end - workflow_end


def compressed_nodes(nodes: int, done: int) -> str:
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
