"""The nodes of a Workflow as a graph: what failed, what comes after it, and what encloses it."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, cast

from runwright.core.observe import Json, mapping, text

FAILED = ("Failed", "Error")
GROUPS = ("DAG", "Steps", "StepGroup", "TaskGroup", "Retry")


def ids(node: Json, field: str) -> list[str]:
    """The ids that a node's `children` or `outboundNodes` holds."""
    found = node.get(field)
    return [one for one in cast(list[object], found) if isinstance(one, str)] if isinstance(found, list) else []


@dataclass(frozen=True, slots=True)
class NodeGraph:
    """Nodes by id, and the name of their Workflow."""

    nodes: dict[str, Json]
    name: str

    @classmethod
    def of(cls, nodes: Json, name: str) -> NodeGraph:
        """The graph of those nodes that are objects."""
        return cls({key: mapping(node) for key, node in nodes.items() if isinstance(node, dict)}, name)

    def after(self, starts: Iterable[str]) -> set[str]:
        """`starts`, and all that can be reached from them."""
        found: set[str] = set()
        todo = [start for start in starts if start in self.nodes]
        while todo:
            node = todo.pop()
            if node not in found:
                found.add(node)
                todo += [child for child in ids(self.nodes[node], "children") if child in self.nodes]
        return found


def reset(graph: NodeGraph, started: str) -> tuple[dict[str, Any], frozenset[str]]:
    """The nodes that a retry begins with, and the ids of those that are gone."""
    failed = [
        key
        for key, node in graph.nodes.items()
        if text(node.get("phase")) in FAILED and text(node.get("type")) not in GROUPS
    ]
    exit_handler = [
        key for key, node in graph.nodes.items() if text(node.get("name")).startswith(f"{graph.name}.onExit")
    ]
    removed = graph.after([*failed, *exit_handler])
    kept: dict[str, Any] = {}
    for key, node in graph.nodes.items():
        if key not in removed:
            left = deepcopy(dict(node))
            for field in ("children", "outboundNodes"):
                if field in left:
                    left[field] = [one for one in ids(left, field) if one in graph.nodes and one not in removed]
            if text(left.get("phase")) in FAILED:
                left.update(phase="Running", startedAt=started)
                left.pop("finishedAt", None)
                left.pop("message", None)
            kept[key] = left
    return kept, frozenset(removed)
