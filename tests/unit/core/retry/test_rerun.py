"""The plan of a retry: which nodes are removed, restarted, reopened or superseded. test_reset.py compares it with Argo's."""

from __future__ import annotations

from runwright.core.retry.node_graph import NodeGraph
from runwright.core.retry.rerun import is_broken, plan_rerun, remaining_links


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
