"""Completes a Workflow that the KFP SDK compiled, as Kubeflow Pipelines' server does (CreateRun, KFP 1.8.22).

The SDK's manifests rely on it: pods find their run by a label, `{{workflow.uid}}` stands for the run's id, and the two
artifacts that every component may write must be optional. Other Workflows are not changed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from runwright.core.workflow.expect import expect_list, expect_mapping
from runwright.core.workflow.kfp_macros import replace_macros
from runwright.core.workflow.parameters import declared_parameters

RUN_ID_LABEL = "pipeline/runid"
RUN_NAME_ANNOTATION = "pipelines.kubeflow.org/run_name"
CACHE_ENABLED_LABEL = "pipelines.kubeflow.org/cache_enabled"
ISTIO_INJECT_ANNOTATION = "sidecar.istio.io/inject"
SERVICE_ACCOUNT = "pipeline-runner"
"""The service account in every manifest of the SDK; the installation's default service account replaces it."""

_PREFIX = "pipelines.kubeflow.org/"
_UID = "{{workflow.uid}}"
_OPTIONAL_ARTIFACTS = ("mlpipeline-ui-metadata", "mlpipeline-metrics")


def is_compiled_by_kfp(metadata: Mapping[str, Any]) -> bool:
    """Whether a manifest's metadata has a label or annotation of KFP."""
    return any(
        key.startswith(_PREFIX)
        for part in (metadata.get("annotations"), metadata.get("labels"))
        if isinstance(part, dict)
        for key in cast("dict[str, Any]", part)
    )


def complete_kfp_workflow(
    workflow: dict[str, Any], run_id: str, run_name: str, created_at: datetime | None
) -> dict[str, Any]:
    """The Workflow with everything that KFP's server adds; can change `workflow` itself.

    `created_at` is the creation time of the run (UTC). It is the "current time" of the macros, so that building the same
    run again gives the same Workflow.

    Raises:
        Refused: a field that must be written has an unexpected type.
    """
    spec = expect_mapping(workflow.get("spec"), "spec")
    for parameter in declared_parameters(spec, "spec").values():
        if isinstance(parameter.get("value"), str):
            parameter["value"] = replace_macros(parameter["value"], run_id, created_at)
    for index, item in enumerate(expect_list(spec.get("templates"), "spec.templates")):
        _complete_template(expect_mapping(item, f"spec.templates[{index}]"), f"spec.templates[{index}]")
    _child(_child(spec, "podMetadata", "spec"), "labels", "spec.podMetadata")[RUN_ID_LABEL] = run_id
    metadata = _child(workflow, "metadata", "")
    _child(metadata, "labels", "metadata")[RUN_ID_LABEL] = run_id
    _child(metadata, "annotations", "metadata")[RUN_NAME_ANNOTATION] = run_name
    # KFP replaces it in the text of the whole Workflow, including keys, scripts and annotations.
    return cast("dict[str, Any]", json.loads(json.dumps(workflow).replace(_UID, json.dumps(run_id)[1:-1])))


def _complete_template(template: dict[str, Any], path: str) -> None:
    metadata = _child(template, "metadata", path)
    _child(metadata, "annotations", f"{path}.metadata").setdefault(ISTIO_INJECT_ANNOTATION, "false")
    _child(metadata, "labels", f"{path}.metadata")[CACHE_ENABLED_LABEL] = "true"
    outputs = expect_mapping(template.get("outputs"), f"{path}.outputs")
    for index, item in enumerate(expect_list(outputs.get("artifacts"), f"{path}.outputs.artifacts")):
        artifact = expect_mapping(item, f"{path}.outputs.artifacts[{index}]")
        if artifact.get("name") in _OPTIONAL_ARTIFACTS:
            artifact["optional"] = True


def _child(parent: dict[str, Any], key: str, path: str) -> dict[str, Any]:
    child = expect_mapping(parent.get(key), f"{path}.{key}".lstrip("."))
    parent[key] = child
    return child
