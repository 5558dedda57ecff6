"""The plan of a retry: which nodes are removed, restarted, reopened or superseded. test_reset.py compares it with Argo's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from runwright.core.records import Refusal
from runwright.core.retry import node_graph
from runwright.core.retry.node_graph import MAX_WORK, NodeGraph, Work
from runwright.core.retry.rerun import is_broken, plan_rerun, remaining_links
from runwright.core.retry.reset import reset_workflow


def graph_of(*nodes: tuple[str, str, str, str]) -> NodeGraph:
    """A graph from (name, type, phase, names of its children); an id is the name."""
    return NodeGraph.of(
        {
            name: {"id": name, "name": name, "type": kind, "phase": phase, "children": children.split()}
            for name, kind, phase, children in nodes
        }
    )


CHAIN = graph_of(
    ("run", "DAG", "Failed", "run.a"),
    ("run.a", "Pod", "Succeeded", "run.b"),
    ("run.b", "Pod", "Failed", "run.c"),
    ("run.c", "Skipped", "Omitted", ""),
)


def test_a_failed_node_and_its_successors_are_removed_and_its_group_is_reopened() -> None:
    plan = plan_rerun(CHAIN, "run", ())
    assert (plan.removed, plan.reopened) == ({"run.b", "run.c"}, {"run"})
    assert (plan.restarted, plan.settled) == (set(), set())


def test_a_tolerated_failure_does_not_run_again() -> None:
    """`run.b` succeeded although `run.a` before it failed (continueOn); `run.c` is the cause."""
    graph = graph_of(
        ("run", "DAG", "Failed", "run.a run.c"),
        ("run.a", "Pod", "Failed", "run.b"),
        ("run.b", "Pod", "Succeeded", ""),
        ("run.c", "Pod", "Failed", ""),
    )
    assert plan_rerun(graph, "run", ()).removed == {"run.c"}


def test_the_exit_handler_of_the_workflow_always_runs_again() -> None:
    graph = graph_of(("run", "Pod", "Failed", ""), ("run.onExit", "Pod", "Succeeded", ""))
    assert plan_rerun(graph, "run", ()).removed == {"run", "run.onExit"}


def test_all_attempts_of_a_failed_step_are_removed() -> None:
    graph = graph_of(
        ("run", "Retry", "Failed", "run(0) run(1)"), ("run(0)", "Pod", "Failed", ""), ("run(1)", "Pod", "Failed", "")
    )
    plan = plan_rerun(graph, "run", ())
    assert (plan.removed, plan.reopened) == ({"run(0)", "run(1)"}, {"run"})


def test_earlier_attempts_of_a_group_are_superseded() -> None:
    graph = graph_of(
        ("run", "Retry", "Failed", "run(0) run(1)"),
        ("run(0)", "Steps", "Failed", "run(0).a"),
        ("run(0).a", "Pod", "Failed", ""),
        ("run(1)", "Steps", "Failed", "run(1).a"),
        ("run(1).a", "Pod", "Failed", ""),
    )
    plan = plan_rerun(graph, "run", ())
    assert plan.settled == {"run(0)", "run(0).a"}
    assert plan.removed == {"run(1).a"}


def test_a_daemon_before_a_node_that_runs_again_is_restarted() -> None:
    graph = graph_of(
        ("run", "DAG", "Failed", "run.server"),
        ("run.server", "Pod", "Succeeded", "run.client"),
        ("run.client", "Pod", "Failed", ""),
    )
    plan = plan_rerun(graph, "run", ["run.server"])
    assert (plan.removed, plan.restarted) == ({"run.client"}, {"run.server"})
    assert plan_rerun(graph, "run", ()).restarted == set()


def test_a_node_is_broken_unless_it_succeeded_or_was_correctly_not_run() -> None:
    assert [node for node in CHAIN.nodes if is_broken(CHAIN, node)] == ["run", "run.b"]


def test_links_to_removed_and_unknown_nodes_are_left_out() -> None:
    graph = graph_of(
        ("run", "DAG", "Failed", "run.a run.b absent"),
        ("run.a", "Pod", "Succeeded", ""),
        ("run.b", "Pod", "Failed", ""),
    )
    assert remaining_links(graph, "run", "children", {"run.b"}) == ["run.a"]


# ------------------------------------------------------------------------------------------------------ bounded work


def chain(count: int) -> dict[str, Any]:
    """Each node failed, and is followed by the next."""
    nodes = {f"n{at}": {"name": f"w.{at}", "type": "Pod", "phase": "Failed"} for at in range(count)}
    return {key: node | {"children": [f"n{at + 1}"]} for at, (key, node) in enumerate(nodes.items())}


def dense(count: int) -> dict[str, Any]:
    """Each node failed, and is followed by every other."""
    ids = [f"n{at}" for at in range(count)]
    return {id: {"name": f"w.{id}", "type": "Pod", "phase": "Failed", "children": ids} for id in ids}


def nested(count: int) -> dict[str, Any]:
    """Each group contains the next."""
    return {f"n{at}": {"name": "w" + ".a" * at, "type": "DAG", "phase": "Failed"} for at in range(count)}


def dotted(count: int) -> dict[str, Any]:
    """Each prefix of a name is a name."""
    return {f"n{at}": {"name": "." * (at + 1), "type": "Pod", "phase": "Failed"} for at in range(count)}


def many_attempts(count: int) -> dict[str, Any]:
    """One step was tried often."""
    nodes = {f"n{at}": {"name": f"w.r({at})", "type": "Pod", "phase": "Failed"} for at in range(count)}
    return {"r": {"name": "w.r", "type": "Retry", "phase": "Failed", "children": list(nodes)}, **nodes}


def fan_out(count: int) -> dict[str, Any]:
    """Half of many nodes failed, before one that is omitted."""
    nodes = {
        f"n{at}": {"name": f"w.{at}", "type": "Pod", "phase": ("Failed", "Succeeded")[at % 2], "children": ["end"]}
        for at in range(count)
    }
    end = {"name": "w.end", "type": "Skipped", "phase": "Omitted"}
    return {"w": {"name": "w", "type": "DAG", "phase": "Failed", "children": list(nodes)}, **nodes, "end": end}


def steps_of(nodes: dict[str, Any]) -> int:
    work = Work(10**12)
    plan_rerun(NodeGraph.of(nodes, work), "w", ())
    return 10**12 - work.left


@pytest.mark.parametrize("shape", [many_attempts, fan_out])
def test_work_is_linear_for_shapes_that_argo_makes(shape: Callable[[int], dict[str, Any]]) -> None:
    assert steps_of(shape(400)) <= 2.2 * steps_of(shape(200))
    assert steps_of(shape(10_000)) < MAX_WORK / 10


@pytest.mark.parametrize("shape", [chain, dense, nested, dotted])
def test_crafted_nodes_are_refused_after_a_bounded_number_of_steps(
    shape: Callable[[int], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_graph, "MAX_WORK", 10_000)
    body = {"metadata": {"name": "w"}, "status": {"phase": "Failed", "nodes": shape(400)}}
    refusal = reset_workflow(body, datetime.now(UTC))
    assert isinstance(refusal, Refusal) and refusal.reason == "RetryImpossible"
    assert "finding the nodes to run again takes more than" in refusal.message
