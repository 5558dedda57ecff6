"""Prepares objects for export to a file and import into another cluster.

The status of a run is a subresource, so it cannot be created together with the run. An annotation marks an imported run,
and the operator ignores the run until it has a status: a finished run must not run again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runwright.api.labels import IMPORTED_ANNOTATION
from runwright.core.workflow.build import owner_reference
from runwright.kube.objects import annotations_of, as_mapping, as_text, metadata_of, status_of, uid_of

OF_THE_CLUSTER = (
    *("uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"),
    *("managedFields", "selfLink", "ownerReferences", "finalizers"),
)

Object = Mapping[str, Any]


def strip_for_export(body: Object) -> dict[str, Any]:
    """The object without managedFields."""
    metadata = {name: value for name, value in metadata_of(body).items() if name != "managedFields"}
    return {**body, "metadata": metadata}


def strip_for_import(body: Object) -> dict[str, Any]:
    """The object without its status and the metadata that a cluster sets."""
    metadata = {name: value for name, value in metadata_of(body).items() if name not in OF_THE_CLUSTER}
    return {name: value for name, value in body.items() if name != "status"} | {"metadata": metadata}


def prepare_imported_run(run: Object) -> dict[str, Any]:
    """The run to create on import. A run that had not started at the export gets no annotation, and starts."""
    body = strip_for_import(run)
    if not has_phase(run):
        return body
    annotations = {**as_mapping(body["metadata"].get("annotations")), IMPORTED_ANNOTATION: uid_of(run)}
    return body | {"metadata": body["metadata"] | {"annotations": annotations}}


def prepare_imported_snapshot(snapshot: Object, run: Object) -> dict[str, Any]:
    """The snapshot to create on import, owned by the imported run."""
    metadata = metadata_of(run)
    body = strip_for_import(snapshot)
    owner = owner_reference(as_text(metadata.get("name")), as_text(metadata.get("uid")))
    return body | {"metadata": body["metadata"] | {"ownerReferences": [owner]}}


def has_phase(run: Object) -> bool:
    """Whether the operator has written the run's phase."""
    return bool(status_of(run).get("phase"))


def exported_uid(run: Object) -> str:
    """The uid of the run before its export; empty if it was not imported."""
    return as_text(annotations_of(run).get(IMPORTED_ANNOTATION))


def controller_uid(body: Object) -> str:
    """UID of an object's controller; empty if it has none."""
    owners: list[Object] = metadata_of(body).get("ownerReferences") or []
    return next((as_text(owner.get("uid")) for owner in owners if owner.get("controller")), "")
