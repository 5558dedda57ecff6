"""Labels and annotations of a user's Workflow: which ones the run's Workflow gets, and which never."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runwright.api.resources import GROUP
from runwright.core.workflow.expect import Refused, expect_mapping, json_type, quote

RESERVED = frozenset(
    {
        # kubectl: the last applied manifest, and the set of `kubectl apply --prune --applyset`.
        "kubectl.kubernetes.io/last-applied-configuration",
        "applyset.kubernetes.io/part-of",
        # Argo CD's tracking label (the default of `application.instanceLabelKey`).
        "app.kubernetes.io/instance",
        "config.k8s.io/owning-inventory",
        # Argo Workflows (3.7): whether the controller processes, archives or deletes the Workflow, and who submitted it.
        "workflows.argoproj.io/completed",
        "workflows.argoproj.io/phase",
        "workflows.argoproj.io/workflow-archiving-status",
        "workflows.argoproj.io/cron-workflow",
        "workflows.argoproj.io/backfill",
        "workflows.argoproj.io/workflow-event-binding",
        "workflows.argoproj.io/creator",
        "workflows.argoproj.io/creator-email",
        "workflows.argoproj.io/creator-preferred-username",
        "workflows.argoproj.io/actor",
        "workflows.argoproj.io/actor-email",
        "workflows.argoproj.io/actor-preferred-username",
        "workflows.argoproj.io/action",
        # Kubeflow Pipelines: the run that a Workflow belongs to.
        "pipeline/runid",
    }
)
"""Keys that other controllers act on. A copy of them on the run's Workflow would make these controllers prune, delete or
ignore it (tektoncd/pipeline#3202)."""

RESERVED_PREFIXES = (
    f"{GROUP}/",
    "argocd.argoproj.io/",
    "meta.helm.sh/",
    "kustomize.toolkit.fluxcd.io/",
    "helm.toolkit.fluxcd.io/",
    "objectset.rio.cattle.io/",
    "kapp.k14s.io/",
)

_PARTS = ("labels", "labelsFrom", "annotations")


def is_reserved(key: str) -> bool:
    """Whether a label or annotation of this name steers Runwright, Argo Workflows or a deployment tool."""
    return key in RESERVED or key.startswith(RESERVED_PREFIXES)


def carried_metadata(value: Any, path: str) -> dict[str, str]:
    """The labels or annotations of a manifest that its Workflow gets.

    Raises:
        Refused: they are not a mapping of strings.
    """
    kept: dict[str, str] = {}
    for key, item in expect_mapping(value, path, "MetadataInvalid").items():
        if not isinstance(item, str):
            raise Refused(
                "MetadataInvalid",
                f"{path}: expected a string for {quote(key)}, found {json_type(item)}; put it in quotes",
            )
        if not is_reserved(key):
            kept[key] = item
    return kept


def drop_reserved(spec: dict[str, Any], template: Mapping[str, Any] | None) -> None:
    """Removes reserved keys from `spec.workflowMetadata`, which Argo copies to the Workflow when it starts it.

    Argo merges the `workflowMetadata` of the template that `spec.workflowTemplateRef` names into that of the Workflow, whose
    values win. So reserved labels and annotations of the template get an empty value.

    Raises:
        Refused: the template sets a label of Runwright, or computes a reserved one.
    """
    own = _workflow_metadata(spec, "spec")
    for part, keys in own.items():
        for key in [key for key in keys if is_reserved(key)]:
            del own[part][key]
    for part, keys in _workflow_metadata(template or {}, "the template's spec").items():
        for key in filter(is_reserved, keys):
            if part == "labelsFrom" or key.startswith(f"{GROUP}/"):
                raise Refused(
                    "MetadataInvalid",
                    f"the template's spec.workflowMetadata.{part}: {quote(key)} is reserved; remove it from the template",
                    heals=True,
                )
            _set_empty(spec, part, key)


def _workflow_metadata(spec: Mapping[str, Any], path: str) -> dict[str, dict[str, Any]]:
    found = expect_mapping(spec.get("workflowMetadata"), f"{path}.workflowMetadata")
    return {
        part: expect_mapping(found[part], f"{path}.workflowMetadata.{part}")
        for part in _PARTS
        if found.get(part) is not None
    }


def _set_empty(spec: dict[str, Any], part: str, key: str) -> None:
    metadata = expect_mapping(spec.get("workflowMetadata"), "spec.workflowMetadata")
    metadata[part] = expect_mapping(metadata.get(part), f"spec.workflowMetadata.{part}") | {key: ""}
    spec["workflowMetadata"] = metadata
