"""What Argo's controller does to a Workflow, as far as the sweep needs it: a script for each entrypoint.

Only these unit tests use it; what the real controller does is seen in tests/e2e.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from tests.unit.fake.apiserver import ApiServer, Change, timestamp

Json = Mapping[str, Any]
Step = tuple[float, dict[str, Any]]
"""Seconds after the Workflow's creation, and what its status is then; `<seconds>` stands for a time after its creation."""


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
    """A DAG of two steps, a and b, as Argo tells of it."""
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
    return [*two_steps(name)[:1], (2, status("Error", "0/1", end=2, message="pods is forbidden: exceeded quota"))]


def refused(name: str) -> list[Step]:
    """What validation does not let pass; Argo 3.7 starts no node."""
    return [(0.05, status("Error", "0/0", end=0, message="invalid spec: templates.main.dag depends on nothing"))]


def endless(name: str) -> list[Step]:
    return two_steps(name)[:2]


def many(name: str) -> list[Step]:
    """A thousand pods, of which one fails."""
    pods = [node(f"{name}.{n}", "Pod", "Succeeded", 0, 3) for n in range(1000)]
    pods[777] = node(f"{name}.777", "Pod", "Failed", 0, 3, message="OOMKilled (exit code 137)")
    return [
        (0.05, status("Running", "0/1000", node(name, "DAG", "Running", 0))),
        (4, status("Failed", "999/1000", node(name, "DAG", "Failed", 0, 4), *pods, end=4)),
    ]


def compressed(name: str) -> list[Step]:
    """Nodes in `compressedNodes`, as Argo keeps those of a large run."""
    steps = two_steps(name)
    for _, told in steps:
        packed = gzip.compress(json.dumps(told.pop("nodes")).encode(), mtime=0)
        told["compressedNodes"] = base64.b64encode(packed).decode()
    return steps


SHUTDOWN_SECONDS = 0.3
"""How long it takes to end what runs."""

SCRIPTS: dict[str, Callable[[str], list[Step]]] = {
    "two-steps": two_steps,
    "slow": lambda name: two_steps(name, start=8),
    "failing": failing,
    "erring": erring,
    "refused": refused,
    "endless": endless,
    "many": many,
    "compressed": compressed,
}


class Argo:
    """The controller: takes up every Workflow that is created, and goes through the script of its entrypoint."""

    def __init__(self, server: ApiServer, now: Callable[[], datetime]) -> None:
        self._server, self._now = server, now
        server.listeners.append(self._changed)

    def _changed(self, change: Change) -> None:
        if change.kind == "Workflow" and change.type == "MODIFIED" and change.old is not None:
            how = change.body["spec"].get("shutdown")
            if how and how != change.old["spec"].get("shutdown"):
                asyncio.get_running_loop().call_later(SHUTDOWN_SECONDS, self._end, change, how)
            return
        if change.kind != "Workflow" or change.type != "ADDED" or change.body.get("status"):
            return
        entrypoint = change.body["spec"].get("entrypoint")
        if entrypoint not in SCRIPTS:
            return
        loop, created = asyncio.get_running_loop(), self._now()
        for after, told in SCRIPTS[entrypoint](change.body["metadata"]["name"]):
            loop.call_later(after, self._tell, change, timed(told, created))

    def _tell(self, created: Change, told: Json) -> None:
        metadata = created.body["metadata"]
        there = self._server.objects.get(("Workflow", metadata["namespace"], metadata["name"]))
        if there is None or there["metadata"]["uid"] != created.uid or there["spec"].get("shutdown"):
            return
        ended = {"workflows.argoproj.io/completed": "true"} if told.get("finishedAt") else {}
        labels = {**there["metadata"].get("labels", {}), **ended}
        self._server.replace("Workflow", metadata["namespace"], metadata["name"], status=told, labels=labels)

    def _end(self, change: Change, how: str) -> None:
        """What runs has been killed: the Workflow ends as Failed, as it does with Argo 3.7."""
        metadata = change.body["metadata"]
        there = self._server.objects.get(("Workflow", metadata["namespace"], metadata["name"]))
        if there is None or there["metadata"]["uid"] != change.uid:
            return
        was = there.get("status") or {}
        if was.get("finishedAt"):
            return
        message = f"Stopped with strategy '{how}'"
        nodes = {
            key: value
            if value["phase"] == "Succeeded"
            else {**value, "phase": "Failed", "message": message, "finishedAt": timestamp(self._now())}
            for key, value in was.get("nodes", {}).items()
        }
        told = {**was, "phase": "Failed", "message": message, "nodes": nodes, "finishedAt": timestamp(self._now())}
        self._server.replace("Workflow", metadata["namespace"], metadata["name"], status=told)


def timed(value: Any, created: datetime) -> Any:
    """The status with its times; packed nodes keep theirs as they are."""
    match value:
        case dict():
            return {key: timed(item, created) for key, item in value.items()}
        case str() if value.startswith("<") and value.endswith(">") and value[1:-1].isdigit():
            at = created.replace(microsecond=0).timestamp() + int(value[1:-1])
            return timestamp(datetime.fromtimestamp(at, created.tzinfo))
        case _:
            return value
