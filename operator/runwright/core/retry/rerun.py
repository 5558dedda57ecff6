"""Plans which nodes of a failed Workflow run again on a retry.

A retry starts at the causes of the failure: the innermost nodes that failed or did not finish, unless the Workflow
tolerated their failure. The plan removes them and all their successors, and reopens the groups around them.
docs/decisions/retry.md lists the differences from `argo retry` (3.7) and the reasons.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from runwright.core.retry.node_graph import EXIT_HOOK, GROUPS, NodeGraph, linked_ids, reachable

GOOD = ("Succeeded", "Skipped", "Omitted")
"""Phases of a node that succeeded or was correctly not run."""


@dataclass(slots=True)
class Rerun:
    """The nodes that change; all others stay as they are."""

    removed: set[str] = field(default_factory=set[str])
    """Removed; Argo creates them again if it gets to them."""
    restarted: set[str] = field(default_factory=set[str])
    """Daemons that run again under the same node, because their successors may stay."""
    reopened: set[str] = field(default_factory=set[str])
    """Groups that continue."""
    settled: set[str] = field(default_factory=set[str])
    """Nodes inside earlier attempts of a group with a retryStrategy: superseded by a later attempt."""


def plan_rerun(graph: NodeGraph, workflow: str, daemons: Collection[str]) -> Rerun:
    """Plans which nodes run again in the Workflow named `workflow`; `daemons` are its daemon nodes."""
    handlers = [key for key, node in graph.nodes.items() if node.get("name") == workflow + EXIT_HOOK]
    plan = Plan(graph, settled=settled_attempts(graph), handlers=graph.with_hooks(handlers))
    plan.find_causes()
    plan.restart_daemons(daemons)
    return plan.result()


def is_broken(graph: NodeGraph, node: str) -> bool:
    """Whether a node failed or had not finished when the Workflow ended."""
    return graph.phase(node) not in GOOD


def settled_attempts(graph: NodeGraph) -> set[str]:
    """All nodes inside superseded attempts: those before the last one, if the last is a group or the Retry node succeeded."""
    settled: set[str] = set()
    for node in graph.nodes:
        if graph.type_of(node) == "Retry":
            *earlier, last = graph.attempts(node) or (node,)
            if not is_broken(graph, node) or graph.type_of(last) in GROUPS:
                settled.update(*(graph.inside(one) for one in earlier))
    return settled


def broken_leaves(graph: NodeGraph, ignored: Collection[str]) -> Iterable[tuple[str, set[str]]]:
    """The broken nodes that are neither groups nor ignored, each with the unit of nodes that runs again together with it.

    A unit is a pod with its containers, or all attempts of a step with a retryStrategy.
    """
    for node in graph.nodes:
        kind, encloser = graph.type_of(node), graph.encloser.get(node)
        if node in ignored or kind in GROUPS or (kind == "Container" and encloser and graph.type_of(encloser) == "Pod"):
            continue
        unit = graph.inside(node)
        if not any(is_broken(graph, one) for one in unit):
            continue
        attempts = graph.attempts(encloser) if encloser and graph.type_of(encloser) == "Retry" else {}
        if encloser and node in attempts:
            if node != next(reversed(attempts)) or not is_broken(graph, encloser):
                continue
            unit = graph.inside(encloser) - {encloser}
        yield node, unit


def broken_groups(graph: NodeGraph) -> Iterable[str]:
    """The broken groups, except Retry nodes with a broken leaf as the last attempt, which counts instead."""
    for node in graph.nodes:
        if graph.type_of(node) in GROUPS and is_broken(graph, node):
            last = next(reversed(graph.attempts(node)), None) if graph.type_of(node) == "Retry" else None
            if last is None or graph.type_of(last) in GROUPS or not is_broken(graph, last):
                yield node


@dataclass(frozen=True, slots=True)
class Successors:
    """The successors of a unit of nodes."""

    nodes: set[str]
    tolerated: bool
    """Whether the Workflow tolerated the unit's failure."""


@dataclass(slots=True)
class Plan:
    """The search for the nodes that run again."""

    graph: NodeGraph
    settled: set[str]
    handlers: set[str]
    """The workflow's exit handlers: they run after every attempt."""
    removed: set[str] = field(default_factory=set[str])
    restarted: set[str] = field(default_factory=set[str])
    reopened: set[str] = field(default_factory=set[str])
    parents: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    blockers: dict[str, tuple[set[str], set[str]]] = field(default_factory=dict[str, tuple[set[str], set[str]]])
    levels: dict[str, Successors] = field(default_factory=dict[str, Successors])

    def __post_init__(self) -> None:
        """Records the parents of each node."""
        for node in self.graph.nodes:
            for child in self.graph.children(node):
                self.parents.setdefault(child, set()).add(node)

    def has_cause(self, group: str) -> bool:
        """Whether a group needs no cause of its own: it contains one, or it is ignored."""
        return group in self.reopened or group in self.removed or group in self.settled or group in self.handlers

    def find_causes(self) -> None:
        """Finds all causes. Repeats the search if a cause removes a success because of which a failure was tolerated."""
        seen = -1
        while (undone := sum(self.graph.phase(one) == "Succeeded" for one in self.removed)) > seen:
            seen = undone
            self.levels.clear()
            self.graph.work.spend(2 * len(self.graph.nodes))
            for start, unit in broken_leaves(self.graph, self.settled | self.handlers | self.removed):
                self.add_cause(start, unit)
            for group in sorted(
                broken_groups(self.graph), key=lambda one: -len(str(self.graph.nodes[one].get("name")))
            ):
                if not self.has_cause(group):
                    self.add_cause(group, self.graph.inside(group))

    def add_cause(self, start: str, unit: set[str]) -> None:
        """Plans that `unit` runs again (the leaf or group `start` with its nodes), unless its failure was tolerated."""
        levels = [
            self.find_successors(start, unit),
            *(self.group_successors(group) for group in self.graph.enclosers(start)),
        ]
        self.graph.work.spend(len(unit) + sum(len(level.nodes) for level in levels))
        if any(level.tolerated for level in levels):
            return
        if self.graph.type_of(start) in GROUPS:
            self.reopened.add(start)
        else:
            self.removed |= unit
        self.removed.update(*(level.nodes for level in levels))
        self.reopened.update(self.graph.enclosers(start))

    def group_successors(self, group: str) -> Successors:
        """The successors of a group; computed once."""
        if group not in self.levels:
            self.levels[group] = self.find_successors(group, self.graph.inside(group))
        return self.levels[group]

    def find_successors(self, start: str, unit: set[str]) -> Successors:
        """The successors of a unit, and whether the DAG or Steps node around it tolerated its failure.

        It did if one of the successors in it succeeded, unless the failure also omitted another node and so failed the
        whole.
        """
        graph, ahead = self.graph, self.graph.after(unit)
        scope = next((one for one in graph.enclosers(start) if graph.type_of(one) in ("DAG", "Steps")), None)
        near = {one for one in ahead if scope in graph.enclosers(one)} if scope else ahead
        succeeded = [one for one in near - self.removed if graph.phase(one) == "Succeeded"]
        kept = reachable(succeeded, lambda one: self.parents_in(one, near), graph.work)
        fatal = (
            kept
            and scope
            and is_broken(graph, scope)
            and is_broken(graph, start)
            and self.omits_successor(unit, near - kept, kept)
        )
        return Successors(ahead, tolerated=bool(kept) and not fatal)

    def parents_in(self, node: str, near: set[str]) -> set[str]:
        """The parents of a node that are in `near`."""
        parents = self.parents[node]
        self.graph.work.spend(min(len(parents), len(near)))
        return parents & near

    def omits_successor(self, unit: set[str], lost: set[str], kept: set[str]) -> bool:
        """Whether one of `lost` is a direct successor of `unit` that was omitted because of `unit` alone."""
        self.graph.work.spend(len(lost) + len(kept))
        return any(
            self.graph.phase(one) == "Omitted"
            and not unit.isdisjoint(self.parents[one])
            and self.blocking_parents(one, kept) <= unit
            for one in lost
        )

    def blocking_parents(self, omitted: str, kept: set[str]) -> set[str]:
        """The broken parents of an omitted node that have no child in `kept`."""
        known, found = self.blockers.get(omitted, (None, set[str]()))
        self.graph.work.spend(1 + len(kept))
        if known != kept:
            children = self.graph.children
            self.graph.work.spend(sum(1 + len(children(one)) for one in self.parents[omitted]))
            found = {
                one for one in self.parents[omitted] if is_broken(self.graph, one) and kept.isdisjoint(children(one))
            }
            self.blockers[omitted] = (kept, found)
        return found

    def restart_daemons(self, daemons: Collection[str]) -> None:
        """Restarts the daemons with a successor that runs again: they ended with the previous attempt."""
        waiting = [one for one in daemons if one in self.graph.nodes and one not in self.settled | self.handlers]
        found = True
        while found:
            found = False
            for daemon in list(waiting):
                again = self.removed | self.restarted | self.reopened
                self.graph.work.spend(len(again) + len(waiting))
                if daemon not in again and not again.isdisjoint(self.graph.after([daemon])):
                    waiting.remove(daemon)
                    self.restarted |= self.graph.inside(daemon)
                    self.reopened.update(self.graph.enclosers(daemon))
                    found = True

    def result(self) -> Rerun:
        """The plan, with no node in two sets. Hooks of nodes that run again run again too."""
        graph = self.graph
        hooks = [hook for node in self.reopened | self.restarted for hook in graph.hooks.get(node, [])]
        removed = graph.with_hooks([*self.removed, *hooks]) | self.handlers
        return Rerun(removed, self.restarted - removed, self.reopened - removed, self.settled - removed)


def remaining_links(graph: NodeGraph, node: str, kind: str, removed: Collection[str]) -> list[str]:
    """The `children` or `outboundNodes` of a node, without removed nodes."""
    return [one for one in linked_ids(graph.nodes[node], kind) if one in graph.nodes and one not in removed]
