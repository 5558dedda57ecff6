"""The graph of a Workflow's nodes: groups, hooks, attempts and successors, from Argo's names and children."""

from __future__ import annotations

from typing import Any

from hypothesis import given

from runwright.core.retry.node_graph import NodeGraph, Work, linked_ids, reachable
from tests.unit.core.strategies import JSON, NODES


def graph_of(*nodes: tuple[str, str, str]) -> NodeGraph:
    """A graph from (name, type, names of its children); an id is the name."""
    return NodeGraph.of(
        {
            name: {"id": name, "name": name, "type": kind, "phase": "Succeeded", "children": children.split()}
            for name, kind, children in nodes
        }
    )


STEPS = graph_of(
    ("run", "Steps", "run[0]"),
    ("run[0]", "StepGroup", "run[0].a run[0].b"),
    ("run[0].a", "Pod", "run[1]"),
    ("run[0].a.hooks.log", "Pod", ""),
    ("run[0].b", "Pod", "run[1]"),
    ("run[1]", "StepGroup", "run[1].c"),
    ("run[1].c", "Pod", ""),
    ("run.onExit", "Pod", ""),
)


@given(NODES | JSON)
def test_any_nodes_give_a_graph(nodes: Any) -> None:
    graph = NodeGraph.of(nodes if isinstance(nodes, dict) else {})
    for node in graph.nodes:
        assert set(graph.children(node)) | set(graph.attempts(node)) <= set(graph.nodes)
        assert set(graph.enclosers(node)) | graph.after([node]) <= set(graph.nodes)


def test_a_node_is_inside_the_groups_that_its_name_starts_with() -> None:
    assert list(STEPS.enclosers("run[0].a")) == ["run[0]", "run"]
    assert STEPS.inside("run[0]") == {"run[0]", "run[0].a", "run[0].b", "run[0].a.hooks.log"}
    assert list(STEPS.enclosers("run")) == []


def test_a_hook_and_an_exit_handler_belong_to_their_owner() -> None:
    assert STEPS.owner == {"run[0].a.hooks.log": "run[0].a", "run.onExit": "run"}
    assert "run[0].a.hooks.log" not in STEPS.inside("run[0].a")
    assert STEPS.with_hooks(["run[0].a"]) == {"run[0].a", "run[0].a.hooks.log"}


def test_successors_are_the_nodes_that_children_lead_to() -> None:
    assert STEPS.after(["run[0].a"]) == {"run[1]", "run[1].c"}
    assert STEPS.after(["run[1].c"]) == set()


def test_the_attempts_of_a_retry_node_are_its_own_children_in_order() -> None:
    graph = graph_of(
        ("run", "DAG", "run.a"),
        ("run.a", "Retry", "run.a(0) run.a(1) run.b"),
        ("run.a(0)", "Pod", ""),
        ("run.a(1)", "Pod", "run.b"),
        ("run.b", "Pod", ""),
    )
    assert list(graph.attempts("run.a")) == ["run.a(0)", "run.a(1)"]
    assert list(graph.enclosers("run.b")) == ["run"]


def test_a_name_that_only_starts_like_a_group_is_not_inside_it() -> None:
    graph = graph_of(
        ("run", "DAG", "run.a run.ab"), ("run.a", "DAG", "run.a.x"), ("run.a.x", "Pod", ""), ("run.ab", "Pod", "")
    )
    assert graph.inside("run.a") == {"run.a", "run.a.x"}


def test_ids_that_are_not_strings_are_ignored() -> None:
    assert linked_ids({"children": ["a", 1, None]}, "children") == ["a"]
    assert linked_ids({"children": "a"}, "children") == []
    graph = graph_of(("run", "DAG", "run.a absent"), ("run.a", "Pod", ""))
    assert graph.children("run") == ["run.a"]


def test_reachable_follows_steps_through_a_cycle_once() -> None:
    steps = {"a": ["b"], "b": ["c", "a"], "c": []}
    assert reachable(["a"], lambda node: steps[node], Work()) == {"a", "b", "c"}
