"""Rows of runs in the index: the fields to sort and filter by, and the encoded message."""

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
    """One run. Equal texts and tuples of many rows are the same objects, to save memory."""

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
    """Whether the manifest is in the run itself: the run is read to get it."""
    message: bytes
    """The encoded `Run`, without its manifest."""

    @property
    def experiment_id(self) -> str:
        """The id of the run's experiment; empty for none."""
        return next((id.partition("/")[2] for kind, id in self.scopes if kind == "EXPERIMENT"), "")

    def value(self, field: str) -> Value:
        """The value of a field, for sorting and filtering."""
        if field.startswith(METRIC_PREFIX):
            return self.metric(field.removeprefix(METRIC_PREFIX))
        return getattr(self, field)

    def metric(self, name: str) -> float | None:
        """The value of a metric, None where the run has none; of several nodes, the first that reported it."""
        if self.metric_values is None or name not in self.metric_names:
            return None
        return self.metric_values[self.metric_names.index(name)]

    def run(self, manifest: str = "") -> Run:
        """Decode the message of the run, and add this manifest."""
        run = Run.FromString(self.message)
        run.pipeline_spec.workflow_manifest = manifest
        return run


def experiment_scope_id(namespace: str, id: str) -> str:
    """The id in the scope of an experiment's runs.

    It contains the namespace: anybody may name an experiment of another namespace, and its list must not have that run.
    """
    return f"{namespace}/{id}"


class RowFactory:
    """Makes rows that share equal texts and tuples."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._scopes: dict[tuple[Scope, ...], tuple[Scope, ...]] = {}
        self._refs: dict[ManifestRef, ManifestRef] = {}

    def row(self, run: Json) -> RunRow:
        """Make the row of a PipelineRun."""
        message, key = run_message(run), key_of(run)
        scopes = [ALL, ("NAMESPACE", key.namespace)]
        for one in message.resource_references:
            kind = ResourceType.Name(one.key.type)
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
    """The resource version as a number that increases (promised since Kubernetes 1.35); 0 for one that is not a number."""
    version = version_of(body)
    return int(version) if version.isdecimal() else 0
