"""What a hostile tenant asks the API server for, and how tricks generate it. Pure and seeded.

An object refers to another one by `@@uid:NAME@@`, which the sender replaces by the uid of the run of that name.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.e2e.cluster import Object
from tests.e2e.hostile_values import document
from tests.e2e.manifests import suspended

RUN_LABEL = "runwright.dev/run"
PLURALS = {
    "PipelineRun": "apis/runwright.dev/v1alpha1/namespaces/{}/pipelineruns",
    "PipelineExperiment": "apis/runwright.dev/v1alpha1/namespaces/{}/pipelineexperiments",
    "RetentionPolicy": "apis/runwright.dev/v1alpha1/namespaces/{}/retentionpolicies",
    "WorkflowSnapshot": "apis/runwright.dev/v1alpha1/namespaces/{}/workflowsnapshots",
    "Workflow": "apis/argoproj.io/v1alpha1/namespaces/{}/workflows",
    "WorkflowTemplate": "apis/argoproj.io/v1alpha1/namespaces/{}/workflowtemplates",
    "ConfigMap": "api/v1/namespaces/{}/configmaps",
}


@dataclass(frozen=True)
class Attempt:
    """One request to the API server. `trick` names the kind, `variant` what distinguishes this one."""

    trick: str
    variant: str
    verb: str
    kind: str
    name: str
    body: bytes


def create(trick: str, variant: str, found: Object) -> Attempt:
    """Create an object."""
    return Attempt(trick, variant, "POST", found["kind"], found["metadata"]["name"], document(found))


def edit(trick: str, variant: str, kind: str, name: str, patch: Any) -> Attempt:
    """Merge a patch into an object."""
    return Attempt(trick, variant, "PATCH", kind, name, document(patch))


def delete(trick: str, kind: str, name: str) -> Attempt:
    """Delete an object."""
    return Attempt(trick, "", "DELETE", kind, name, b"")


def owned(run: str, spec: Any = None, uid: str = "", **fields: Any) -> Object:
    """A Workflow that names the run as its owner: by its true uid, or by another one."""
    owner = {
        "apiVersion": "runwright.dev/v1alpha1",
        "kind": "PipelineRun",
        "name": run,
        "uid": uid or f"@@uid:{run}@@",
        "controller": True,
    }
    metadata = {"name": run, "labels": {RUN_LABEL: run}, "ownerReferences": [owner]}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": metadata,
        "spec": suspended() if spec is None else spec,
        **fields,
    }


class Tricks:
    """Generates attempts; each trick is a method that yields some."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._number = 0

    def tricks(self) -> dict[str, Callable[[], Iterator[Attempt]]]:
        """Every trick by name."""
        return {name.removeprefix("do_"): getattr(self, name) for name in sorted(dir(self)) if name.startswith("do_")}

    def generate(self) -> list[Attempt]:
        """All attempts, in an order that the seed decides; those of one trick stay in order."""
        queues = {name: list(trick()) for name, trick in self.tricks().items()}
        found: list[Attempt] = []
        while queues:
            name = self._chance.choice(sorted(queues))
            found.append(queues[name].pop(0))
            if not queues[name]:
                del queues[name]
        return found

    def _name(self, what: str) -> str:
        self._number += 1
        return f"{what}-{self._number}"

    def _cases(self, *values: Any, count: int) -> list[Any]:
        return [values[number % len(values)] for number in range(count)]
