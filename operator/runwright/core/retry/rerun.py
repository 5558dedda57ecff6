"""Which nodes of a failed Workflow run again when it is retried, and which stay as they are.

A retry begins at the causes of the failure: the innermost nodes that failed, or were not finished, and whose failure was
not put up with. They go, with all that comes after them; the groups that they are within go on. Where and why this
differs from `argo retry` (3.7) is written in docs/decisions/retry.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from runwright.core.retry.node_graph import EXIT_HOOK, GROUPS, NodeGraph, linked_ids, reachable

GOOD = ("Succeeded", "Skipped", "Omitted")
"""Phases of a node that ended well, or was rightly not run."""


@dataclass(slots=True)
class Rerun:
    """What becomes of the nodes; one that is in none of the sets stays as it is."""

    removed: set[str] = field(default_factory=set[str])
    """Taken out: Argo makes them anew when their turn comes, or does not."""
    restarted: set[str] = field(default_factory=set[str])
    """Daemons that run anew in their place, since what comes after them may stay."""
    reopened: set[str] = field(default_factory=set[str])
    """Groups that go on."""
    settled: set[str] = field(default_factory=set[str])
    """Within earlier attempts of a group with a retryStrategy: history, which a later attempt has taken over."""


def plan_rerun(graph: NodeGraph, workflow: str, daemons: Collection[str]) -> Rerun:
    """Which nodes run again in the Workflow named `workflow`; `daemons` are the nodes that run in the background."""
    handlers = [key for key, node in graph.nodes.items() if node.get("name") == workflow + EXIT_HOOK]
    plan = Plan(graph, settled=settled_attempts(graph), aside=graph.with_hooks(handlers))
    plan.find_causes()
    plan.bring_back(daemons)
    return plan.result()


def is_broken(graph: NodeGraph, node: str) -> bool:
    """Whether a node failed, or had not finished when the Workflow ended."""
    return graph.phase(node) not in GOOD


def settled_attempts(graph: NodeGraph) -> set[str]:
    """All within attempts that are over for good: those before the last, where the last is a group, or all went well."""
    settled: set[str] = set()
    for node in graph.nodes:
        if graph.type_of(node) == "Retry":
            *earlier, last = graph.attempts(node) or [node]
            if not is_broken(graph, node) or graph.type_of(last) in GROUPS:
                settled.update(*(graph.inside(one) for one in earlier))
    return settled


def broken_leaves(graph: NodeGraph, aside: Collection[str]) -> Iterable[tuple[str, set[str]]]:
    """The nodes with work of their own that are broken, each with all that runs again as one with it.

    That is the containers of a pod, and the attempts of a step with a retryStrategy.
    """
    for node in graph.nodes:
        kind, encloser = graph.type_of(node), graph.encloser.get(node)
        if node in aside or kind in GROUPS or (kind == "Container" and encloser and graph.type_of(encloser) == "Pod"):
            continue
        unit = graph.inside(node)
        if not any(is_broken(graph, one) for one in unit):
            continue
        attempts = graph.attempts(encloser) if encloser and graph.type_of(encloser) == "Retry" else []
        if encloser and node in attempts:
            if node != attempts[-1] or not is_broken(graph, encloser):
                continue
            unit = graph.inside(encloser) - {encloser}
        yield node, unit


def broken_groups(graph: NodeGraph) -> Iterable[str]:
    """The groups that are broken; not those whose last attempt is a broken leaf, which speaks for them."""
    for node in graph.nodes:
        if graph.type_of(node) in GROUPS and is_broken(graph, node):
            last = graph.attempts(node)[-1:] if graph.type_of(node) == "Retry" else []
            if not any(graph.type_of(one) not in GROUPS and is_broken(graph, one) for one in last):
                yield node


@dataclass(frozen=True, slots=True)
class Beyond:
    """What lies after a node."""

    nodes: set[str]
    put_up_with: bool
    """Whether the node's failure had no consequence there."""


@dataclass(slots=True)
class Plan:
    """What runs again, as far as it is found."""

    graph: NodeGraph
    settled: set[str]
    aside: set[str]
    """The workflow's exit handlers: they run after every attempt."""
    removed: set[str] = field(default_factory=set[str])
    restarted: set[str] = field(default_factory=set[str])
    reopened: set[str] = field(default_factory=set[str])
    parents: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    excuses: dict[str, tuple[set[str], set[str]]] = field(default_factory=dict[str, tuple[set[str], set[str]]])
    levels: dict[str, Beyond] = field(default_factory=dict[str, Beyond])

    def __post_init__(self) -> None:
        """Turn the links round."""
        for node in self.graph.nodes:
            for child in self.graph.children(node):
                self.parents.setdefault(child, set()).add(node)

    def explained(self, group: str) -> bool:
        """Whether a group needs no cause of its own: it has one within, or it is not looked at."""
        return group in self.reopened or group in self.removed or group in self.settled or group in self.aside

    def find_causes(self) -> None:
        """Take up all causes; anew, where a success for which a failure was put up with is undone by another cause."""
        seen = -1
        while (undone := sum(self.graph.phase(one) == "Succeeded" for one in self.removed)) > seen:
            seen = undone
            self.levels.clear()
            for start, unit in broken_leaves(self.graph, self.settled | self.aside | self.removed):
                self.consider(start, unit)
            for group in sorted(
                broken_groups(self.graph), key=lambda one: -len(str(self.graph.nodes[one].get("name")))
            ):
                if not self.explained(group):
                    self.consider(group, self.graph.inside(group))

    def consider(self, start: str, unit: set[str]) -> None:
        """Let `unit` run again, a leaf or group `start` with what belongs to it, unless its failure was put up with."""
        levels = [self.beyond(start, unit), *(self.beyond_group(group) for group in self.graph.enclosers(start))]
        if any(level.put_up_with for level in levels):
            return
        if self.graph.type_of(start) in GROUPS:
            self.reopened.add(start)
        else:
            self.removed |= unit
        self.removed.update(*(level.nodes for level in levels))
        self.reopened.update(self.graph.enclosers(start))

    def beyond_group(self, group: str) -> Beyond:
        """What lies after a group; found once for all that is within it."""
        if group not in self.levels:
            self.levels[group] = self.beyond(group, self.graph.inside(group))
        return self.levels[group]

    def beyond(self, start: str, unit: set[str]) -> Beyond:
        """What lies after a unit, and whether its failure was put up with in the DAG or the steps that it belongs to.

        It was where something after it has succeeded there; but not where it has kept something else from running, and
        with that has failed the whole.
        """
        graph, ahead = self.graph, self.graph.after(unit)
        scope = next((one for one in graph.enclosers(start) if graph.type_of(one) in ("DAG", "Steps")), None)
        near = {one for one in ahead if scope in graph.enclosers(one)} if scope else ahead
        succeeded = [one for one in near - self.removed if graph.phase(one) == "Succeeded"]
        kept = reachable(succeeded, lambda one: self.parents[one] & near)
        fatal = (
            kept
            and scope
            and is_broken(graph, scope)
            and is_broken(graph, start)
            and self.omits(unit, near - kept, kept)
        )
        return Beyond(ahead, put_up_with=bool(kept) and not fatal)

    def omits(self, unit: set[str], lost: set[str], kept: set[str]) -> bool:
        """Whether one of `lost` did not run, directly after `unit`, and not for the sake of another cause."""
        return any(
            self.graph.phase(one) == "Omitted"
            and not unit.isdisjoint(self.parents[one])
            and self.fruitless(one, kept) <= unit
            for one in lost
        )

    def fruitless(self, omitted: str, kept: set[str]) -> set[str]:
        """What is broken right before a node that did not run, and has nothing of `kept` after it."""
        known, found = self.excuses.get(omitted, (None, set[str]()))
        if known != kept:
            children = self.graph.children
            found = {
                one for one in self.parents[omitted] if is_broken(self.graph, one) and kept.isdisjoint(children(one))
            }
            self.excuses[omitted] = (kept, found)
        return found

    def bring_back(self, daemons: Collection[str]) -> None:
        """Restart the daemons that something which runs again comes after: they were ended with the first attempt."""
        waiting = [one for one in daemons if one in self.graph.nodes and one not in self.settled | self.aside]
        found = True
        while found:
            found = False
            for daemon in list(waiting):
                again = self.removed | self.restarted | self.reopened
                if daemon not in again and not again.isdisjoint(self.graph.after([daemon])):
                    waiting.remove(daemon)
                    self.restarted |= self.graph.inside(daemon)
                    self.reopened.update(self.graph.enclosers(daemon))
                    found = True

    def result(self) -> Rerun:
        """The sets, with no node in two of them; hooks of what runs again run again."""
        graph = self.graph
        hooks = [hook for node in self.reopened | self.restarted for hook in graph.hooks.get(node, [])]
        removed = graph.with_hooks([*self.removed, *hooks]) | self.aside
        return Rerun(removed, self.restarted - removed, self.reopened - removed, self.settled - removed)


def remaining_links(graph: NodeGraph, node: str, kind: str, removed: Collection[str]) -> list[str]:
    """The `children` or `outboundNodes` of a node that there still are."""
    return [one for one in linked_ids(graph.nodes[node], kind) if one in graph.nodes and one not in removed]
