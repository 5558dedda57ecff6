"""A TaskRun of one step, and the status of its Pod as a kubelet writes it."""

from __future__ import annotations

import json

from tests.e2e.cluster import Object

STARTED, ENDED = "2026-11-26T12:00:00Z", "2026-11-26T12:00:07Z"
IMAGE = "busybox:1.36"
STEP = "main"
INIT = ("prepare",)
"""The containers that Tekton puts before a step."""

INTERNAL = 3
"""Type of a result for the controller in the termination message of Tekton's entrypoint."""


def task_run(name: str) -> Object:
    """A TaskRun of one step. It names its command, so that Tekton asks no registry for the image's entrypoint."""
    step = {"name": STEP, "image": IMAGE, "command": ["true"]}
    return {
        "apiVersion": "tekton.dev/v1",
        "kind": "TaskRun",
        "metadata": {"name": name},
        "spec": {"taskSpec": {"steps": [step]}},
    }


def pod_of(name: str) -> str:
    """Name of the Pod that Tekton creates for a TaskRun with a short name."""
    return f"{name}-pod"


def running() -> Object:
    """Status of a Pod with a running step."""
    return status("Running", {"running": {"startedAt": STARTED}})


def succeeded() -> Object:
    """Status of a Pod with a succeeded step."""
    return status("Succeeded", terminated([{"key": "StartedAt", "value": STARTED, "type": INTERNAL}]))


def status(phase: str, state: Object) -> Object:
    """Status of a Pod with its step in this state and its init containers terminated."""
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
    """State of a container that succeeded, with these results for the controller."""
    times = {"startedAt": STARTED, "finishedAt": ENDED}
    return {"terminated": {"exitCode": 0, "reason": "Completed", "message": json.dumps(results), **times}}


def container(name: str, state: Object) -> Object:
    """Status of a container in this state."""
    return {
        "name": name,
        "image": IMAGE,
        "imageID": f"{IMAGE}@sha256:{64 * '0'}",
        "ready": "running" in state,
        "restartCount": 0,
        "state": state,
    }
