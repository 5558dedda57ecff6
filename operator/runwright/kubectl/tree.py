"""The nodes of a run as a tree: as rows of text, and as what rich draws on a terminal (`run_tree`)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from runwright.api.pipelinerun import NodeStatus
from runwright.core.retry.node_graph import NodeGraph, TooMuchWorkError
from runwright.core.status.mirror import format_duration
from runwright.core.workflow.nodes import node_order, node_status
from runwright.core.workflow.record import workflow_nodes
from runwright.kube.objects import Json, key_of, status_of
from runwright.kubectl.summary import summary_rows
from runwright.kubectl.tables import printable_text

if TYPE_CHECKING:
    from rich.console import RenderableType

HEADER = ("NODE", "PHASE", "DURATION", "MESSAGE")
WIDE_HEADER = ("NODE", "PHASE", "DURATION", "TYPE", "ID", "MESSAGE")

HIDDEN = ("StepGroup", "TaskGroup")
"""Types of nodes, such as `[0]`, that are not shown: the nodes inside take their place."""

STYLES = {
    "Pending": "blue",
    "Running": "yellow",
    "Succeeded": "green",
    "Failed": "red",
    "Error": "red",
    "Skipped": "dim",
    "Omitted": "dim",
}
"""Style of each phase on a terminal."""

FRAME_LINES = 4
"""Lines of a live tree beside its summary and nodes: a blank, the header, the omission and the cursor's."""


@dataclass(frozen=True, slots=True)
class Tree:
    """Nodes by id, and which node contains which."""

    nodes: dict[str, NodeStatus]
    roots: list[str]
    within: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """Ids of the nodes inside each node."""
    omitted: int = 0
    """Nodes that the run's status leaves out."""


@dataclass(frozen=True, slots=True)
class Line:
    """One node in its place."""

    id: str
    branch: str
    """The branches that lead to the node, and its name."""
    node: NodeStatus


def tree_of_status(run_name: str, nodes: Iterable[NodeStatus], omitted: int) -> Tree:
    """The tree of the nodes in a run's status. It does not say which node contains which: all are under the first."""
    known = {node.id: node for node in nodes}
    first = run_name if run_name in known else next(iter(known), "")
    rest = [id for id in known if id != first]
    return Tree(known, [first] if first else [], {first: rest} if rest else {}, omitted)


def tree_of_workflow(workflow: Json) -> Tree:
    """The tree of all nodes of a Workflow; hooks and exit handlers are under the node that they belong to."""
    try:
        graph = NodeGraph.of(workflow_nodes(status_of(workflow)))
    except TooMuchWorkError:
        return Tree({}, [], {})
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
    """The tree from its top, at most `limit` lines, and the number of nodes that are left out."""
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


def node_duration(node: NodeStatus, now: datetime) -> str:
    """Time from a node's start to its end, or to now while it runs."""
    end = node.finished_at or (now if node.phase in ("Running", "Pending") else None)
    return format_duration(node.started_at, end) or ""


def node_rows(lines: Iterable[Line], now: datetime, *, wide: bool) -> list[tuple[str, ...]]:
    """The cells of the lines, under `HEADER` or `WIDE_HEADER`."""
    rows: list[tuple[str, ...]] = [WIDE_HEADER if wide else HEADER]
    for line in lines:
        node, message = line.node, line.node.message or ""
        if wide:
            rows.append((line.branch, node.phase, node_duration(node, now), node.type, line.id, message))
        else:
            rows.append((line.branch, node.phase, node_duration(node, now), message))
    return rows


def changed_lines(before: dict[str, str], lines: Iterable[Line]) -> list[Line]:
    """The lines of nodes that are new or have another phase than in `before`, which is updated: phases by id."""
    changed: list[Line] = []
    for line in lines:
        if before.get(line.id) != line.node.phase:
            before[line.id] = line.node.phase
            changed.append(line)
    return changed


def omission(count: int) -> str:
    """The line about nodes that are not shown."""
    return f"… and {count} more nodes"


def run_tree(run: Json, tree: Tree, now: datetime, *, height: int | None = None) -> RenderableType:
    """Draw a run for rich: its summary, and its nodes as a tree with their phases in color.

    `height` is the number of lines of the terminal; nodes that do not fit are counted. Lines that are too wide are cut.
    """
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    def cell(value: str, style: str = "") -> Text:
        return Text(printable_text(value), style, no_wrap=True, overflow="ellipsis")

    head = Table.grid(padding=(0, 3, 0, 0))
    summary = summary_rows(run, now)
    for name, value in summary:
        head.add_row(cell(name, "bold"), cell(value, STYLES.get(value, "") if name == "Phase:" else ""))
    shown, left = lines_of(tree, len(tree.nodes) if height is None else max(1, height - len(summary) - FRAME_LINES))
    if not shown:
        return Group(head, Text(), Text("No nodes yet."))
    nodes = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for title in HEADER:
        nodes.add_column(title, no_wrap=True)
    for line, (branch, phase, took, message) in zip(shown, node_rows(shown, now, wide=False)[1:], strict=True):
        style = STYLES.get(line.node.phase, "")
        nodes.add_row(cell(branch), cell(phase, style), cell(took), cell(message))
    return Group(head, Text(), nodes, *([Text(omission(left))] if left else []))
