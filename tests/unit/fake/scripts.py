"""Scripts of the fake Argo: a Workflow's status over time, by entrypoint."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from tests.unit.fake.apiserver import timestamp

Json = Mapping[str, Any]
Step = tuple[float, dict[str, Any]]
"""Seconds after the Workflow's start, and its status then. `<seconds>` is a time after the start."""


def node(name: str, kind: str, phase: str, start: int, end: int | None = None, **more: Any) -> dict[str, Any]:
    return {
        "id": name,
        "name": name,
        "displayName": name.rpartition(".")[2],
        "type": kind,
        "phase": phase,
        "startedAt": f"<{start}>",
        **({"finishedAt": f"<{end}>"} if end is not None else {}),
        **more,
    }


def status(phase: str, progress: str, *nodes: dict[str, Any], end: int | None = None, **more: Any) -> dict[str, Any]:
    return {
        "phase": phase,
        "progress": progress,
        "startedAt": "<0>",
        **({"finishedAt": f"<{end}>"} if end is not None else {}),
        "nodes": {n["id"]: n for n in nodes},
        **more,
    }


def two_steps(name: str, start: float = 0.05) -> list[Step]:
    """A DAG of two steps, a and b, as Argo reports it."""
    a, b = f"{name}.a", f"{name}.b"
    out = {"parameters": [{"name": "accuracy", "value": "0.93"}]}
    return [
        (start, status("Running", "0/2", node(name, "DAG", "Running", 0), node(a, "Pod", "Pending", 0))),
        (start + 1, status("Running", "0/2", node(name, "DAG", "Running", 0), node(a, "Pod", "Running", 0))),
        (
            start + 3,
            status(
                "Running",
                "1/2",
                node(name, "DAG", "Running", 0),
                node(a, "Pod", "Succeeded", 0, 3),
                node(b, "Pod", "Pending", 3),
            ),
        ),
        (
            start + 6,
            status(
                "Succeeded",
                "2/2",
                node(name, "DAG", "Succeeded", 0, 6, outputs=out),
                node(a, "Pod", "Succeeded", 0, 3),
                node(b, "Pod", "Succeeded", 3, 6),
                end=6,
            ),
        ),
    ]


def measured(name: str) -> list[Step]:
    """`two_steps` with metrics: an artifact of step a, a parameter of step b."""
    a, b = f"{name}.a", f"{name}.b"
    outputs_of_a = {"artifacts": [{"name": "mlpipeline-metrics", "s3": {"key": "metrics.tgz"}}]}
    outputs_of_b = {
        "parameters": [{"name": "mlpipeline-metrics", "value": '{"metrics": [{"name": "f1", "numberValue": 0.5}]}'}]
    }
    steps = two_steps(name)
    for _, step_status in steps:
        for key, outputs in ((a, outputs_of_a), (b, outputs_of_b)):
            if step_status["nodes"].get(key, {}).get("phase") == "Succeeded":
                step_status["nodes"][key]["outputs"] = outputs
    return steps


def failing(name: str) -> list[Step]:
    """Step a of the DAG fails."""
    a = f"{name}.a"
    return [
        *two_steps(name)[:2],
        (
            4,
            status(
                "Failed",
                "0/1",
                node(name, "DAG", "Failed", 0, 4),
                node(a, "Pod", "Failed", 0, 4, message="Error (exit code 3)"),
                end=4,
            ),
        ),
    ]


def erring(name: str) -> list[Step]:
    message = "pods is forbidden: exceeded quota"
    nodes = node(name, "DAG", "Error", 0, 2), node(f"{name}.a", "Pod", "Error", 0, 2, message=message)
    return [*two_steps(name)[:1], (2, status("Error", "0/1", *nodes, end=2, message=message))]


def refused(name: str) -> list[Step]:
    """A Workflow that fails validation: Argo 3.7 starts no node."""
    return [(0.05, status("Error", "0/0", end=0, message="invalid spec: templates.main.dag depends on nothing"))]


def endless(name: str) -> list[Step]:
    return two_steps(name)[:2]


def many(name: str) -> list[Step]:
    """A thousand pods; one of them fails."""
    pods = [node(f"{name}.{n}", "Pod", "Succeeded", 0, 3) for n in range(1000)]
    pods[777] = node(f"{name}.777", "Pod", "Failed", 0, 3, message="OOMKilled (exit code 137)")
    return [
        (0.05, status("Running", "0/1000", node(name, "DAG", "Running", 0))),
        (4, status("Failed", "999/1000", node(name, "DAG", "Failed", 0, 4), *pods, end=4)),
    ]


def flaky(name: str) -> list[Step]:
    """Step a succeeds and step b fails: at the second attempt, b succeeds too."""
    a, b = f"{name}.a", f"{name}.b"
    failed = status(
        "Failed",
        "1/2",
        node(name, "DAG", "Failed", 0, 5),
        node(a, "Pod", "Succeeded", 0, 3),
        node(b, "Pod", "Failed", 3, 5, message="Error (exit code 3)"),
        end=5,
    )
    return [*two_steps(name)[:3], (5, failed)]


Script = Callable[[str], list[Step]]

SCRIPTS: dict[str, tuple[Script, ...]] = {
    "two-steps": (two_steps,),
    "measured": (measured,),
    "slow": (lambda name: two_steps(name, start=8),),
    "failing": (failing,),
    "erring": (erring, two_steps),
    "refused": (refused,),
    "endless": (endless, two_steps),
    "many": (many,),
    "compressed": (two_steps,),
    "flaky": (flaky, two_steps),
    "compressed-flaky": (flaky, two_steps),
    "flaky-twice": (flaky, flaky, two_steps),
}
"""The script of each attempt, by entrypoint. The last script repeats."""

MOST_PODS = 10
"""Limit of nodes with pods. Larger scripts create no pods, to save time."""


def script_of(entrypoint: str, name: str, attempt: int) -> list[Step]:
    """The script of an attempt; empty for an unknown entrypoint."""
    scripts = SCRIPTS.get(entrypoint, (lambda _: [],))
    return scripts[min(attempt, len(scripts) - 1)](name)


def packed(entrypoint: str, found: dict[str, Any]) -> dict[str, Any]:
    """The status as Argo stores it: entrypoints with `compressed` have their nodes in `compressedNodes`."""
    if not entrypoint.startswith("compressed") or not found.get("nodes"):
        return found
    nodes = base64.b64encode(gzip.compress(json.dumps(found["nodes"]).encode(), mtime=0)).decode()
    return {**{key: value for key, value in found.items() if key != "nodes"}, "compressedNodes": nodes}


def timed(value: Any, started: datetime) -> Any:
    """The value with each `<seconds>` replaced by a timestamp."""
    match value:
        case dict():
            return {key: timed(item, started) for key, item in value.items()}
        case str() if value.startswith("<") and value.endswith(">") and value[1:-1].isdigit():
            at = started.replace(microsecond=0).timestamp() + int(value[1:-1])
            return timestamp(datetime.fromtimestamp(at, started.tzinfo))
        case _:
            return value
