"""Archiving a run and bringing it back by its label, and what is kept of it."""

from __future__ import annotations

import base64
import gzip
import json

from tests.e2e.cluster import Kubectl, Object, condition

LABEL = "runwright.dev/storage-state"
SET_AT_CREATION = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields")
"""Metadata that the API server gives to each object that is created."""


def set_state(kubectl: Kubectl, namespace: str, names: str, state: str | None) -> None:
    """Label runs, by name or `--all`, `Archived` or `Available`; None takes the label away."""
    label = f"{LABEL}={state}" if state else f"{LABEL}-"
    kubectl("label", "-n", namespace, "prun", *names.split(), label, "--overwrite")


def storage_state(run: Object) -> tuple[str | None, str | None]:
    """What the operator has carried out, and the status of the condition Archived."""
    return (run.get("status") or {}).get("storageState"), condition(run, "Archived").get("status")


def archived(run: Object) -> bool:
    """Whether the operator has archived the run."""
    return storage_state(run) == ("Archived", "True")


def available(run: Object) -> bool:
    """Whether the run was archived, and the operator has brought it back."""
    return storage_state(run) == ("Available", "False")


def kept(kubectl: Kubectl, namespace: str, name: str = "run") -> Object:
    """The Workflow in the run's snapshot, read as a person would: `base64 -d | gunzip`."""
    return unpacked(kubectl.get(namespace, "workflowsnapshot", name))


def unpacked(snapshot: Object) -> Object:
    """The Workflow in a snapshot."""
    return json.loads(gzip.decompress(base64.b64decode(snapshot["data"])))


def lasting(workflow: Object) -> Object:
    """A Workflow without the fields that the API server sets at each creation."""
    metadata = {name: value for name, value in workflow["metadata"].items() if name not in SET_AT_CREATION}
    return {**workflow, "metadata": metadata}
