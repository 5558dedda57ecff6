"""What a list of runs is answered from: small records, each with what it is sorted and filtered by, and its message."""

from __future__ import annotations

import sys
from array import array
from dataclasses import dataclass

from runwright.kube.objects import Json, Key, key_of, version_of
from runwright.service.contract.resource_reference_pb2 import ResourceType
from runwright.service.contract.run_pb2 import Run
from runwright.service.index import Scope, Value
from runwright.service.present import ManifestRef, inline_manifest, run_manifest_ref, run_message

ALL: Scope = ("", "")
METRIC_PREFIX = "metric:"


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run. Texts and tuples that many runs have in common are the same objects."""

    id: str
    key: Key
    version: int
    name: str
    description: str
    status: str
    storage_state: str
    created_at: int
    scheduled_at: int
    finished_at: int
    pipeline_id: str
    scopes: tuple[Scope, ...]
    metric_names: tuple[str, ...]
    metric_values: array[float] | None
    manifest: ManifestRef | None
    inline: bool
    """Whether the manifest stands in the run itself, which is then read for it."""
    message: bytes
    """The run's `Run`, without its manifest."""

    @property
    def experiment_id(self) -> str:
        """The experiment that the run belongs to."""
        return next((id.partition("/")[2] for kind, id in self.scopes if kind == "EXPERIMENT"), "")

    def value(self, field: str) -> Value:
        """What the run is sorted and filtered by."""
        if field.startswith(METRIC_PREFIX):
            return self.metric(field.removeprefix(METRIC_PREFIX))
        return getattr(self, field)

    def metric(self, name: str) -> float | None:
        """The metric's value; of several nodes, the first one that reported it."""
        if self.metric_values is None or name not in self.metric_names:
            return None
        return self.metric_values[self.metric_names.index(name)]

    def run(self, manifest: str = "") -> Run:
        """The run as the service shows it."""
        run = Run.FromString(self.message)
        run.pipeline_spec.workflow_manifest = manifest
        return run


def experiment_scope_id(namespace: str, id: str) -> str:
    """What an experiment's scope is called."""
    return f"{namespace}/{id}"


class RowFactory:
    """Gives one object for all that are equal, so that each row need not hold its own."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._scopes: dict[tuple[Scope, ...], tuple[Scope, ...]] = {}
        self._refs: dict[ManifestRef, ManifestRef] = {}

    def row(self, run: Json) -> RunRow:
        """The row of a PipelineRun."""
        message, key = run_message(run), key_of(run)
        # Of one experiment, many runs; the namespace is one of its scopes too.
        scopes = [ALL, ("NAMESPACE", key.namespace)]
        for one in message.resource_references:
            kind = ResourceType.Name(one.key.type)
            # Anybody may name an experiment of another namespace; who may list that one is told of its own runs only.
            scope = (kind, experiment_scope_id(key.namespace, one.key.id) if kind == "EXPERIMENT" else one.key.id)
            if scope not in scopes:
                scopes.append(scope)
        names, ref = tuple(sys.intern(one.name) for one in message.metrics), run_manifest_ref(run)
        return RunRow(
            id=message.id,
            key=Key(sys.intern(key.namespace), key.name),
            version=numeric_version(run),
            name=sys.intern(message.name),
            description=sys.intern(message.description),
            status=sys.intern(message.status),
            storage_state=sys.intern(Run.StorageState.Name(message.storage_state)),
            created_at=message.created_at.seconds,
            scheduled_at=message.scheduled_at.seconds,
            finished_at=message.finished_at.seconds,
            pipeline_id=sys.intern(message.pipeline_spec.pipeline_id),
            scopes=self._scopes.setdefault(tuple(scopes), tuple(scopes)),
            metric_names=self._names.setdefault(names, names),
            metric_values=array("d", (one.number_value for one in message.metrics)) if names else None,
            manifest=self._refs.setdefault(ref, ref) if ref else None,
            inline=bool(inline_manifest(run)),
            message=message.SerializeToString(),
        )


def numeric_version(body: Json) -> int:
    """The resource version, which counts up (Kubernetes promises it since 1.35); 0 where it is no number."""
    version = version_of(body)
    return int(version) if version.isdecimal() else 0
