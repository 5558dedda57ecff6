"""Resume suspended nodes of a Workflow, and make sure that Argo reacts to what others write to a Workflow."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

from tests.e2e.cluster import Kubectl, Object, WaitError, finished

LOST_SECONDS = 15.0
"""Argo goes on within a second of a resume that it has seen."""


def resume(kubectl: Kubectl, namespace: str, name: str, *nodes: str) -> None:
    """Resume nodes by id (default: the root) with the write that `argo resume` makes, and wait until Argo goes on."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    patch = {"status": {"nodes": {node: {"phase": "Succeeded", "finishedAt": now} for node in nodes or (name,)}}}
    command = ("patch", "-n", namespace, "workflow", name, "--type=merge", "-p", json.dumps(patch), "-o", "json")
    wait_resumed(kubectl, namespace, name, json.loads(kubectl(*command)))


def wait_resumed(kubectl: Kubectl, namespace: str, name: str, resumed: Object) -> None:
    """Wait until Argo goes on with a Workflow that was resumed."""
    before = node_phases(resumed)
    wait_for_argo(kubectl, namespace, name, lambda found: finished(found) or node_phases(found) != before)


def wait_for_argo(
    kubectl: Kubectl, namespace: str, name: str, until: Callable[[Object], bool], seconds: float = LOST_SECONDS
) -> None:
    """Wait until Argo has reacted to a write to a Workflow; annotate the Workflow if it has not after `seconds`.

    Argo 3.7.3 loses a write that comes between one of its own updates and the moment when it puts the result of that
    update into its cache: it overwrites the newer Workflow there, and looks at it again 20 minutes later. Any event of
    the Workflow ends that. Later versions skip such stale copies (argo-workflows#13986).
    """
    try:
        kubectl.wait(namespace, "workflow", name, until, seconds)
    except WaitError:
        kubectl("annotate", "-n", namespace, "workflow", name, "runwright.dev/e2e=write-was-lost", "--overwrite")
        kubectl.wait(namespace, "workflow", name, until)


def node_phases(workflow: Object) -> dict[str, str]:
    """Phase of each node, by id."""
    nodes = (workflow.get("status") or {}).get("nodes") or {}
    return {key: node.get("phase", "") for key, node in nodes.items()}
