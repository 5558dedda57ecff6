"""A fake of Argo's controller and of the kubelet, as far as the crash sweep needs them.

Only unit tests use it; tests/e2e run the real controller.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from runwright.api.labels import NODE_ANNOTATION, WORKFLOW_LABEL
from runwright.core.retry.reset import COMPLETED_LABEL, PHASE_LABEL
from runwright.core.workflow.record import attempt_of, workflow_nodes
from runwright.kube.errors import ApiError
from tests.unit.fake.apiserver import ApiServer, Change, labels_of, timestamp
from tests.unit.fake.scripts import MOST_PODS, packed, script_of, timed

Json = Mapping[str, Any]

SHUTDOWN_SECONDS = 0.3
"""Seconds from a shutdown to the end of the Workflow."""

POD_SECONDS = 0.4
"""Seconds from a pod's deletion request to its removal."""

ENDED = ("Succeeded", "Failed", "Error")


class Argo:
    """The controller: runs the script of each Workflow without the label of completed ones.

    A Workflow with nodes, such as one that was reset by a retry, continues from them: nodes that
    succeeded stay. If a node's pod exists already, its result is the node's result, as with Argo 3.7.
    """

    def __init__(self, server: ApiServer, now: Callable[[], datetime]) -> None:
        self._server, self._now = server, now
        self._starts = 0
        self._started: dict[str, int] = {}
        """Number of the last start by Workflow uid. Steps of earlier starts are ignored."""
        server.listeners.append(self._changed)

    def _changed(self, change: Change) -> None:
        if change.kind == "Pod" and change.type == "MODIFIED" and "deletionTimestamp" in change.body["metadata"]:
            asyncio.get_running_loop().call_later(POD_SECONDS, self._remove_pod, change.body)
        if change.kind != "Workflow":
            return
        if change.type == "ADDED" or (change.type == "MODIFIED" and is_restart(change)):
            self._start(change.body)
        elif change.type == "MODIFIED" and change.old is not None:
            how = change.body["spec"].get("shutdown")
            if how and how != change.old["spec"].get("shutdown"):
                asyncio.get_running_loop().call_later(
                    SHUTDOWN_SECONDS, self._end, change.body, self._started.get(change.uid), how
                )

    def _start(self, workflow: Json) -> None:
        phase = workflow.get("status", {}).get("phase")
        if COMPLETED_LABEL in labels_of(workflow) or phase in ENDED:
            return
        self._starts += 1
        self._started[workflow["metadata"]["uid"]] = self._starts
        loop, now = asyncio.get_running_loop(), self._now()
        done = {key: node for key, node in nodes_of(workflow).items() if node["type"] == "Pod"}
        done = {key: node for key, node in done.items() if node["phase"] == "Succeeded"}
        entrypoint, name = workflow["spec"].get("entrypoint", ""), workflow["metadata"]["name"]
        for after, status in script_of(entrypoint, name, attempt_of(workflow) or 0):
            loop.call_later(after, self._apply_step, workflow, self._starts, timed(status, now), done)

    def _present(self, workflow: Json, start: int | None) -> Json | None:
        """The stored Workflow, if this is still its last start."""
        metadata = workflow["metadata"]
        stored = self._server.objects.get(("Workflow", metadata["namespace"], metadata["name"]))
        if (
            stored is None
            or stored["metadata"]["uid"] != metadata["uid"]
            or self._started.get(metadata["uid"]) != start
        ):
            return None
        return stored

    def _apply_step(self, workflow: Json, start: int, status: dict[str, Any], done: Json) -> None:
        stored = self._present(workflow, start)
        if stored is None or stored["spec"].get("shutdown"):
            return
        if status.get("nodes"):
            status = {**status, "nodes": {**status["nodes"], **done}}
            status = self._with_pods(stored, start, status, done)
        self._write(stored, packed(stored["spec"]["entrypoint"], status))
        if status["phase"] in ENDED:
            self._started.pop(stored["metadata"]["uid"])

    def _with_pods(self, workflow: Json, start: int, status: dict[str, Any], done: Json) -> dict[str, Any]:
        """Create the pods and task results of the nodes. A pod of an earlier start fails the Workflow."""
        pods = [node for key, node in status["nodes"].items() if node["type"] == "Pod" and key not in done]
        for node in pods if len(pods) <= MOST_PODS else ():
            pod = self._server.objects.get(("Pod", workflow["metadata"]["namespace"], node["id"]))
            if pod is None:
                self._create("Pod", workflow, node["id"], {NODE_ANNOTATION: node["id"]}, start=start)
            elif pod["start"] != start and attempt_of(workflow):
                # At a first attempt the pod is being deleted: Argo 3.7.3 waits for its end and creates another.
                status = ended(status, "Failed", f"{node['id']} found its pod of the last attempt", self._now())
            if node.get("finishedAt"):
                self._create("WorkflowTaskResult", workflow, node["id"], {})
        return status

    def _create(self, kind: str, workflow: Json, name: str, annotations: Json, **parts: Any) -> None:
        metadata = workflow["metadata"]
        owner = {"kind": "Workflow", "name": metadata["name"], "uid": metadata["uid"], "controller": True}
        body = {
            "metadata": {
                "namespace": metadata["namespace"],
                "name": name,
                "labels": {WORKFLOW_LABEL: metadata["name"]},
                "annotations": annotations,
                "ownerReferences": [owner],
            },
            **parts,
        }
        try:
            self._server.create(kind, body)
        except ApiError:  # it exists, or the namespace is being deleted
            return

    def _write(self, stored: Json, status: dict[str, Any]) -> None:
        labels = {**labels_of(stored), PHASE_LABEL: status["phase"]}
        if status["phase"] in ENDED:
            labels[COMPLETED_LABEL] = "true"
        metadata = stored["metadata"]
        self._server.replace("Workflow", metadata["namespace"], metadata["name"], status=status, labels=labels)

    def _end(self, workflow: Json, start: int | None, how: str) -> None:
        """End a stopped Workflow as Failed, as Argo 3.7 does."""
        stored = self._present(workflow, start)
        if stored is None or stored.get("status", {}).get("phase") in ENDED:
            return
        status = {**stored.get("status", {}), "nodes": nodes_of(stored)}
        status.pop("compressedNodes", None)
        status = ended(status, "Failed", f"Stopped with strategy '{how}'", self._now())
        self._write(stored, packed(stored["spec"].get("entrypoint", ""), status))

    def _remove_pod(self, pod: Json) -> None:
        metadata = pod["metadata"]
        stored = self._server.objects.get(("Pod", metadata["namespace"], metadata["name"]))
        if stored is not None and stored["metadata"]["uid"] == metadata["uid"]:
            self._server.remove("Pod", metadata["namespace"], metadata["name"])


def is_restart(change: Change) -> bool:
    """Whether the change restarts a Workflow that had ended."""
    old, new = change.old or {}, change.body
    if COMPLETED_LABEL in labels_of(new) or new.get("status", {}).get("phase") in ENDED:
        return False
    return COMPLETED_LABEL in labels_of(old) or old.get("status", {}).get("phase") in ENDED


def nodes_of(workflow: Json) -> dict[str, Any]:
    return dict(workflow_nodes(workflow.get("status", {})))


def ended(status: dict[str, Any], phase: str, message: str, at: datetime) -> dict[str, Any]:
    """The status with this phase for the Workflow and for each node that did not succeed."""
    end = {"phase": phase, "message": message, "finishedAt": timestamp(at)}
    nodes = {key: n if n["phase"] == "Succeeded" else {**n, **end} for key, n in status.get("nodes", {}).items()}
    return {**status, **end, "nodes": nodes}


def pods_of(server: ApiServer, workflow: str) -> Iterator[tuple[str, str]]:
    """Kind and node of each existing pod and task result of the Workflow."""
    for kind in ("Pod", "WorkflowTaskResult"):
        for body in server.list(kind, f"{WORKFLOW_LABEL}={workflow}"):
            yield kind, body["metadata"]["annotations"].get(NODE_ANNOTATION) or body["metadata"]["name"]
