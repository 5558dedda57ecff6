"""Argo's controller in small: how version 3.7 makes nodes, and how it goes on from those that there are.

Made for the properties of retrying. Every leaf ends at once, as a function of its name says. What the real controller
makes of a retry is in tests/e2e/test_retry_oracle.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Node = dict[str, Any]
FAILED = ("Failed", "Error")
DONE = ("Succeeded", "Skipped", "Omitted", *FAILED)


@dataclass(frozen=True)
class Template:
    """A leaf, or `steps`, or a DAG's `tasks`; with `limit`, it has a retryStrategy."""

    steps: tuple[tuple[Template, ...], ...] = ()
    tasks: tuple[Task, ...] = ()
    limit: int | None = None


@dataclass(frozen=True)
class Task:
    """A task of a DAG: it comes after those of the numbers `after`, if they ended as `when` says."""

    template: Template
    after: frozenset[int] = frozenset()
    when: tuple[str, ...] = ("Succeeded", "Skipped")
    items: int = 0


class StuckError(Exception):
    """Argo would go on for ever."""


class SmallArgo:
    """One Workflow."""

    def __init__(self, name: str, template: Template, nodes: dict[str, Node] | None = None) -> None:
        self.name, self.template = name, template
        self.nodes = {} if nodes is None else nodes
        self.ran: list[str] = []
        self.outcome: Callable[[str], str] = lambda _: "Succeeded"

    def run(self, outcome: Callable[[str], str]) -> str:
        """Go on until nothing more comes of it; the phase of the whole."""
        self.outcome = outcome
        for _ in range(50):
            before = str(self.nodes)
            node = self.execute(self.template, self.name)
            if str(self.nodes) == before:
                return node["phase"]
        raise StuckError(self.name)

    # -------------------------------------------------------------------------------------------------------- nodes
    def get(self, name: str) -> Node | None:
        return self.nodes.get(f"id:{name}")

    def make(self, name: str, kind: str, phase: str = "Running") -> Node:
        node = {"id": f"id:{name}", "name": name, "type": kind, "phase": phase, "children": [], "outboundNodes": []}
        self.nodes[node["id"]] = node
        return node

    def link(self, above: Node, name: str) -> None:
        if f"id:{name}" not in above["children"]:
            above["children"].append(f"id:{name}")

    def children(self, node: Node) -> list[Node]:
        return [self.nodes[child] for child in node["children"]]

    def below(self, node: Node) -> list[Node]:
        return [node] + [one for child in self.children(node) for one in self.below(child)]

    def all_done(self, node: Node) -> bool:
        return node["phase"] in DONE and all(self.all_done(child) for child in self.children(node))

    def outbound(self, node: Node) -> list[Node]:
        match node["type"]:
            case "TaskGroup" if node["children"]:
                return [one for child in self.children(node) for one in self.outbound(child)]
            case "Retry" if node["children"]:
                return self.children(node)[-1:]
            case "DAG" | "Steps":
                return [one for key in node["outboundNodes"] for one in self.outbound(self.nodes[key])]
            case _:
                return [node]

    # ---------------------------------------------------------------------------------------------------- templates
    def execute(self, template: Template, name: str) -> Node:
        node = self.get(name)
        if node and node["phase"] in DONE:
            return node
        if template.limit is None:
            return self.attempt(template, name)
        node = node or self.make(name, "Retry")
        for _ in range(20):
            attempts = self.children(node)
            if attempts and attempts[-1]["phase"] in DONE:
                last = attempts[-1]["phase"]
                if last == "Succeeded" or len(attempts) > template.limit:
                    node["phase"] = last
                if node["phase"] in DONE and self.all_done(node):
                    return node
            elif attempts:
                if self.attempt(template, attempts[-1]["name"])["phase"] not in DONE:
                    return node
                continue
            self.link(node, f"{name}({len(attempts)})")
            if self.attempt(template, f"{name}({len(attempts)})")["phase"] not in DONE:
                return node
        raise StuckError(name)

    def attempt(self, template: Template, name: str) -> Node:
        if template.tasks:
            return self.dag(template.tasks, name)
        if template.steps:
            return self.sequence(template.steps, name)
        node = self.get(name) or self.make(name, "Pod")
        node["phase"] = self.outcome(name)
        self.ran.append(name)
        return node

    def sequence(self, groups: tuple[tuple[Template, ...], ...], name: str) -> Node:
        node = self.get(name) or self.make(name, "Steps")
        before: Node | None = None
        for number, group in enumerate(groups):
            step = self.get(f"{name}[{number}]") or self.make(f"{name}[{number}]", "StepGroup")
            for above in (
                [node] if before is None else [o for child in self.children(before) for o in self.outbound(child)]
            ):
                self.link(above, step["name"])
            if not (step["phase"] in DONE and self.all_done(step)):
                found = [self.execute(one, f"{name}[{number}].s{index}") for index, one in enumerate(group)]
                for one in found:
                    self.link(step, one["name"])
                if any(one["phase"] not in DONE for one in found):
                    step["phase"] = "Running"
                    return node
                step["phase"] = "Failed" if any(one["phase"] in FAILED for one in found) else "Succeeded"
            before = step
            if step["phase"] in FAILED:
                break
        assert before
        node["outboundNodes"] = [one["id"] for child in self.children(before) for one in self.outbound(child)]
        node["phase"] = before["phase"]
        return node

    def dag(self, tasks: tuple[Task, ...], name: str) -> Node:
        node = self.get(name) or self.make(name, "DAG")
        needed = {number for task in tasks for number in task.after}
        targets = [number for number in range(len(tasks)) if number not in needed]
        visited: set[int] = set()
        for target in targets:
            self.task(tasks, target, node, visited)
        phase = self.assessed(node, [f"id:{name}.t{target}" for target in targets])
        if phase != "Running":
            found = [self.get(f"{name}.t{target}") for target in targets]
            node["outboundNodes"] = [o["id"] for one in found if one for o in self.outbound(one)]
            node["phase"] = phase
        return node

    def task(self, tasks: tuple[Task, ...], number: int, dag: Node, visited: set[int]) -> None:
        task, name = tasks[number], f"{dag['name']}.t{number}"
        node = self.get(name)
        if node and any(self.get(f"{dag['name']}.t{one}") is None for one in ancestors(tasks, number)):
            raise StuckError(f"{name}: ancestor task node not found")
        if number in visited or (node and node["phase"] in DONE):
            return
        visited.add(number)
        for other in sorted(task.after):
            self.task(tasks, other, dag, visited)
        before = [self.get(f"{dag['name']}.t{other}") for other in sorted(task.after)]
        above = [dag] if not before else [o for one in before if one for o in self.outbound(one)]
        if node is None:
            if any(one is None or one["phase"] not in DONE for one in before):
                return
            for one in above:
                self.link(one, name)
            if any(one and one["phase"] not in task.when for one in before):
                self.make(name, "Skipped", "Omitted")
                return
        if not task.items:
            self.execute(task.template, name)
            return
        group = node or self.make(name, "TaskGroup")
        found: list[Node] = []
        for item in range(task.items):
            self.link(group, f"{name}({item}:x)")
            found.append(self.execute(task.template, f"{name}({item}:x)"))
        if all(one["phase"] in DONE for one in found):
            group["phase"] = "Failed" if any(one["phase"] in FAILED for one in found) else "Succeeded"

    def assessed(self, dag: Node, targets: list[str]) -> str:
        reached: dict[str, str] = {}
        queue = [(child, "Succeeded") for child in dag["children"]]
        seen: set[tuple[str, str]] = set()
        while queue:
            key, phase = queue.pop(0)
            if (key, phase) in seen:
                continue
            seen.add((key, phase))
            node = self.nodes[key]
            if node["phase"] not in DONE:
                return "Running"
            if node["phase"] in ("Succeeded", *FAILED):
                phase = node["phase"]
            if key in targets and reached.get(key) not in FAILED:
                reached[key] = phase
            if node["type"] == "Retry":
                queue += [(below, phase) for child in self.children(node) for below in child["children"]]
            else:
                queue += [(child, phase) for child in node["children"]]
        phases = [reached.get(target, "") for target in targets]
        failed = next((phase for phase in phases if phase in FAILED), "")
        return failed or ("Running" if "" in phases else "Succeeded")


def ancestors(tasks: tuple[Task, ...], number: int) -> set[int]:
    """The numbers of all tasks that one depends on, at however many removes."""
    found = set(tasks[number].after)
    return found.union(*(ancestors(tasks, one) for one in found))
