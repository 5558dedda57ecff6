"""What a run takes in etcd: under way, finished with its Workflow, and archived with its snapshot."""

from __future__ import annotations

import asyncio
import json
import sys

from bench.stage import Stage, open_stage
from tests.e2e.manifests import instant, pipeline_run

COUNT = 1_000
ARCHIVED = {"metadata": {"labels": {"runwright.dev/storage-state": "Archived"}}}


async def measure(count: int | None) -> bool:
    """Print bytes a run, from what etcd says is in use after its history was compacted; there is no goal."""
    count = count or COUNT
    async with open_stage() as stage:
        before = stage.plane.bytes_in_use()
        names = [f"run-{number}" for number in range(count)]
        for what, act in (("live", live), ("finished", finish), ("archived", archive)):
            for first in range(0, count, 50):
                await asyncio.gather(*(act(stage, name) for name in names[first : first + 50]))
                print(f"\r  {what}: {first + 50} of {count}", end="", file=sys.stderr, flush=True)
            await asyncio.sleep(3)
            used = stage.plane.bytes_in_use() - before
            print(f"\r  {what}: {used / count:,.0f} bytes a run ({count} runs, all that belongs to them)")
    return True


async def live(stage: Stage, name: str) -> None:
    """A run whose Workflow is under way."""
    created = stage.bench.expect("workflows", name, "created")
    await stage.bench.create("pipelineruns", pipeline_run({"spec": instant()}, name))
    await created
    await stage.move(name, "Running")


async def finish(stage: Stage, name: str) -> None:
    """It ends."""
    ended = stage.bench.expect("pipelineruns", name, "finished")
    node = {"id": name, "name": name, "displayName": name, "type": "Pod", "phase": "Succeeded", "templateName": "main"}
    await stage.move(name, "Succeeded", nodes={name: node})
    await ended


async def archive(stage: Stage, name: str) -> None:
    """It is archived: the snapshot is made, and the Workflow goes."""
    path = f"{stage.bench.path('pipelineruns')}/{name}"
    await stage.bench.call("PATCH", path, ARCHIVED)
    while True:
        run = json.loads(await stage.bench.text("GET", path))
        if run["status"].get("storageState") == "Archived":
            return
        await asyncio.sleep(0.2)
