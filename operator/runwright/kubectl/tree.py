"""The nodes of a run as a tree, in text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from runwright.api.pipelinerun import NodeStatus
from runwright.core.retry.node_graph import NodeGraph
from runwright.core.status.mirror import format_duration
from runwright.core.workflow.nodes import node_order
from runwright.core.workflow.record import node_status, workflow_nodes
from runwright.kube.objects import Json, key_of, status_of

HEADER = ("NODE", "PHASE", "DURATION", "MESSAGE")
WIDE_HEADER = ("NODE", "PHASE", "DURATION", "TYPE", "ID", "MESSAGE")

HIDDEN = ("StepGroup", "TaskGroup")
"""What Argo calls `[0]`: what is in it is shown as if it stood beside it."""


@dataclass(frozen=True, slots=True)
class Tree:
    """Nodes, and what is within which."""

    nodes: dict[str, NodeStatus]
    roots: list[str]
    within: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    omitted: int = 0
    """Nodes that the run's status leaves out."""


@dataclass(frozen=True, slots=True)
class Line:
    """One node where it stands in the tree."""

    id: str
    branch: str
    """What leads to it: lines, then its name."""
    node: NodeStatus


def tree_of_status(run_name: str, nodes: Iterable[NodeStatus], omitted: int) -> Tree:
    """The nodes that a run's status keeps, which does not say what is within what: all stand under the first."""
    known = {node.id: node for node in nodes}
    first = run_name if run_name in known else next(iter(known), "")
    rest = [id for id in known if id != first]
    return Tree(known, [first] if first else [], {first: rest} if rest else {}, omitted)


def tree_of_workflow(workflow: Json) -> Tree:
    """All nodes of a Workflow; hooks and exit handlers stand under what they hang on."""
    graph = NodeGraph.of(workflow_nodes(status_of(workflow)))
    nodes = {id: node_status(id, node) for id, node in graph.nodes.items()}
    within: dict[str, list[str]] = {}
    roots: list[str] = []
    for id in sorted(nodes, key=lambda one: node_order(nodes[one])):
        if nodes[id].type in HIDDEN:
            continue
        above = next((one for one in graph.enclosers(id) if nodes[one].type not in HIDDEN), graph.owner.get(id))
        if above is None or above == id:
            roots.append(id)
        else:
            within.setdefault(above, []).append(id)
    name = key_of(workflow).name
    roots.sort(key=lambda id: id != name)
    return Tree(nodes, roots, within)


def lines_of(tree: Tree, limit: int) -> tuple[list[Line], int]:
    """The tree from its top, at most `limit` lines, and how many nodes are not among them."""
    found: list[Line] = []
    seen: set[str] = set()
    todo = [(id, "", "") for id in reversed(tree.roots)]
    while todo and len(found) < limit:
        id, lead, below = todo.pop()
        if id in seen:
            continue
        seen.add(id)
        node = tree.nodes[id]
        found.append(Line(id, lead + (node.name or id), node))
        inner = [one for one in tree.within.get(id, []) if one not in seen]
        for at, one in reversed(list(enumerate(inner))):
            last = at == len(inner) - 1
            todo.append((one, below + ("└─ " if last else "├─ "), below + ("   " if last else "│  ")))
    shown = sum(node.type not in HIDDEN for node in tree.nodes.values())
    return found, max(0, shown - len(found)) + tree.omitted


def took(node: NodeStatus, now: datetime) -> str:
    """How long a node has gone on, or went on."""
    end = node.finished_at or (now if node.phase in ("Running", "Pending") else None)
    return format_duration(node.started_at, end) or ""


def rows_of(lines: Iterable[Line], now: datetime, *, wide: bool) -> list[tuple[str, ...]]:
    """The cells of the lines, under `HEADER` or `WIDE_HEADER`."""
    rows: list[tuple[str, ...]] = [WIDE_HEADER if wide else HEADER]
    for line in lines:
        node, message = line.node, line.node.message or ""
        if wide:
            rows.append((line.branch, node.phase, took(node, now), node.type, line.id, message))
        else:
            rows.append((line.branch, node.phase, took(node, now), message))
    return rows


def changes(before: dict[str, str], lines: Iterable[Line]) -> list[Line]:
    """The lines whose node is new or in another phase than before; `before` is brought up to date."""
    changed: list[Line] = []
    for line in lines:
        if before.get(line.id) != line.node.phase:
            before[line.id] = line.node.phase
            changed.append(line)
    return changed
