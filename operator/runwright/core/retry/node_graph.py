"""The nodes of a Workflow as a graph: for each node, its groups, its hooks, and its successors.

Argo (3.7) records `children`, which contain both the nodes inside a group and the successors of a node. Names distinguish
them, because they are paths: `run.train` is inside `run`, `run.train(0)` is an attempt or an item of `run.train`, and
`run[1]` is a group of steps.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import cast

from runwright.kube.objects import Json, as_mapping, as_text

GROUPS = ("DAG", "Steps", "StepGroup", "TaskGroup", "Retry")
"""Types of nodes that only contain other nodes."""

SEPARATOR = re.compile(r"[.(\[]")
"""A character between the name of a group and that of a node inside it."""

MAX_WORK = 5_000_000
"""Steps on the way to a plan: about three seconds. A retry of 10,000 nodes takes 200,000; a crafted graph could take 10^12."""

EXIT_HOOK = ".onExit"
HOOK = ".hooks."


class TooMuchWorkError(Exception):
    """The nodes of a Workflow are linked in a way that takes more than MAX_WORK steps to follow."""


@dataclass(slots=True)
class Work:
    """A count of the steps that are left."""

    left: int = field(default_factory=lambda: MAX_WORK)

    def spend(self, steps: int) -> None:
        """Count these steps. Raises TooMuchWorkError beyond the limit."""
        self.left -= steps
        if self.left < 0:
            raise TooMuchWorkError(f"more than {MAX_WORK} steps")


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
    work: Work = field(default_factory=Work)
    """All methods that follow links spend from it."""
    known_children: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    known_attempts: dict[str, dict[str, None]] = field(default_factory=dict[str, dict[str, None]])

    @classmethod
    def of(cls, nodes: Json, work: Work | None = None) -> NodeGraph:
        """Builds the graph of a Workflow's nodes; ignores nodes that are not objects. Raises TooMuchWorkError."""
        objects = {key: as_mapping(cast(object, node)) for key, node in nodes.items() if isinstance(node, dict)}
        graph = cls(objects, work=work or Work())
        by_name = {as_text(node.get("name")): key for key, node in graph.nodes.items() if as_text(node.get("name"))}
        lengths = {len(name) for name in by_name}
        for name in sorted(by_name, key=len):
            graph.place_node(by_name[name], name, by_name, lengths)
        return graph

    def place_node(self, node: str, name: str, by_name: dict[str, str], lengths: set[int]) -> None:
        """Finds the group or owner of a node: the node with the longest name that is a prefix of this node's name."""
        self.work.spend(1 + len(name) // 16)
        for length in reversed([found.start() for found in SEPARATOR.finditer(name)]):
            if length not in lengths:
                continue
            self.work.spend(1 + length // 64)
            above = by_name.get(name[:length])
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
        known = self.known_children.get(node)
        if known is None:
            linked = linked_ids(self.nodes[node], "children")
            self.work.spend(len(linked))
            known = [one for one in linked if one in self.nodes and self.owner.get(one) != node]
            self.known_children[node] = known
        return known

    def attempts(self, retry: str) -> dict[str, None]:
        """The attempts of a node of type Retry, in order."""
        known = self.known_attempts.get(retry)
        if known is None:
            known = dict.fromkeys(one for one in self.children(retry) if self.encloser.get(one) == retry)
            self.known_attempts[retry] = known
        return known

    def enclosers(self, node: str) -> Iterator[str]:
        """The groups around a node, innermost first."""
        while node in self.encloser:
            node = self.encloser[node]
            self.work.spend(1)
            yield node

    def inside(self, node: str) -> set[str]:
        """A node and all nodes inside it, with their hooks, but without the node's own hooks."""
        return reachable([node], lambda one: self.enclosed.get(one, []), self.work)

    def after(self, unit: Collection[str]) -> set[str]:
        """All successors of a set of nodes, without the set itself."""
        members = set(unit)
        return reachable([one for node in members for one in self.children(node)], self.children, self.work) - members

    def with_hooks(self, nodes: Iterable[str]) -> set[str]:
        """The nodes, all nodes inside them, and all hooks of these."""
        return reachable(nodes, lambda one: self.enclosed.get(one, []) + self.hooks.get(one, []), self.work)


def reachable(starts: Iterable[str], step: Callable[[str], Collection[str]], work: Work) -> set[str]:
    """`starts` and all nodes that `step` leads to from them, repeatedly. Raises TooMuchWorkError."""
    found: set[str] = set()
    todo = list(starts)
    work.spend(len(todo))
    while todo:
        node = todo.pop()
        if node not in found:
            found.add(node)
            more = step(node)
            work.spend(1 + len(more))
            todo += more
    return found
