"""Which nodes of a failed Workflow run again when it is retried, and which stay as they are.

A retry begins at the causes of the failure: the innermost nodes that failed, or were not finished, and after which
nothing has succeeded. They go, with all that comes after them; the groups that they are within go on. Where and why
this differs from `argo retry` (3.7) is written in docs/decisions/retry.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from runwright.core.node_graph import EXIT_HOOK, GROUPS, NodeGraph, links, reached

GOOD = ("Succeeded", "Skipped", "Omitted")
"""Phases of a node that ended well, or was rightly not run."""

RESTARTABLE = ("Pod", "HTTP", "Plugin", "Suspend")
"""Types of node that Argo runs anew where their phase says that they have not yet run."""


@dataclass(slots=True)
class Rerun:
    """What becomes of the nodes; one that is in none of the sets stays as it is."""

    removed: set[str] = field(default_factory=set[str])
    """Taken out: Argo makes them anew when their turn comes, or does not."""
    restarted: set[str] = field(default_factory=set[str])
    """Run anew in their place, since something after them stays."""
    reopened: set[str] = field(default_factory=set[str])
    """Groups that go on."""
    settled: set[str] = field(default_factory=set[str])
    """Within earlier attempts of a group with a retryStrategy: history, which a later attempt has taken over."""


def rerun(graph: NodeGraph, workflow: str, daemons: Collection[str]) -> Rerun:
    """Which nodes run again in the Workflow named `workflow`; `daemons` are the nodes that run in the background."""
    handlers = [key for key, node in graph.nodes.items() if node.get("name") == workflow + EXIT_HOOK]
    exits = graph.with_hooks(handlers)
    plan = Plan(graph, settled=settled_attempts(graph), aside=exits)
    for start, unit in broken_leaves(graph, plan.settled | exits):
        plan.consider(start, unit)
    for group in sorted(broken_groups(graph), key=lambda one: -len(str(graph.nodes[one].get("name")))):
        if not plan.explained(group):
            plan.consider(group, graph.inside(group))
    plan.bring_back(daemons)
    return plan.result()


def broken(graph: NodeGraph, node: str) -> bool:
    """Whether a node failed, or had not finished when the Workflow ended."""
    return graph.phase(node) not in GOOD


def settled_attempts(graph: NodeGraph) -> set[str]:
    """All within attempts that are over for good: those before the last, where the last is a group, or all went well."""
    settled: set[str] = set()
    for node in graph.nodes:
        if graph.type_of(node) == "Retry":
            *earlier, last = graph.attempts(node) or [node]
            if not broken(graph, node) or graph.type_of(last) in GROUPS:
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
        if not any(broken(graph, one) for one in unit):
            continue
        attempts = graph.attempts(encloser) if encloser and graph.type_of(encloser) == "Retry" else []
        if encloser and node in attempts:
            if node != attempts[-1] or not broken(graph, encloser):
                continue
            unit = graph.inside(encloser) - {encloser}
        yield node, unit


def broken_groups(graph: NodeGraph) -> Iterable[str]:
    """The groups that are broken."""
    return [one for one in graph.nodes if graph.type_of(one) in GROUPS and broken(graph, one)]


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
    parents: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    def __post_init__(self) -> None:
        """Turn the links round."""
        for node in self.graph.nodes:
            for child in self.graph.children(node):
                self.parents.setdefault(child, []).append(node)

    def explained(self, group: str) -> bool:
        """Whether a group needs no cause of its own: it has one within, or it is not looked at."""
        return group in self.reopened or group in self.removed or group in self.settled or group in self.aside

    def consider(self, start: str, unit: set[str]) -> None:
        """Let `unit` run again, a leaf or group `start` with what belongs to it, unless its failure was put up with.

        It was where something after it has succeeded. But where the failure has also kept something from running,
        and with that failed the whole, it runs again in its place, and what has succeeded stays.
        """
        graph, group = self.graph, self.graph.type_of(start) in GROUPS
        ahead = graph.after(unit)
        kept = self.before_success(ahead)
        kept_from_running = self.omitted_by(unit, ahead - kept) if kept else set[str]()
        if kept and not (kept_from_running and self.scope_broken(start)):
            return
        if group:
            self.reopened.add(start)
        elif not kept:
            self.removed |= unit
        elif graph.type_of(start) in RESTARTABLE:
            self.restarted |= graph.inside(start)
        else:
            return
        self.removed |= (kept_from_running | graph.after(kept_from_running)) if kept else ahead
        self.reopened.update(graph.enclosers(start))

    def before_success(self, nodes: set[str]) -> set[str]:
        """Those of the nodes that have succeeded, or after which one of them has."""
        done = [one for one in nodes if self.graph.phase(one) == "Succeeded"]
        return reached(done, lambda one: [above for above in self.parents.get(one, []) if above in nodes])

    def omitted_by(self, unit: set[str], lost: set[str]) -> set[str]:
        """Those of `lost` that did not run, directly after `unit`, and for no other reason."""
        return {
            one
            for one in lost
            if self.graph.phase(one) == "Omitted"
            and not unit.isdisjoint(self.parents[one])
            and all(above in unit or not broken(self.graph, above) for above in self.parents[one])
        }

    def scope_broken(self, node: str) -> bool:
        """Whether the DAG or the steps that a node belongs to did not end well."""
        scopes = (one for one in self.graph.enclosers(node) if self.graph.type_of(one) in ("DAG", "Steps"))
        return any(broken(self.graph, one) for one in [next(scopes, None)] if one)

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
        restarted = self.restarted - removed
        return Rerun(removed, restarted, self.reopened - removed, self.settled - removed)


def left(graph: NodeGraph, node: str, kind: str, removed: Collection[str]) -> list[str]:
    """The `children` or `outboundNodes` of a node that there still are."""
    return [one for one in links(graph.nodes[node], kind) if one in graph.nodes and one not in removed]
