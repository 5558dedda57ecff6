"""Retrying a run: RetryRun of run.proto, as a finished Workflow set back to where it failed.

Which nodes run again is `core/retry/rerun.py`. What stays keeps its outputs; the Workflow keeps its name and metadata, so that
writing it is one update. It is Argo (3.7) that then runs it: all that Argo goes by is put right here.
"""

from __future__ import annotations

import base64
import gzip
import json
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from runwright.core.records import Refusal
from runwright.core.retry.node_graph import NodeGraph
from runwright.core.retry.rerun import GOOD, Rerun, plan_rerun, remaining_links
from runwright.core.workflow.record import workflow_nodes
from runwright.kube.objects import Json, as_mapping, as_text, metadata_of, name_of, spec_of, status_of

RETRY_IMPOSSIBLE = "RetryImpossible"
"""Reason for which a failed Workflow cannot be set back."""

COMPLETED_LABEL = "workflows.argoproj.io/completed"
PHASE_LABEL = "workflows.argoproj.io/phase"
ARCHIVING_LABEL = "workflows.argoproj.io/workflow-archiving-status"

MAX_UNPACKED = 1024 * 1024
"""Bytes of JSON from which Argo packs nodes (its MAX_WORKFLOW_SIZE, unless it is set)."""

OF_AN_ATTEMPT = ("finishedAt", "message", "nodes", "compressedNodes", "persistentVolumeClaims", "synchronization")
"""Fields of a Workflow's status that belong to the attempt that is over.

Argo lists the volume claims anew, and takes those that are there; it gave all locks back when the Workflow ended.
"""

OF_A_GROUP = ("finishedAt", "message", "outputs", "daemoned", "synchronizationStatus")
"""Fields of a node that a group gets anew when it ends."""

OF_A_POD = (*OF_A_GROUP, "hostNodeName", "podIP", "progress", "resourcesDuration")
"""Fields of a node that its pod, or its request, gives."""


@dataclass(frozen=True, slots=True)
class WorkflowReset:
    """A Workflow set back to where it failed."""

    workflow: dict[str, Any]
    """As it is to be written: with the resource version that it was read with."""
    removed: frozenset[str]
    """Ids of the nodes that are no longer in it, or begin anew in it: their pods must be gone before it is written."""


def reset_workflow(body: Json, now: datetime) -> WorkflowReset | Refusal:
    """The Workflow `body`, which has ended as Failed or Error, as a retry begins it at `now`; else why it cannot be.

    Nothing is raised, whatever the Workflow holds, and `body` stays as it is.
    """
    status = status_of(body)
    phase = as_text(status.get("phase"))
    if phase not in ("Failed", "Error"):
        return Refusal(RETRY_IMPOSSIBLE, f"the Workflow's status.phase is {phase!r}, expected Failed or Error")
    if status.get("offloadNodeStatusVersion"):
        return Refusal(
            RETRY_IMPOSSIBLE,
            "the Workflow's nodes are in Argo's database (status.offloadNodeStatusVersion): use `argo retry`",
        )
    nodes = workflow_nodes(status)
    packed = bool(status.get("compressedNodes"))
    if packed and not nodes:
        return Refusal(
            RETRY_IMPOSSIBLE, "status.compressedNodes of the Workflow is not gzip in base64, as Argo packs it"
        )
    try:
        return reset_with_nodes(body, nodes, packed, now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    except RecursionError:
        return Refusal(RETRY_IMPOSSIBLE, "the Workflow is nested too deeply to be copied")


def reset_with_nodes(body: Json, nodes: Json, packed: bool, started: str) -> WorkflowReset:
    """The Workflow, with `nodes` unpacked from it, as it runs since `started`."""
    graph = NodeGraph.of(nodes)
    plan = plan_rerun(graph, name_of(body), find_daemons(body, graph))
    workflow = deepcopy(dict(body))
    workflow["metadata"] = reset_metadata(metadata_of(workflow), begun=bool(graph.nodes))
    workflow["spec"] = reset_spec(spec_of(workflow))
    workflow["status"] = reset_status(status_of(workflow), graph, plan, started)
    put_nodes(workflow, reset_nodes(graph, plan, started), packed)
    return WorkflowReset(workflow, frozenset(plan.removed | plan.restarted))


def has_claims(body: Json) -> bool:
    """Whether a Workflow has volume claims of its own: they go with it, and with them the files of what has succeeded."""
    specs = (spec_of(body), as_mapping(status_of(body).get("storedWorkflowTemplateSpec")))
    return any(spec.get("volumeClaimTemplates") for spec in specs)


def reset_metadata(metadata: Json, begun: bool) -> dict[str, Any]:
    """The metadata of a Workflow that runs; of one that Argo has not yet looked at, where it has no node."""
    labels = dict(as_mapping(metadata.get("labels")))
    for label in (COMPLETED_LABEL, ARCHIVING_LABEL, PHASE_LABEL):
        labels.pop(label, None)
    return {**metadata, "labels": {**labels, PHASE_LABEL: "Running"} if begun else labels}


def reset_spec(spec: Json) -> dict[str, Any]:
    """A spec without what ended the Workflow: a shutdown, or the deadline of 0 s by which Argo 2 ended one."""
    kept = {key: value for key, value in spec.items() if key != "shutdown"}
    if kept.get("activeDeadlineSeconds") == 0:
        del kept["activeDeadlineSeconds"]
    return kept


def reset_status(status: Json, graph: NodeGraph, plan: Rerun, started: str) -> dict[str, Any]:
    """The status of a Workflow that runs since `started`, without its nodes.

    One without nodes failed before its first step: Argo validates it again where its phase is empty.
    """
    kept = {key: value for key, value in status.items() if key not in OF_AN_ATTEMPT}
    stored = kept.get("storedWorkflowTemplateSpec")
    if isinstance(stored, dict):
        kept["storedWorkflowTemplateSpec"] = reset_spec(cast(Json, stored))
    kept["conditions"] = reset_conditions(kept.get("conditions"))
    # Argo would take a result that it once had for that of the new pod, and go on before the new one is there.
    results = as_mapping(kept.pop("taskResultsCompletionStatus", None))
    gone = plan.removed | plan.restarted
    results = {
        node: done for node, done in results.items() if done is True and node in graph.nodes and node not in gone
    }
    if results:
        kept["taskResultsCompletionStatus"] = results
    if graph.nodes:
        return {**kept, "phase": "Running", "startedAt": started}
    return {key: value for key, value in kept.items() if key not in ("phase", "startedAt")}


def reset_conditions(conditions: object) -> list[object]:
    """The conditions of a Workflow that has not completed."""
    found = cast(list[object], conditions) if isinstance(conditions, list) else []
    return [one for one in found if as_mapping(one).get("type") != "Completed"] + [
        {"type": "Completed", "status": "False"}
    ]


def reset_nodes(graph: NodeGraph, plan: Rerun, started: str) -> dict[str, Any]:
    """The nodes that a retry begins with."""
    kept: dict[str, Any] = {}
    for key, node in graph.nodes.items():
        if key in plan.removed:
            continue
        if key in plan.reopened:
            new = {**copy_without(node, OF_A_GROUP), "phase": "Running", "startedAt": started}
        elif key in plan.restarted:
            new = {**copy_without(node, OF_A_POD), "phase": "Pending", "startedAt": started}
        elif key in plan.settled and as_text(node.get("phase")) not in (*GOOD, "Failed", "Error"):
            # Argo starts another attempt as long as one seems to run.
            new = {**deepcopy(dict(node)), "phase": "Failed", "finishedAt": node.get("finishedAt") or started}
        else:
            new = deepcopy(dict(node))
        for kind in ("children", "outboundNodes"):
            if kind in new:
                new[kind] = remaining_links(graph, key, kind, plan.removed)
        if "taskResultSynced" in new:
            new["taskResultSynced"] = True
        kept[key] = new
    return kept


def copy_without(node: Json, fields: tuple[str, ...]) -> dict[str, Any]:
    """A copy of a node without some of its fields."""
    return deepcopy({key: value for key, value in node.items() if key not in fields})


def put_nodes(workflow: dict[str, Any], nodes: dict[str, Any], packed: bool) -> None:
    """Put the nodes into a Workflow's status: packed where they were, or where the Workflow would be too large."""
    workflow["status"]["nodes"] = nodes
    if packed or size_of(workflow) > MAX_UNPACKED:
        workflow["status"]["compressedNodes"] = pack_json(workflow["status"].pop("nodes"))


def size_of(workflow: Json) -> int:
    """Bytes of a Workflow as JSON."""
    return len(json.dumps(workflow, separators=(",", ":"), default=str).encode("utf-8", "replace"))


def pack_json(value: Json) -> str:
    """JSON, gzip, base64: as Argo reads nodes from `status.compressedNodes`."""
    raw = json.dumps(value, separators=(",", ":"), default=str).encode()
    return base64.b64encode(gzip.compress(raw, mtime=0)).decode()


def find_daemons(body: Json, graph: NodeGraph) -> set[str]:
    """The nodes whose template has `daemon: true`, where that template is found by name in the Workflow."""
    status, found = status_of(body), set[str]()
    names: set[str] = set()
    for spec in (spec_of(body), as_mapping(status.get("storedWorkflowTemplateSpec"))):
        templates = spec.get("templates")
        for one in cast(list[object], templates) if isinstance(templates, list) else []:
            names |= {as_text(as_mapping(one).get("name"))} if as_mapping(one).get("daemon") is True else set[str]()
    stored = {
        key for key, one in as_mapping(status.get("storedTemplates")).items() if as_mapping(one).get("daemon") is True
    }
    for key, node in graph.nodes.items():
        reference = as_mapping(node.get("templateRef"))
        name = f"{as_text(reference.get('name'))}/{as_text(reference.get('template'))}"
        used = (
            {f"namespaced/{name}", f"cluster/{name}"} & stored
            if reference
            else {as_text(node.get("templateName"))} & names
        )
        if graph.type_of(key) == "Pod" and used:
            found.add(key)
    return found
