"""What a run takes in etcd: under way, finished with its Workflow, and archived with its snapshot; beside a Workflow alone."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial

from bench.stage import Stage, open_stage
from bench.table import Row
from tests.e2e.cluster import Object
from tests.e2e.manifests import instant, pipeline_run, shell, workflow

COUNT = 1_000
ARCHIVED = {"metadata": {"labels": {"runwright.dev/storage-state": "Archived"}}}


@dataclass(frozen=True)
class Shape:
    """What is run: how large it is, and where its manifest is kept."""

    what: str
    source: Object
    """Of `spec.workflow`."""
    alone: Object
    """The same as a WorkflowSpec."""
    nodes: int


def steps(count: int) -> Object:
    """A WorkflowSpec of so many steps, each with a template of its own, as the KFP SDK compiles one."""
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
    """Bytes a run, from what etcd says is in use after its history was compacted; there is no goal."""
    count = count or COUNT
    names, rows = [f"run-{number}" for number in range(count)], list[Row]()
    alone: dict[int, dict[str, float]] = {}
    for shape in SHAPES:
        print(f"  {shape.what}: {len(json.dumps(shape.source)):,} bytes of source")
        if shape.nodes not in alone:
            async with open_stage() as stage:
                acts = {"live": partial(live_alone, shape), "finished": partial(finish, shape)}
                alone[shape.nodes] = await fill(stage, names, acts, "Workflow alone, ")
        async with open_stage() as stage:
            config_map = {"metadata": {"name": "manifest"}, "data": {"workflow": json.dumps(workflow(LARGE))}}
            await stage.bench.call("POST", "/api/v1/namespaces/default/configmaps", config_map)
            acts = {"live": partial(live, shape), "finished": partial(finish_run, shape), "archived": archive}
            used = await fill(stage, names, acts, "run, ")
        for what, value in used.items():
            beside = "live" if what == "live" else "finished"
            against = f"a {beside} Workflow alone, {shape.nodes} node{'s' if shape.nodes > 1 else ''}"
            rows.append(Row(f"etcd, {what} run, {shape.what}", value, alone[shape.nodes][beside], "B", against))
    return rows


async def fill(
    stage: Stage, names: list[str], acts: Mapping[str, Callable[[Stage, str], Awaitable[None]]], who: str
) -> dict[str, float]:
    """Bytes a run, after each of these was done with all of them."""
    before, count, found = stage.plane.bytes_in_use(), len(names), dict[str, float]()
    for what, act in acts.items():
        for first in range(0, count, 50):
            await asyncio.gather(*(act(stage, name) for name in names[first : first + 50]))
            print(f"\r  {who}{what}: {first + 50} of {count}", end="", file=sys.stderr, flush=True)
        await asyncio.sleep(3)
        found[what] = (stage.plane.bytes_in_use() - before) / count
        print(f"\r  {who}{what}: {found[what]:,.0f} bytes each ({count}, all that belongs to them)", flush=True)
    return found


async def live_alone(shape: Shape, stage: Stage, name: str) -> None:
    """A Workflow that nobody but Argo knows of."""
    await stage.bench.create("workflows", workflow(shape.alone, name))
    await stage.move(name, "Running")


async def live(shape: Shape, stage: Stage, name: str) -> None:
    """A run whose Workflow is under way."""
    created = stage.bench.expect("workflows", name, "created")
    await stage.bench.create("pipelineruns", pipeline_run(shape.source, name))
    await created
    await stage.move(name, "Running")


async def finish(shape: Shape, stage: Stage, name: str) -> None:
    """Its Workflow ends."""
    await stage.move(name, "Succeeded", nodes={f"{name}-{node}": node_of(name, node) for node in range(shape.nodes)})


async def finish_run(shape: Shape, stage: Stage, name: str) -> None:
    """It ends."""
    ended = stage.bench.expect("pipelineruns", name, "finished")
    await finish(shape, stage, name)
    await ended


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
    """It is archived: the snapshot is made, and the Workflow goes."""
    path = f"{stage.bench.path('pipelineruns')}/{name}"
    await stage.bench.call("PATCH", path, ARCHIVED)
    while True:
        run = json.loads(await stage.bench.text("GET", path))
        if run["status"].get("storageState") == "Archived":
            return
        await asyncio.sleep(0.2)
