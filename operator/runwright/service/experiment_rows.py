"""Rows of experiments in the index, and their messages: `Experiment` of KFP v1beta1."""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.timestamp_pb2 import Timestamp

from runwright.kube.objects import Json, Key, key_of, metadata_of, spec_of
from runwright.service.contract.experiment_pb2 import Experiment
from runwright.service.contract.resource_reference_pb2 import OWNER, ResourceKey, ResourceReference, ResourceType
from runwright.service.order import Scope, Value
from runwright.service.present import display_name, epoch_seconds, is_archived, protobuf_text
from runwright.service.rows import ALL, numeric_version, shortened


@dataclass(frozen=True, slots=True)
class ExperimentRow:
    """One experiment."""

    id: str
    key: Key
    version: int
    name: str
    description: str
    created_at: int
    storage_state: str

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """All rows, and those of its namespace."""
        return ALL, ("NAMESPACE", self.key.namespace)

    def value(self, field: str) -> Value:
        """The value of a field, for sorting and filtering."""
        return getattr(self, field)


def experiment_row(body: Json) -> ExperimentRow:
    """The row of a PipelineExperiment."""
    metadata = metadata_of(body)
    return ExperimentRow(
        id=protobuf_text(metadata.get("uid")),
        key=key_of(body),
        version=numeric_version(body),
        name=shortened(display_name(body)),
        description=shortened(protobuf_text(spec_of(body).get("description"))),
        created_at=epoch_seconds(metadata.get("creationTimestamp")),
        storage_state=f"STORAGESTATE_{'ARCHIVED' if is_archived(body) else 'AVAILABLE'}",
    )


def experiment_message(row: ExperimentRow, multi_user: bool) -> Experiment:
    """The message of an experiment; in multi-user mode with its namespace as owner."""
    owner = ResourceReference(
        key=ResourceKey(type=ResourceType.NAMESPACE, id=row.key.namespace), name=row.key.namespace, relationship=OWNER
    )
    return Experiment(
        id=row.id,
        name=row.name,
        description=row.description,
        created_at=Timestamp(seconds=row.created_at),
        resource_references=[owner] if multi_user else [],
        storage_state=Experiment.StorageState.Value(row.storage_state),
    )


def row_bytes(row: ExperimentRow) -> int:
    """Bytes of an experiment's message, at most."""
    return 4 * (len(row.name) + len(row.description) + 2 * len(row.key.namespace)) + 200
