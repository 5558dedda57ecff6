"""The nodes of a Workflow as a graph: for each node, its groups, its hooks, and its successors.

Argo (3.7) records `children`, which contain both the nodes inside a group and the successors of a node. Names distinguish
them, because they are paths: `run.train` is inside `run`, `run.train(0)` is an attempt or an item of `run.train`, and
`run[1]` is a group of steps.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import cast

from runwright.kube.objects import Json, as_mapping, as_text

GROUPS = ("DAG", "Steps", "StepGroup", "TaskGroup", "Retry")
"""Types of nodes that only contain other nodes."""

EXIT_HOOK = ".onExit"
HOOK = ".hooks."


def linked_ids(node: Json, kind: str) -> list[str]:
    """The ids in `children` or `outboundNodes` of a node."""
    found = node.get(kind)
    return [one for one in cast(list[object], found) if isinstance(one, str)] if isinstance(found, list) else []


@dataclass(frozen=True, slots=True)
class NodeGraph:
    """Nodes by id. A hook or exit handler is neither inside its owner nor a successor of it."""

    nodes: dict[str, Json]
    encloser: dict[str, str] = field(default_factory=dict[str, str])
    """By node: its innermost group; for a hook, that of its owner."""
    owner: dict[str, str] = field(default_factory=dict[str, str])
    """By hook or exit handler: the node that it belongs to."""
    enclosed: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """By group, and by pod of a container set: the nodes directly inside it."""
    hooks: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    @classmethod
    def of(cls, nodes: Json) -> NodeGraph:
        """Builds the graph of a Workflow's nodes; ignores nodes that are not objects."""
        graph = cls({key: as_mapping(cast(object, node)) for key, node in nodes.items() if isinstance(node, dict)})
        by_name = {as_text(node.get("name")): key for key, node in graph.nodes.items() if as_text(node.get("name"))}
        lengths = sorted({len(name) for name in by_name}, reverse=True)
        for name in sorted(by_name, key=len):
            graph.place_node(by_name[name], name, by_name, lengths)
        return graph

    def place_node(self, node: str, name: str, by_name: dict[str, str], lengths: list[int]) -> None:
        """Finds the group or owner of a node: the node with the longest name that is a prefix of this node's name."""
        for length in lengths:
            above = by_name.get(name[:length]) if length < len(name) and name[length] in ".([" else None
            if above is None:
                continue
            if name[length:] == EXIT_HOOK or name.startswith(HOOK, length):
                self.owner[node] = above
                self.hooks.setdefault(above, []).append(node)
                if above in self.encloser:
                    self.enclose(node, self.encloser[above])
                return
            if self.type_of(above) in GROUPS or (self.type_of(above) == "Pod" and self.type_of(node) == "Container"):
                self.enclose(node, above)
                return

    def enclose(self, node: str, group: str) -> None:
        """Records that `node` is directly inside `group`."""
        self.encloser[node] = group
        self.enclosed.setdefault(group, []).append(node)

    def type_of(self, node: str) -> str:
        """Argo's type of a node."""
        return as_text(self.nodes[node].get("type"))

    def phase(self, node: str) -> str:
        """The phase of a node."""
        return as_text(self.nodes[node].get("phase"))

    def children(self, node: str) -> list[str]:
        """The children of a node in the graph, without its hooks."""
        return [
            one for one in linked_ids(self.nodes[node], "children") if one in self.nodes and self.owner.get(one) != node
        ]

    def attempts(self, retry: str) -> list[str]:
        """The attempts of a node of type Retry, in order."""
        return [one for one in self.children(retry) if self.encloser.get(one) == retry]

    def enclosers(self, node: str) -> Iterator[str]:
        """The groups around a node, innermost first."""
        while node in self.encloser:
            node = self.encloser[node]
            yield node

    def inside(self, node: str) -> set[str]:
        """A node and all nodes inside it, with their hooks, but without the node's own hooks."""
        return reachable([node], lambda one: self.enclosed.get(one, []))

    def after(self, unit: Collection[str]) -> set[str]:
        """All successors of a set of nodes, without the set itself."""
        members = set(unit)
        return reachable([one for node in members for one in self.children(node)], self.children) - members

    def with_hooks(self, nodes: Iterable[str]) -> set[str]:
        """The nodes, all nodes inside them, and all hooks of these."""
        return reachable(nodes, lambda one: self.enclosed.get(one, []) + self.hooks.get(one, []))


def reachable(starts: Iterable[str], step: Callable[[str], Iterable[str]]) -> set[str]:
    """`starts` and all nodes that `step` leads to from them, repeatedly."""
    found: set[str] = set()
    todo = list(starts)
    while todo:
        node = todo.pop()
        if node not in found:
            found.add(node)
            todo += step(node)
    return found
