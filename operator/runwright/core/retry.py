"""Retrying a run: RetryRun of run.proto, as a finished Workflow set back to where it failed.

What succeeded stays, with its outputs; what failed, and what comes after it, is taken out of the Workflow, so that Argo
(3.7) runs it anew; what encloses it runs again. Which nodes that are is `core/node_graph.py`. The Workflow keeps its
name and metadata: writing it is one update.
"""

from __future__ import annotations

import base64
import gzip
import json
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from runwright.core.node_graph import NodeGraph, reset
from runwright.core.observe import Json, mapping, text, workflow_nodes
from runwright.core.records import Refusal

RETRY_IMPOSSIBLE = "RetryImpossible"
"""Reason for which a failed Workflow cannot be set back."""

COMPLETED_LABEL = "workflows.argoproj.io/completed"
PHASE_LABEL = "workflows.argoproj.io/phase"
ARCHIVING_LABEL = "workflows.argoproj.io/workflow-archiving-status"


@dataclass(frozen=True, slots=True)
class Retried:
    """A Workflow set back to where it failed."""

    workflow: dict[str, Any]
    """As it is to be written: with the resource version that it was read with."""
    removed: frozenset[str]
    """Ids of the nodes that are no longer in it: their pods and task results must be gone before it is written."""


def retried(body: Json, now: datetime) -> Retried | Refusal:
    """The Workflow `body`, which has ended as Failed or Error, as a retry starts it at `now`; else why it cannot be.

    Nothing is raised, whatever the Workflow holds, and `body` stays as it is.
    """
    status = mapping(body.get("status"))
    phase = text(status.get("phase"))
    if phase not in ("Failed", "Error"):
        return Refusal(RETRY_IMPOSSIBLE, f"the Workflow's status.phase is {phase!r}, expected Failed or Error")
    if status.get("offloadNodeStatusVersion"):
        return Refusal(
            RETRY_IMPOSSIBLE, "the Workflow's nodes are in Argo's database (status.offloadNodeStatusVersion)"
        )
    packed = bool(status.get("compressedNodes"))
    nodes = workflow_nodes(status)
    if packed and not nodes:
        return Refusal(RETRY_IMPOSSIBLE, "the Workflow's status.compressedNodes cannot be read")
    started = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    graph = NodeGraph.of(nodes, text(mapping(body.get("metadata")).get("name")))
    kept, removed = reset(graph, started)
    workflow: dict[str, Any] = deepcopy(dict(body))
    workflow["metadata"] = metadata_of(mapping(workflow.get("metadata")))
    workflow["spec"] = spec_of(mapping(workflow.get("spec")))
    workflow["status"] = status_of(mapping(workflow.get("status")), started)
    if packed:
        workflow["status"]["compressedNodes"] = pack(kept)
    else:
        workflow["status"]["nodes"] = kept
    return Retried(workflow, removed)


def metadata_of(metadata: Json) -> dict[str, Any]:
    """The metadata of a Workflow that runs."""
    labels = dict(mapping(metadata.get("labels")))
    for label in (COMPLETED_LABEL, ARCHIVING_LABEL):
        labels.pop(label, None)
    labels[PHASE_LABEL] = "Running"
    return {**metadata, "labels": labels}


def spec_of(spec: Json) -> dict[str, Any]:
    """The spec without what ended the Workflow before: a shutdown, or a deadline of 0 seconds (how Argo once ended one)."""
    kept = {key: value for key, value in spec.items() if key != "shutdown"}
    if kept.get("activeDeadlineSeconds") == 0:
        del kept["activeDeadlineSeconds"]
    return kept


def status_of(status: Json, started: str) -> dict[str, Any]:
    """The status of a Workflow that runs since `started`, without its nodes."""
    dropped = ("nodes", "compressedNodes", "finishedAt", "message", "persistentVolumeClaims", "synchronization")
    kept = {key: value for key, value in status.items() if key not in dropped}
    stored = status.get("storedWorkflowTemplateSpec")
    if isinstance(stored, dict):
        kept["storedWorkflowTemplateSpec"] = spec_of(mapping(stored))
    return {**kept, "phase": "Running", "startedAt": started}


def pack(nodes: Json) -> str:
    """Nodes as Argo's controller keeps them in `status.compressedNodes`: JSON, gzip, base64."""
    return base64.b64encode(gzip.compress(json.dumps(nodes, separators=(",", ":")).encode(), mtime=0)).decode()
