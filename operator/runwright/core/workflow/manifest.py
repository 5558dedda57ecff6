"""Manifest text to the Workflow that stands in it, or why there is none."""

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
    "CronWorkflow": "put what stands under its spec.workflowSpec into spec.workflow.spec of the run",
    "WorkflowTemplate": "create it in the cluster and name it in spec.workflow.templateRef of the run",
    "ClusterWorkflowTemplate": "create it in the cluster and name it in spec.workflow.templateRef of the run, "
    "with clusterScope: true",
    "WorkflowEventBinding": "create it in the cluster; it starts Workflows by itself",
    "PipelineRun": "apply it itself; a run's manifest holds the Workflow that it is to carry out",
    "List": "give each Workflow of the list a run of its own",
    "WorkflowList": "give each Workflow of the list a run of its own",
    "ScheduledWorkflow": "put what stands under its spec.workflow.spec into spec.workflow.spec of the run",
    "Pod": "make it the container of a template of a Workflow",
    "Job": "make it the container of a template of a Workflow",
}


def read_manifest(text: str, where: str) -> dict[str, Any]:
    """The Workflow in `text`, a fresh copy at each call; `where` tells people which text that is.

    The kind and apiVersion are checked, and that `spec` is a mapping; what is in it is not. The last few texts are
    remembered, because a run is often built twice: before and after another object was read.

    Raises:
        Refused: it holds no Workflow that could be used.
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
    """SHA-256 of the text's UTF-8 bytes, in the form of `manifestFrom.digest`."""
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
        return _Problem("ManifestUnreadable", f"it is not a YAML or JSON text that can be used: {error}")
    except Refused as refused:
        return _Problem(refused.refusal.reason, refused.refusal.message)


def _parse(text: str) -> tuple[list[Any], str | None]:
    """The documents, and the text itself where it is JSON of one Workflow."""
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
            f"it holds {len(documents)} documents ({kinds}); expected one Workflow. "
            "Give each Workflow a run of its own, and apply the other objects by themselves",
        )
    document = documents[0]
    if not isinstance(document, dict):
        raise Refused("NotAWorkflow", f"it holds {json_type(document)}; expected one Workflow")
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
