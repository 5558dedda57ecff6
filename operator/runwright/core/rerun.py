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
    plan.consider_waiting()
    for group in sorted(broken_groups(graph), key=lambda one: -len(str(graph.nodes[one].get("name")))):
        if not plan.explained(group):
            plan.consider(group, graph.inside(group))
            plan.consider_waiting()
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
    """The groups that are broken; not those whose last attempt is a broken leaf, which speaks for them."""
    for node in graph.nodes:
        if graph.type_of(node) in GROUPS and broken(graph, node):
            last = graph.attempts(node)[-1:] if graph.type_of(node) == "Retry" else []
            if not any(graph.type_of(one) not in GROUPS and broken(graph, one) for one in last):
                yield node


@dataclass(frozen=True, slots=True)
class Beyond:
    """What lies after a node that failed."""

    lost: set[str] = field(default_factory=set[str])
    """What goes when the node runs again."""
    succeeded: bool = False
    """Whether something of it has succeeded."""
    put_up_with: bool = False
    """Whether the failure had no consequence there."""


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
    fruitful: set[str] = field(default_factory=set[str])
    """The nodes that have succeeded, and those that something which has succeeded comes after."""
    waiting: list[tuple[str, set[str], list[Beyond]]] = field(
        default_factory=list[tuple[str, set[str], list["Beyond"]]]
    )
    seen: dict[str, Beyond] = field(default_factory=dict[str, "Beyond"])

    def __post_init__(self) -> None:
        """Turn the links round."""
        for node in self.graph.nodes:
            for child in self.graph.children(node):
                self.parents.setdefault(child, []).append(node)
        succeeded = [node for node in self.graph.nodes if self.graph.phase(node) == "Succeeded"]
        self.fruitful = reached(succeeded, lambda node: self.parents.get(node, []))

    def explained(self, group: str) -> bool:
        """Whether a group needs no cause of its own: it has one within, or it is not looked at."""
        return group in self.reopened or group in self.removed or group in self.settled or group in self.aside

    def consider(self, start: str, unit: set[str]) -> None:
        """Let `unit` run again, a leaf or group `start` with what belongs to it, unless its failure was put up with."""
        levels = [self.beyond(start, unit), *(self.beyond_group(group) for group in self.graph.enclosers(start))]
        if any(level.put_up_with for level in levels):
            return
        if any(level.succeeded for level in levels):
            self.waiting.append((start, unit, levels))
        else:
            self.let_run(start, unit, levels)

    def let_run(self, start: str, unit: set[str], levels: list[Beyond]) -> None:
        """Take `unit` up into what runs again."""
        if self.graph.type_of(start) in GROUPS:
            self.reopened.add(start)
        elif levels[0].succeeded:
            self.restarted |= self.graph.inside(start)
        else:
            self.removed |= unit
        self.removed.update(*(level.lost for level in levels))
        self.reopened.update(self.graph.enclosers(start))

    def consider_waiting(self) -> None:
        """Let those run again that something which stays comes after, the last ones first.

        Argo starts another attempt of a step with a retryStrategy as long as anything after it is not done: such a step
        stays as it failed, until a retry finds all after it done.
        """
        for start, unit, levels in sorted(self.waiting, key=lambda one: len(self.graph.after(one[1]))):
            retries = [one for one in (start, *self.graph.enclosers(start)) if self.graph.type_of(one) == "Retry"]
            again = self.reopened | self.restarted
            is_open = any(not again.isdisjoint(self.graph.after(self.graph.inside(one))) for one in retries)
            can = self.graph.type_of(start) in (*GROUPS, *RESTARTABLE) or not levels[0].succeeded
            if can and not is_open:
                self.let_run(start, unit, levels)
        self.waiting.clear()

    def beyond_group(self, group: str) -> Beyond:
        """What lies after a group; found once for all that is within it."""
        if group not in self.seen:
            self.seen[group] = self.beyond(group, self.graph.inside(group))
        return self.seen[group]

    def beyond(self, start: str, unit: set[str]) -> Beyond:
        """What lies after a unit, and what of it goes when the unit runs again.

        A failure was put up with where something after it has succeeded. But where it has also kept something from
        running, and with that failed the whole, that something gets its turn, and what has succeeded stays.
        """
        ahead = self.graph.after(unit)
        kept = ahead & self.fruitful
        if not kept:
            return Beyond(lost=ahead)
        omitted = self.omitted_by(unit, ahead - kept)
        if not omitted or not self.scope_broken(start):
            return Beyond(succeeded=True, put_up_with=True)
        return Beyond(succeeded=True, lost=omitted | self.graph.after(omitted))

    def omitted_by(self, unit: set[str], lost: set[str]) -> set[str]:
        """Those of `lost` that did not run, directly after `unit`, and for no other reason."""
        return {
            one
            for one in lost
            if self.graph.phase(one) == "Omitted"
            and not unit.isdisjoint(self.parents[one])
            and not any(self.cause(above) for above in self.parents[one] if above not in unit)
        }

    def cause(self, node: str) -> bool:
        """Whether a node runs again because nothing after it has succeeded."""
        return broken(self.graph, node) and node not in self.fruitful

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
