"""Resets a failed Workflow to where it failed, for a retry (RetryRun of run.proto).

`core/retry/rerun.py` plans which nodes run again. The other nodes keep their outputs, and the Workflow keeps its name and
metadata, so that one update starts the attempt. The fields that Argo (3.7) reads are reset here.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from runwright.core.records import Refusal
from runwright.core.retry.node_graph import NodeGraph, TooMuchWorkError
from runwright.core.retry.rerun import GOOD, Rerun, plan_rerun, remaining_links
from runwright.core.workflow.record import read_nodes
from runwright.kube.objects import Json, as_mapping, as_text, incompleteness, metadata_of, name_of, spec_of, status_of

RETRY_IMPOSSIBLE = "RetryImpossible"
"""Reason of Stalled=True for a Workflow that cannot be reset."""

COMPLETED_LABEL = "workflows.argoproj.io/completed"
PHASE_LABEL = "workflows.argoproj.io/phase"
ARCHIVING_LABEL = "workflows.argoproj.io/workflow-archiving-status"

MAX_UNPACKED = 1024 * 1024
"""Bytes of a Workflow's JSON above which Argo compresses nodes (the default of its MAX_WORKFLOW_SIZE)."""

NODE_LEVELS = 3
"""Levels of objects around a node: the Workflow, its status, and its nodes."""

OF_AN_ATTEMPT = ("finishedAt", "message", "nodes", "compressedNodes", "persistentVolumeClaims", "synchronization")
"""Fields of a Workflow's status that belong to the finished attempt.

Argo lists the volume claims again and uses existing ones; it released all locks when the Workflow ended.
"""

OF_A_GROUP = ("finishedAt", "message", "outputs", "daemoned", "synchronizationStatus")
"""Fields of a group's node that Argo sets when the group ends."""

OF_A_POD = (*OF_A_GROUP, "hostNodeName", "podIP", "progress", "resourcesDuration")
"""Fields of a node that come from its pod."""


@dataclass(frozen=True, slots=True)
class WorkflowReset:
    """A Workflow that was reset to where it failed."""

    workflow: dict[str, Any]
    """The Workflow to write, with the resourceVersion that was read."""
    removed: frozenset[str]
    """Ids of the removed and restarted nodes: delete their pods before the write."""


def reset_workflow(body: Json, now: datetime) -> WorkflowReset | Refusal:
    """Resets a Workflow that has ended as Failed or Error, for an attempt that starts at `now`; or says why it cannot.

    Never raises, whatever the Workflow contains, and does not change `body`.
    """
    if mark := incompleteness(body):
        return Refusal(RETRY_IMPOSSIBLE, f"the Workflow cannot be written again as it is: {mark.message}")
    status = status_of(body)
    phase = as_text(status.get("phase"))
    if phase not in ("Failed", "Error"):
        return Refusal(RETRY_IMPOSSIBLE, f"status.phase of the Workflow: expected Failed or Error, found {phase!r}")
    if status.get("offloadNodeStatusVersion"):
        return Refusal(
            RETRY_IMPOSSIBLE,
            "the Workflow's nodes are in Argo's database (status.offloadNodeStatusVersion): use `argo retry`",
        )
    nodes, problem = read_nodes(status)
    packed = bool(status.get("compressedNodes"))
    if problem:
        return Refusal(RETRY_IMPOSSIBLE, f"{problem}; create a new run instead")
    try:
        return reset_with_nodes(body, nodes, packed, now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    except TooMuchWorkError as error:
        return Refusal(
            RETRY_IMPOSSIBLE,
            f"status.nodes of the Workflow: finding the nodes to run again takes {error}: create a new run instead",
        )
    except RecursionError:
        return Refusal(RETRY_IMPOSSIBLE, "the Workflow is nested too deeply to be written: create a new run instead")


def reset_with_nodes(body: Json, nodes: Json, packed: bool, started: str) -> WorkflowReset:
    """Resets a Workflow with the given (unpacked) nodes, for an attempt that starts at `started`."""
    graph = NodeGraph.of(nodes)
    plan = plan_rerun(graph, name_of(body), find_daemons(body, graph))
    # Not a deep copy: the parts that change are new, and the others are only written.
    workflow = dict(body)
    workflow["metadata"] = reset_metadata(metadata_of(workflow), begun=bool(graph.nodes))
    workflow["spec"] = reset_spec(spec_of(workflow))
    workflow["status"] = reset_status(status_of(workflow), graph, plan, started)
    put_nodes(workflow, reset_nodes(graph, plan, started), packed)
    return WorkflowReset(workflow, frozenset(plan.removed | plan.restarted))


def has_claims(body: Json) -> bool:
    """Whether a Workflow owns volume claims: deleting it deletes the files of the steps that succeeded."""
    specs = (spec_of(body), as_mapping(status_of(body).get("storedWorkflowTemplateSpec")))
    return any(spec.get("volumeClaimTemplates") for spec in specs)


def reset_metadata(metadata: Json, begun: bool) -> dict[str, Any]:
    """The metadata of a running Workflow; without nodes (`begun` is False), that of a new one."""
    labels = dict(as_mapping(metadata.get("labels")))
    for label in (COMPLETED_LABEL, ARCHIVING_LABEL, PHASE_LABEL):
        labels.pop(label, None)
    return {**metadata, "labels": {**labels, PHASE_LABEL: "Running"} if begun else labels}


def reset_spec(spec: Json) -> dict[str, Any]:
    """The spec without what ended the Workflow: a shutdown, or the deadline of 0 s with which Argo 2 terminated one."""
    kept = {key: value for key, value in spec.items() if key != "shutdown"}
    if kept.get("activeDeadlineSeconds") == 0:
        del kept["activeDeadlineSeconds"]
    return kept


def reset_status(status: Json, graph: NodeGraph, plan: Rerun, started: str) -> dict[str, Any]:
    """The status of a Workflow that runs since `started`, without its nodes.

    A Workflow without nodes failed before its first step; with an empty phase, Argo validates it again.
    """
    kept = {key: value for key, value in status.items() if key not in OF_AN_ATTEMPT}
    stored = kept.get("storedWorkflowTemplateSpec")
    if isinstance(stored, dict):
        kept["storedWorkflowTemplateSpec"] = reset_spec(cast(Json, stored))
    kept["conditions"] = reset_conditions(kept.get("conditions"))
    # Argo would use the result of the old pod for the new one, and continue before the new pod has a result.
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
    """The nodes at the start of the attempt."""
    kept: dict[str, Any] = {}
    for key, node in graph.nodes.items():
        if key in plan.removed:
            continue
        if key in plan.reopened:
            new = {**copy_without(node, OF_A_GROUP), "phase": "Running", "startedAt": started}
        elif key in plan.restarted:
            new = {**copy_without(node, OF_A_POD), "phase": "Pending", "startedAt": started}
        elif key in plan.settled and as_text(node.get("phase")) not in (*GOOD, "Failed", "Error"):
            # Argo would wait for an attempt that seems to be running.
            new = {**node, "phase": "Failed", "finishedAt": node.get("finishedAt") or started}
        else:
            new = dict(node)
        for kind in ("children", "outboundNodes"):
            if kind in new:
                new[kind] = remaining_links(graph, key, kind, plan.removed)
        if "taskResultSynced" in new:
            new["taskResultSynced"] = True
        kept[key] = new
    return kept


def copy_without(node: Json, fields: tuple[str, ...]) -> dict[str, Any]:
    """A node without some of its fields."""
    return {key: value for key, value in node.items() if key not in fields}


def put_nodes(workflow: dict[str, Any], nodes: dict[str, Any], packed: bool) -> None:
    """Puts the nodes into a Workflow's status: compressed if they were, or if the Workflow would be too large."""
    workflow["status"]["nodes"] = nodes
    if packed or json_size(workflow) > MAX_UNPACKED:
        workflow["status"]["compressedNodes"] = pack_json(workflow["status"].pop("nodes"))


def json_size(workflow: Json) -> int:
    """Bytes of a Workflow's JSON."""
    return sum(map(len, encode_in_pieces(workflow, NODE_LEVELS)))


def encode_in_pieces(value: object, levels: int) -> Iterator[str]:
    """A value as JSON in ASCII, in pieces: the fields of its first levels of objects. Other threads run between two pieces."""
    if not levels or not isinstance(value, dict) or not value:
        yield json.dumps(value, separators=(",", ":"), default=str)
        return
    opening = "{"
    for key, item in cast(Json, value).items():
        yield f"{opening}{json.dumps(key)}:"
        yield from encode_in_pieces(item, levels - 1)
        opening = ","
    yield "}"


def pack_json(value: Json, levels: int = 1) -> str:
    """Encodes a value as JSON, gzip and base64, the format of Argo's `status.compressedNodes`; `levels` as for encode_in_pieces."""
    raw = "".join(encode_in_pieces(value, levels)).encode()
    return base64.b64encode(gzip.compress(raw, mtime=0)).decode()


def find_daemons(body: Json, graph: NodeGraph) -> set[str]:
    """The pod nodes with a `daemon: true` template, if the Workflow contains the template."""
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
