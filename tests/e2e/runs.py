"""A PipelineRun as the API server takes it, and kubectl's edits of one: what the tests of admission are made of.

Runs that must stay as they are refer to a template that does not exist; those that are taken as accepted are suspended.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.cluster import Kubectl
from tests.e2e.manifests import of_spec

HELD = "runwright.dev/test"
"""A finalizer, by which a run that was deleted stays."""

ABSENT = {"workflow": {"templateRef": {"name": "absent"}}}
FROM = {"configMapKeyRef": {"name": "a", "key": "b"}}
SUSPENDED = {
    "suspend": True,
    "entrypoint": "main",
    "parallelism": 1,
    "volumes": None,
    "templates": [{"name": "main", "container": {"image": "busybox", "command": ["true"]}}],
}


def refused(call: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    """What the API server said, on one line; fails when it let the call pass."""
    with pytest.raises(subprocess.CalledProcessError) as caught:
        call(*arguments, **options)
    return " ".join(caught.value.stderr.split())


class Run:
    """One PipelineRun of the test's namespace, and kubectl's edits of it."""

    def __init__(self, kubectl: Kubectl, namespace: str, name: str = "run") -> None:
        self.kubectl = kubectl
        self.where = ("-n", namespace)
        self.name = name

    def create(self, spec: dict[str, Any], **metadata: Any) -> Run:
        self.kubectl("create", *self.where, "-f", "-", input=json.dumps(of_spec(spec, self.name, **metadata)))
        return self

    def patch(self, document: dict[str, Any], *arguments: str) -> dict[str, Any]:
        """A JSON merge patch; returns the object as it then is."""
        command = ("patch", *self.where, "prun", self.name, "--type=merge", "-p", json.dumps(document), "-o", "json")
        return json.loads(self.kubectl(*command, *arguments))

    def spec(self, **fields: Any) -> dict[str, Any]:
        return self.patch({"spec": fields})

    def accept(self) -> Run:
        """What the operator writes once it has created the Workflow."""
        self.patch({"status": {"workflow": {"name": self.name, "uid": "8a0c"}}}, "--subresource=status")
        return self

    def status(self, **fields: Any) -> dict[str, Any]:
        """What an operator would write."""
        return self.patch({"status": fields}, "--subresource=status")

    def hold(self) -> Run:
        """Delete the run, which `HELD` keeps there: no operator touches it any more, and edits are judged as ever.

        Release the run before the test ends, or its namespace stays.
        """
        self.kubectl("delete", *self.where, "prun", self.name, "--wait=false")
        return self

    def release(self) -> None:
        if self.kubectl("get", *self.where, "prun", self.name, "--ignore-not-found"):
            self.patch({"metadata": {"finalizers": None}})

    def get(self) -> dict[str, Any]:
        return json.loads(self.kubectl("get", *self.where, "prun", self.name, "-o", "json", "--show-managed-fields"))


def source(**changes: Any) -> dict[str, Any]:
    return {"workflow": {"spec": changes}}
