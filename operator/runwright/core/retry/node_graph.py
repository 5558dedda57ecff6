"""The nodes of a Workflow as a graph: what encloses a node, what hangs on it, and what lies after it.

Argo (3.7) records two things: `children`, which lead from a node to what is within it and to what comes after it alike,
and names, which are paths: `run.train` is within `run`, `run.train(0)` is an attempt or an item of `run.train`,
`run[1]` is a group of steps. Names tell the one from the other.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import cast

from runwright.kube.objects import Json, as_mapping, as_text

GROUPS = ("DAG", "Steps", "StepGroup", "TaskGroup", "Retry")
"""Node types that have no work of their own."""

EXIT_HOOK = ".onExit"
HOOK = ".hooks."


def linked_ids(node: Json, kind: str) -> list[str]:
    """The ids that a node's `children` or `outboundNodes` holds."""
    found = node.get(kind)
    return [one for one in cast(list[object], found) if isinstance(one, str)] if isinstance(found, list) else []


@dataclass(frozen=True, slots=True)
class NodeGraph:
    """Nodes by id. Hooks and exit handlers are neither within nor after the node that they hang on."""

    nodes: dict[str, Json]
    encloser: dict[str, str] = field(default_factory=dict[str, str])
    """By node: the group that it is directly within; for a hook, the one that its owner is within."""
    owner: dict[str, str] = field(default_factory=dict[str, str])
    """By hook or exit handler: the node that it hangs on."""
    enclosed: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """By group, and by the pod of a container set: what is directly within it."""
    hooks: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    @classmethod
    def of(cls, nodes: Json) -> NodeGraph:
        """The graph of those nodes that are objects."""
        graph = cls({key: as_mapping(cast(object, node)) for key, node in nodes.items() if isinstance(node, dict)})
        by_name = {as_text(node.get("name")): key for key, node in graph.nodes.items() if as_text(node.get("name"))}
        lengths = sorted({len(name) for name in by_name}, reverse=True)
        for name in sorted(by_name, key=len):
            graph.place(by_name[name], name, by_name, lengths)
        return graph

    def place(self, node: str, name: str, by_name: dict[str, str], lengths: list[int]) -> None:
        """Find what a node is within or hangs on: the node with the longest name that its own goes on from."""
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
        """Note that `node` is directly within `group`."""
        self.encloser[node] = group
        self.enclosed.setdefault(group, []).append(node)

    def type_of(self, node: str) -> str:
        """Argo's type of a node."""
        return as_text(self.nodes[node].get("type"))

    def phase(self, node: str) -> str:
        """The phase of a node."""
        return as_text(self.nodes[node].get("phase"))

    def children(self, node: str) -> list[str]:
        """The children of a node that are in the graph, without its hooks."""
        return [
            one for one in linked_ids(self.nodes[node], "children") if one in self.nodes and self.owner.get(one) != node
        ]

    def attempts(self, retry: str) -> list[str]:
        """The attempts of a node of type Retry, the first one first."""
        return [one for one in self.children(retry) if self.encloser.get(one) == retry]

    def enclosers(self, node: str) -> Iterator[str]:
        """The groups that a node is within, the innermost first."""
        while node in self.encloser:
            node = self.encloser[node]
            yield node

    def inside(self, node: str) -> set[str]:
        """A node and all that is within it, hooks of what is within it too, but not its own."""
        return reachable([node], lambda one: self.enclosed.get(one, []))

    def after(self, unit: Collection[str]) -> set[str]:
        """All that can be reached from a set of nodes and is not of it."""
        members = set(unit)
        return reachable([one for node in members for one in self.children(node)], self.children) - members

    def with_hooks(self, nodes: Iterable[str]) -> set[str]:
        """Nodes, with all that is within them and all that hangs on any of it."""
        return reachable(nodes, lambda one: self.enclosed.get(one, []) + self.hooks.get(one, []))


def reachable(starts: Iterable[str], step: Callable[[str], Iterable[str]]) -> set[str]:
    """`starts`, and what can be reached from them step by step."""
    found: set[str] = set()
    todo = list(starts)
    while todo:
        node = todo.pop()
        if node not in found:
            found.add(node)
            todo += step(node)
    return found
