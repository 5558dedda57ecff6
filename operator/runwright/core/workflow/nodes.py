"""Selects the nodes of a Workflow for the status of its run, within a byte budget."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from runwright.api.pipelinerun import NodeStatus
from runwright.core.status.sizes import json_bytes

NODES_BUDGET = 3584
"""Maximum bytes of JSON in `status.nodes`: a run of any size stays under 8 KB in etcd."""

NODE_OVERHEAD = 72
"""Bytes of the field names and punctuation of one node."""

TIME_BYTES = 36
"""Bytes of one time with its field name."""

EPOCH = datetime.fromtimestamp(0, UTC)


def bounded_nodes(nodes: Iterable[NodeStatus]) -> tuple[tuple[NodeStatus, ...], int]:
    """The nodes that fit the budget, oldest first, and the number of nodes left out.

    Keeps failed nodes first, then running ones, then the others; the oldest first within each group.
    """
    kept: list[NodeStatus] = []
    omitted, left = 0, NODES_BUDGET
    for node in sorted(nodes, key=lambda node: (node_rank(node), *node_order(node))):
        size = node_bytes(node)
        if size <= left:
            kept.append(node)
            left -= size
        else:
            omitted += 1
    return tuple(sorted(kept, key=node_order)), omitted


def node_rank(node: NodeStatus) -> int:
    """Rank for `bounded_nodes`: 0 failed, 1 running or pending, 2 other."""
    if node.phase in ("Failed", "Error"):
        return 0
    return 1 if node.phase in ("Running", "Pending") else 2


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
