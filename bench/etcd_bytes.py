"""Bytes of a run in etcd, with its Workflow or snapshot: live, finished and archived; compared with a Workflow alone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial

from bench.progress import show_progress
from bench.stage import Stage, open_stage
from bench.table import Row
from tests.e2e.cluster import Object
from tests.e2e.manifests import instant, pipeline_run, shell, workflow

COUNT = 1_000
ARCHIVED = {"metadata": {"labels": {"runwright.dev/storage-state": "Archived"}}}


@dataclass(frozen=True)
class Shape:
    """A run of some size, with its manifest in some place."""

    label: str
    source: Object
    """`spec.workflow` of the run."""
    alone: Object
    """The same as a WorkflowSpec."""
    nodes: int


def steps(count: int) -> Object:
    """A WorkflowSpec of this many steps, each with its own template, as the KFP SDK compiles it."""
    templates = [shell(f"echo 'step {number}: {'work ' * 30}'", f"step-{number}") for number in range(count)]
    tasks = [{"name": f"step-{number}", "template": f"step-{number}"} for number in range(count)]
    return {"entrypoint": "main", "templates": [{"name": "main", "dag": {"tasks": tasks}}, *templates]}


LARGE = steps(20)
KEPT_ONCE = {"manifestFrom": {"configMapKeyRef": {"name": "manifest", "key": "workflow"}}}
SHAPES = (
    Shape("one node", {"spec": instant()}, instant(), 1),
    Shape("20 nodes, manifest inline", {"manifest": json.dumps(workflow(LARGE))}, LARGE, 20),
    Shape("20 nodes, manifest in a ConfigMap", KEPT_ONCE, LARGE, 20),
)


async def measure(count: int | None) -> list[Row]:
    """Bytes per run: the size that etcd reports in use after a compaction. No goal."""
    count = count or COUNT
    names, rows = [f"run-{number}" for number in range(count)], list[Row]()
    alone: dict[int, dict[str, float]] = {}
    for shape in SHAPES:
        print(f"  {shape.label}: {len(json.dumps(shape.source)):,} bytes of source")
        if shape.nodes not in alone:
            async with open_stage() as stage:
                acts = {"live": partial(start_workflow, shape), "finished": partial(finish_workflow, shape)}
                alone[shape.nodes] = await fill(stage, names, acts, "Workflow alone, ")
        async with open_stage() as stage:
            labels = {"runwright.dev/manifest": "true"}
            config_map = {
                "metadata": {"name": "manifest", "labels": labels},
                "data": {"workflow": json.dumps(workflow(LARGE))},
            }
            await stage.bench.call("POST", "/api/v1/namespaces/default/configmaps", config_map)
            acts = {"live": partial(start_run, shape), "finished": partial(finish_run, shape), "archived": archive}
            used = await fill(stage, names, acts, "run, ")
        for state, value in used.items():
            beside = "live" if state == "live" else "finished"
            against = f"a {beside} Workflow alone, {shape.nodes} node{'s' if shape.nodes > 1 else ''}"
            rows.append(Row(f"etcd, {state} run, {shape.label}", value, alone[shape.nodes][beside], "B", against))
    return rows


async def fill(
    stage: Stage, names: list[str], acts: Mapping[str, Callable[[Stage, str], Awaitable[None]]], label: str
) -> dict[str, float]:
    """Bytes per run after each of the acts on all runs."""
    before, count, found = stage.plane.bytes_in_use(), len(names), dict[str, float]()
    for state, act in acts.items():
        for first in range(0, count, 50):
            await asyncio.gather(*(act(stage, name) for name in names[first : first + 50]))
            show_progress(f"{label}{state}: {first + 50} of {count}")
        await asyncio.sleep(3)
        found[state] = (stage.plane.bytes_in_use() - before) / count
        print(f"\r  {label}{state}: {found[state]:,.0f} bytes each ({count}, with Workflow or snapshot)", flush=True)
    return found


async def start_workflow(shape: Shape, stage: Stage, name: str) -> None:
    """Create a Workflow without a run, and set it to Running."""
    await stage.bench.create("workflows", workflow(shape.alone, name))
    await stage.set_phase(name, "Running")


async def start_run(shape: Shape, stage: Stage, name: str) -> None:
    """Create a run, and set its Workflow to Running."""
    created = stage.bench.expect("workflows", name, "created")
    await stage.bench.create("pipelineruns", pipeline_run(shape.source, name))
    await created
    await stage.set_phase(name, "Running")


async def finish_workflow(shape: Shape, stage: Stage, name: str) -> None:
    """Set the Workflow to Succeeded, with its nodes."""
    await stage.set_phase(
        name, "Succeeded", nodes={f"{name}-{node}": node_of(name, node) for node in range(shape.nodes)}
    )


async def finish_run(shape: Shape, stage: Stage, name: str) -> None:
    """Set the run's Workflow to Succeeded, and wait for the run's end."""
    end = stage.bench.expect("pipelineruns", name, "finished")
    await finish_workflow(shape, stage, name)
    await end


def node_of(name: str, number: int) -> Object:
    """A node as Argo 3.7 writes it."""
    return {
        "id": f"{name}-{number}",
        "name": f"{name}.step-{number}",
        "displayName": f"step-{number}",
        "type": "Pod",
        "templateName": f"step-{number}",
        "templateScope": f"local/{name}",
        "phase": "Succeeded",
        "boundaryID": name,
        "startedAt": "2026-11-26T12:00:00Z",
        "finishedAt": "2026-11-26T12:00:07Z",
        "progress": "1/1",
        "resourcesDuration": {"cpu": 0, "memory": 2},
        "outputs": {"exitCode": "0"},
        "hostNodeName": "node",
    }


async def archive(stage: Stage, name: str) -> None:
    """Archive the run, and wait until it is archived."""
    path = f"{stage.bench.path('pipelineruns')}/{name}"
    await stage.bench.call("PATCH", path, ARCHIVED)
    while True:
        run = json.loads(await stage.bench.text("GET", path))
        if run["status"].get("storageState") == "Archived":
            return
        await asyncio.sleep(0.2)
