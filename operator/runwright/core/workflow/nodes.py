"""Selects the nodes of a Workflow for the status of its run, within a byte budget."""

from __future__ import annotations

import heapq
from datetime import UTC, datetime

from runwright.api.pipelinerun import NodeStatus
from runwright.core.status.sizes import json_bytes, shorten
from runwright.kube.objects import Json, as_mapping, as_text, as_time

NODES_BUDGET = 3584
"""Maximum bytes of JSON in `status.nodes`: a run of any size stays under 8 KB in etcd."""

NODE_OVERHEAD = 72
"""Bytes of the field names and punctuation of one node."""

TIME_BYTES = 36
"""Bytes of one time with its field name."""

EPOCH = datetime.fromtimestamp(0, UTC)


MOST_NODES = 128
"""Nodes that are summarized to find those that fit the budget: about three times as many as fit."""

NODE_MESSAGE_LIMIT = 256
"""Bytes of a node's message."""


def bounded_nodes(nodes: Json) -> tuple[tuple[NodeStatus, ...], int]:
    """Summaries of the nodes that fit the budget, oldest first, and the number of nodes left out.

    Keeps failed nodes first, then running ones, then the others; the oldest first within each group.
    """
    first = nodes.items() if len(nodes) <= MOST_NODES else heapq.nsmallest(MOST_NODES, nodes.items(), key=raw_order)
    summaries = [node_status(id, as_mapping(node)) for id, node in first]
    kept: list[NodeStatus] = []
    left = NODES_BUDGET
    for node in sorted(summaries, key=lambda node: (node_rank(node.phase), *node_order(node))):
        size = node_bytes(node)
        if size <= left:
            kept.append(node)
            left -= size
    return tuple(sorted(kept, key=node_order)), len(nodes) - len(kept)


def raw_order(item: tuple[str, object]) -> tuple[int, str, str]:
    """Sort key of a node before it is summarized. Argo writes all times in one format, so that they sort as text."""
    id, node = item
    fields = as_mapping(node)
    return node_rank(as_text(fields.get("phase"))), as_text(fields.get("startedAt")), id


def node_rank(phase: str | None) -> int:
    """Rank for `bounded_nodes`: 0 failed, 1 running or pending, 2 other."""
    if phase in ("Failed", "Error"):
        return 0
    return 1 if phase in ("Running", "Pending") else 2


def node_order(node: NodeStatus) -> tuple[datetime, str]:
    """Sort key: start time, then id, so that equal Workflows give equal statuses."""
    return (node.started_at or EPOCH, node.id)


def node_bytes(node: NodeStatus) -> int:
    """Upper estimate of the bytes of a node's JSON."""
    words = sum(json_bytes(word) for word in (node.id, node.name, node.type, node.phase))
    message = json_bytes(node.message) + 14 if node.message else 0
    return (
        NODE_OVERHEAD + words + message + TIME_BYTES * sum(at is not None for at in (node.started_at, node.finished_at))
    )


def node_status(node_id: str, node: Json) -> NodeStatus:
    """Summary of one node; with its message unless it is running or succeeded."""
    phase = as_text(node.get("phase"))
    message = as_text(node.get("message")) if phase not in ("Succeeded", "Running") else ""
    return NodeStatus(
        id=shorten(node_id, 253),
        name=shorten(as_text(node.get("displayName")) or as_text(node.get("name")), 253),
        type=shorten(as_text(node.get("type")), 32),
        phase=shorten(phase, 32),
        started_at=as_time(node.get("startedAt")),
        finished_at=as_time(node.get("finishedAt")),
        message=shorten(message, NODE_MESSAGE_LIMIT) or None,
    )
