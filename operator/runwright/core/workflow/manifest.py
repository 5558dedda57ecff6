"""Reads the Workflow from a manifest text, or says why it cannot be used."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from runwright.api.pipelinerun import MAX_MANIFEST
from runwright.api.resources import API_VERSION
from runwright.core.workflow.expect import Refused, expect_mapping, json_type, quote
from runwright.core.workflow.kube_yaml import UnreadableTextError, load_json, load_yaml

WORKFLOW_API_VERSION = "argoproj.io/v1alpha1"
WORKFLOW_KIND = "Workflow"

_INSTEAD = {
    "CronWorkflow": "copy its spec.workflowSpec to spec.workflow.spec of the run",
    "WorkflowTemplate": "create it in the cluster and name it in spec.workflow.templateRef of the run",
    "ClusterWorkflowTemplate": "create it in the cluster and name it in spec.workflow.templateRef of the run, "
    "with clusterScope: true",
    "WorkflowEventBinding": "create it in the cluster; it starts Workflows by itself",
    "PipelineRun": "apply it itself; the manifest of a run is an Argo Workflow",
    "List": "create a run for each Workflow of the list",
    "WorkflowList": "create a run for each Workflow of the list",
    "ScheduledWorkflow": "copy its spec.workflow.spec to spec.workflow.spec of the run",
    "Pod": "make it the container of a template of a Workflow",
    "Job": "make it the container of a template of a Workflow",
}


def read_manifest(text: str, where: str) -> dict[str, Any]:
    """Reads the Workflow in `text`; returns a new copy at each call. `where` names the text in messages.

    Checks kind and apiVersion, and that `spec` is a mapping, but not its content. Caches the last few texts, because a run
    is often built twice: before and after another object is read.

    Raises:
        Refused: the text is not one Workflow.
    """
    if len(text) > MAX_MANIFEST:
        raise Refused(
            "ManifestTooLarge",
            f"{where}: {len(text)} characters, more than the {MAX_MANIFEST} that fit into a Workflow in etcd; "
            "move scripts and data out of it, or its templates into WorkflowTemplates",
        )
    result = _json_of_workflow(text)
    if isinstance(result, _Problem):
        raise Refused(result.reason, f"{where}: {result.message}")
    return cast("dict[str, Any]", json.loads(result))


def digest_of(text: str) -> str:
    """SHA-256 of the text's UTF-8 bytes, in the format of `manifestFrom.digest`."""
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class _Problem:
    reason: str
    message: str


@lru_cache(maxsize=8)
def _json_of_workflow(text: str) -> str | _Problem:
    try:
        documents, as_json = _parse(text)
        return as_json or json.dumps(_only_workflow(documents))
    except UnreadableTextError as error:
        return _Problem("ManifestUnreadable", f"expected YAML or JSON: {error}")
    except Refused as refused:
        return _Problem(refused.refusal.reason, refused.refusal.message)


def _parse(text: str) -> tuple[list[Any], str | None]:
    """The documents, and the text itself if it is JSON of one Workflow."""
    not_json: json.JSONDecodeError | None = None
    if text.lstrip()[:1] in ("{", "["):
        try:
            value = load_json(text)
        except json.JSONDecodeError as error:
            not_json = error
        else:
            _only_workflow([value])
            return [value], text
    try:
        return load_yaml(text), None
    except UnreadableTextError as error:
        if not_json is None:
            raise
        raise UnreadableTextError(
            f"as JSON: line {not_json.lineno}, column {not_json.colno}: {not_json.msg}; as YAML: {error}"
        ) from None


def _only_workflow(documents: list[Any]) -> dict[str, Any]:
    if not documents:
        raise Refused("NotAWorkflow", "it is empty; expected one Workflow")
    if len(documents) > 1:
        kinds = ", ".join(_kind(document) for document in documents[:10])
        raise Refused(
            "NotAWorkflow",
            f"it has {len(documents)} documents ({kinds}); expected one Workflow. "
            "Create a run for each Workflow, and apply the other objects separately",
        )
    document = documents[0]
    if not isinstance(document, dict):
        raise Refused("NotAWorkflow", f"it is {json_type(document)}; expected one Workflow")
    workflow = cast("dict[str, Any]", document)
    _check_type(workflow)
    spec = workflow.get("spec")
    if not isinstance(spec, dict):
        raise Refused("SpecInvalid", f"spec: expected a mapping (Argo's WorkflowSpec), found {json_type(spec)}")
    expect_mapping(workflow.get("metadata"), "metadata", "MetadataInvalid")
    return workflow


def _kind(document: Any) -> str:
    kind = cast("dict[str, Any]", document).get("kind") if isinstance(document, dict) else None
    return kind[:60] if isinstance(kind, str) and kind else "no kind"


def _check_type(workflow: Mapping[str, Any]) -> None:
    kind, api_version = workflow.get("kind"), workflow.get("apiVersion")
    if "pipelineInfo" in workflow or "schemaVersion" in workflow:
        raise Refused(
            "NotAWorkflow",
            "it is a pipeline spec of the KFP SDK 2; expected a Workflow. Compile the pipeline with the KFP SDK 1.8",
        )
    if kind is None:
        raise Refused("NotAWorkflow", f"it has no kind; expected kind {WORKFLOW_KIND} of {WORKFLOW_API_VERSION}")
    if kind != WORKFLOW_KIND:
        instead = _INSTEAD.get(kind) if isinstance(kind, str) else None
        if kind == "PipelineRun" and api_version != API_VERSION:
            instead = None
        hint = f": {instead}" if instead else ""
        raise Refused("NotAWorkflow", f"its kind is {quote(kind)}; expected {WORKFLOW_KIND}{hint}")
    if api_version != WORKFLOW_API_VERSION:
        raise Refused(
            "APIVersionUnsupported", f"its apiVersion is {quote(api_version)}; expected {WORKFLOW_API_VERSION}"
        )
