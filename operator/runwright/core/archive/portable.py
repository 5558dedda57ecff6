"""Objects on their way from one cluster to another: what is taken along, and what the other cluster gives anew.

A run has its status in a subresource, which cannot be created together with it. So an imported run says by an annotation that its
status is still to come, and the operator leaves it alone until it is there: a finished run must not run again.
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
    """The object as it is exported: whole, but for who has written which of its fields."""
    metadata = {name: value for name, value in metadata_of(body).items() if name != "managedFields"}
    return {**body, "metadata": metadata}


def strip_for_import(body: Object) -> dict[str, Any]:
    """The object as it is created where it is imported, without its status."""
    metadata = {name: value for name, value in metadata_of(body).items() if name not in OF_THE_CLUSTER}
    return {name: value for name, value in body.items() if name != "status"} | {"metadata": metadata}


def prepare_imported_run(run: Object) -> dict[str, Any]:
    """A run as it is created where it is imported. One that had not begun is a new one, and begins."""
    body = strip_for_import(run)
    if not has_phase(run):
        return body
    annotations = {**as_mapping(body["metadata"].get("annotations")), IMPORTED_ANNOTATION: uid_of(run)}
    return body | {"metadata": body["metadata"] | {"annotations": annotations}}


def prepare_imported_snapshot(snapshot: Object, run: Object) -> dict[str, Any]:
    """A snapshot as that of the run that was made of its own."""
    metadata = metadata_of(run)
    body = strip_for_import(snapshot)
    owner = owner_reference(as_text(metadata.get("name")), as_text(metadata.get("uid")))
    return body | {"metadata": body["metadata"] | {"ownerReferences": [owner]}}


def has_phase(run: Object) -> bool:
    """Whether the operator has written what became of the run."""
    return bool(status_of(run).get("phase"))


def exported_uid(run: Object) -> str:
    """The uid that the run was exported with; empty where it was not imported."""
    return as_text(annotations_of(run).get(IMPORTED_ANNOTATION))


def controller_uid(body: Object) -> str:
    """The uid of the run that an object was the property of."""
    owners: list[Object] = metadata_of(body).get("ownerReferences") or []
    return next((as_text(owner.get("uid")) for owner in owners if owner.get("controller")), "")
