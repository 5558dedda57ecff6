"""Rows of runs in the index: the fields to sort and filter by, and the encoded message.

A row is bounded, whatever its run contains: MAX_MESSAGE, MAX_TEXT, MAX_SCOPES and MAX_METRICS.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from runwright.kube.objects import Json, Key, key_of, version_of
from runwright.service.contract.resource_reference_pb2 import ResourceType
from runwright.service.contract.run_pb2 import Run
from runwright.service.order import Scope, Value
from runwright.service.present import ManifestRef, has_inline_manifest, run_manifest_ref, run_message

ALL: Scope = ("", "")
METRIC_PREFIX = "metric:"

LISTABLE = frozenset({"EXPERIMENT", "JOB", "PIPELINE_VERSION"})
"""Types of references that runs are listed by. A reference of type NAMESPACE says nothing: a run is in its own namespace."""

MAX_MESSAGE = 16 * 1024
"""Bytes of a row's message. A run with a larger one, such as one with large parameters, is read when it is listed."""

MAX_TEXT = 4096
"""Characters of a field to sort or filter by, as in the CRD."""

MAX_SCOPES = 16
"""References of a run that it is listed by: the first ones. KFP's SDK writes two."""

MAX_METRICS = 256
"""Metrics of a run that runs are sorted by: the first ones."""

MAX_SHARED = 4096
"""Values of each kind that equal rows share."""

MAX_SHARED_TEXT = 2048
"""Characters of a value that rows share."""

T = TypeVar("T", bound=Hashable)


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
    partial: bool
    """Whether the message has more than MAX_MESSAGE bytes: only its head is kept, and the run is read to get it."""
    message: bytes
    """The encoded `Run`, without its manifest, name and description."""

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
        run.name, run.description = self.name, self.description
        run.pipeline_spec.workflow_manifest = manifest
        return run

    def completed(self, read: Run) -> Run:
        """The message of the run as it was read, with the state that the row was listed with."""
        head = Run.FromString(self.message)
        read.status, read.storage_state = head.status, head.storage_state
        read.finished_at.CopyFrom(head.finished_at)
        return read


def experiment_scope_id(namespace: str, id: str) -> str:
    """The id in the scope of an experiment's runs.

    It contains the namespace: anybody may name an experiment of another namespace, and its list must not have that run.
    """
    return f"{namespace}/{id}"


class Shared(Generic[T]):
    """Equal values as one object; only the last ones that were used, so that values that are gone are given back."""

    def __init__(self) -> None:
        self._new: dict[T, T] = {}
        self._old: dict[T, T] = {}

    def __len__(self) -> int:
        """Number of values."""
        return len(self._new) + len(self._old)

    def one(self, value: T) -> T:
        """Return the first value that is equal to this one."""
        found = self._new.get(value)
        if found is None:
            found = self._old.get(value, value)
            if len(self._new) >= MAX_SHARED // 2:
                self._old, self._new = self._new, {}
            self._new[found] = found
        return found


class RowFactory:
    """Makes rows that share equal texts and tuples."""

    def __init__(self) -> None:
        self._names = Shared[tuple[str, ...]]()
        self._scopes = Shared[tuple[Scope, ...]]()
        self._refs = Shared[ManifestRef]()

    def row(self, run: Json) -> RunRow:
        """Make the row of a PipelineRun."""
        message, key = run_message(run), key_of(run)
        scopes, ref = run_scopes(message, key.namespace), run_manifest_ref(run)
        names = tuple(sys.intern(one.name[:MAX_TEXT]) for one in message.metrics[:MAX_METRICS])
        values = array("d", (one.number_value for one in message.metrics[:MAX_METRICS])) if names else None
        name, description = shortened(message.name), shortened(message.description)
        small = len(message.description) <= MAX_TEXT and len(message.name) <= MAX_TEXT
        message.ClearField("name")
        message.ClearField("description")
        small = small and message.ByteSize() <= MAX_MESSAGE
        if sum(map(len, names)) <= MAX_SHARED_TEXT:
            names = self._names.one(names)
        if sum(len(id) for _, id in scopes) <= MAX_SHARED_TEXT:
            scopes = self._scopes.one(scopes)
        return RunRow(
            id=message.id,
            key=Key(sys.intern(key.namespace), key.name),
            version=numeric_version(run),
            name=name,
            description=description,
            status=shortened(message.status),
            storage_state=sys.intern(Run.StorageState.Name(message.storage_state)),
            created_at=message.created_at.seconds,
            scheduled_at=message.scheduled_at.seconds,
            finished_at=message.finished_at.seconds,
            pipeline_id=shortened(message.pipeline_spec.pipeline_id),
            scopes=scopes,
            metric_names=names,
            metric_values=values,
            manifest=self._refs.one(ref) if ref else None,
            inline=has_inline_manifest(run),
            partial=not small,
            message=(message if small else message_head(message)).SerializeToString(),
        )


def run_scopes(message: Run, namespace: str) -> tuple[Scope, ...]:
    """The scopes of a run: all runs, its own namespace, and its references of a type that runs are listed by."""
    scopes = [ALL, ("NAMESPACE", namespace)]
    for one in message.resource_references:
        kind = ResourceType.Name(one.key.type)
        if kind not in LISTABLE or len(one.key.id) > MAX_TEXT:
            continue
        scope = (kind, experiment_scope_id(namespace, one.key.id) if kind == "EXPERIMENT" else one.key.id)
        if scope not in scopes:
            scopes.append(scope)
            if len(scopes) == 2 + MAX_SCOPES:
                break
    return tuple(scopes)


def shortened(text: str) -> str:
    """The first MAX_TEXT characters; equal texts are one object."""
    return sys.intern(text[:MAX_TEXT])


def message_head(message: Run) -> Run:
    """The fields of a message that are never large."""
    return Run(
        id=message.id,
        storage_state=message.storage_state,
        created_at=message.created_at,
        scheduled_at=message.scheduled_at,
        finished_at=message.finished_at,
        status=message.status[:MAX_TEXT],
    )


def numeric_version(body: Json) -> int:
    """The resource version as a number that increases (promised since Kubernetes 1.35); 0 for one that is not a number."""
    version = version_of(body)
    return int(version) if version.isdecimal() else 0
