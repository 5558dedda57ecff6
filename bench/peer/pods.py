"""A TaskRun of one step, and the status of its Pod as a kubelet would write it."""

from __future__ import annotations

import json

from tests.e2e.cluster import Object

STARTED, ENDED = "2026-11-26T12:00:00Z", "2026-11-26T12:00:07Z"
IMAGE = "busybox:1.36"
STEP = "main"
INIT = ("prepare",)
"""The containers that Tekton puts before a step."""

INTERNAL = 3
"""What Tekton's entrypoint calls a result that is meant for the controller, in a container's termination message."""


def task_run(name: str) -> Object:
    """A TaskRun of one step, which names image and command, so that no registry is asked for its entrypoint."""
    step = {"name": STEP, "image": IMAGE, "command": ["true"]}
    return {
        "apiVersion": "tekton.dev/v1",
        "kind": "TaskRun",
        "metadata": {"name": name},
        "spec": {"taskSpec": {"steps": [step]}},
    }


def pod_of(name: str) -> str:
    """The name of the Pod that Tekton makes for a TaskRun with a short name."""
    return f"{name}-pod"


def running() -> Object:
    """The status of a Pod whose step has begun."""
    return status("Running", {"running": {"startedAt": STARTED}})


def succeeded() -> Object:
    """The status of a Pod whose step has ended well."""
    return status("Succeeded", terminated([{"key": "StartedAt", "value": STARTED, "type": INTERNAL}]))


def status(phase: str, state: Object) -> Object:
    """The status of a Pod whose step is in this state; what comes before the step has ended."""
    ready = "True" if phase == "Running" else "False"
    conditions = [{"type": kind, "status": ready} for kind in ("Ready", "ContainersReady")]
    return {
        "phase": phase,
        "startTime": STARTED,
        "conditions": [{"type": "Initialized", "status": "True"}, *conditions],
        "initContainerStatuses": [container(name, terminated([])) for name in INIT],
        "containerStatuses": [container(f"step-{STEP}", state)],
    }


def terminated(results: list[Object]) -> Object:
    """The state of a container that has ended well and left these results to the controller."""
    times = {"startedAt": STARTED, "finishedAt": ENDED}
    return {"terminated": {"exitCode": 0, "reason": "Completed", "message": json.dumps(results), **times}}


def container(name: str, state: Object) -> Object:
    """The status of a container in this state."""
    return {
        "name": name,
        "image": IMAGE,
        "imageID": f"{IMAGE}@sha256:{64 * '0'}",
        "ready": "running" in state,
        "restartCount": 0,
        "state": state,
    }
