"""The tree of nodes, as lines and as rich draws it: each node once, and the others counted."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from runwright.api.pipelinerun import NodeStatus
from runwright.kubectl.tables import columns
from runwright.kubectl.tree import (
    HIDDEN,
    changed_lines,
    lines_of,
    node_rows,
    run_tree,
    tree_of_status,
    tree_of_workflow,
)

NOW = datetime(2026, 11, 26, 12, 0, 30, tzinfo=UTC)
NOON = "2026-11-26T12:00:00Z"
Node = dict[str, Any]


def node(name: str, type: str = "Pod", phase: str = "Succeeded", **more: Any) -> Node:
    shown = name.rpartition(".")[2] if not name.endswith("]") else name[name.rindex("[") :]
    return {"name": name, "displayName": shown, "type": type, "phase": phase, "startedAt": NOON, **more}


def workflow(*nodes: Node) -> Node:
    ids = {one["name"]: "train" if one["name"] == "train" else f"train-{at}" for at, one in enumerate(nodes)}
    body = {ids[one["name"]]: {**one, "id": ids[one["name"]]} for one in nodes}
    return {"metadata": {"name": "train", "namespace": "team"}, "status": {"nodes": body}}


def shown(body: Node, limit: int = 100) -> list[str]:
    return [line.branch for line in lines_of(tree_of_workflow(body), limit)[0]]


def test_nodes_are_drawn_under_the_node_that_contains_them():
    body = workflow(
        node("train", "DAG", "Running"),
        node("train.prepare", startedAt="2026-11-26T12:00:01Z"),
        node("train.fit", "Retry", "Running", startedAt="2026-11-26T12:00:02Z", children=["train-3", "train-4"]),
        node("train.fit(0)", phase="Failed", startedAt="2026-11-26T12:00:02Z", message="exit code 3"),
        node("train.fit(1)", phase="Running", startedAt="2026-11-26T12:00:09Z"),
        node("train.report", "Steps", "Pending", startedAt="2026-11-26T12:00:10Z"),
        node("train.report[0]", "StepGroup", startedAt="2026-11-26T12:00:10Z"),
        node("train.report[0].page", phase="Pending", startedAt="2026-11-26T12:00:11Z"),
        node("train.onExit", phase="Pending", startedAt="2026-11-26T12:00:12Z"),
    )
    assert shown(body) == [
        "train",
        "├─ prepare",
        "├─ fit",
        "│  ├─ fit(0)",
        "│  └─ fit(1)",
        "├─ report",
        "│  └─ page",
        "└─ onExit",
    ]
    rows = node_rows(lines_of(tree_of_workflow(body), 4)[0], NOW, wide=False)
    assert columns(rows) == [
        "NODE           PHASE       DURATION   MESSAGE",
        "train          Running     30s",
        "├─ prepare     Succeeded",
        "├─ fit         Running     28s",
        "│  ├─ fit(0)   Failed                 exit code 3",
    ]


def test_nodes_above_the_limit_are_counted():
    body = workflow(node("train", "DAG"), *(node(f"train.step-{at}") for at in range(9)))
    lines, left = lines_of(tree_of_workflow(body), 4)
    assert (len(lines), left) == (4, 6)


def test_the_nodes_of_a_status_are_under_the_first_one():
    nodes = [NodeStatus(id=id, name=name, type="Pod", phase="Running") for id, name in (("a-1", "fit"), ("a", "a"))]
    lines, left = lines_of(tree_of_status("a", nodes, 3), 10)
    assert ([line.branch for line in lines], left) == (["a", "└─ fit"], 3)
    assert lines_of(tree_of_status("a", [], 0), 10) == ([], 0)


def test_only_changed_lines_are_returned():
    tree = tree_of_workflow(workflow(node("train", "DAG", "Running"), node("train.fit", phase="Pending")))
    seen: dict[str, str] = {}
    assert [line.node.name for line in changed_lines(seen, lines_of(tree, 9)[0])] == ["train", "fit"]
    assert changed_lines(seen, lines_of(tree, 9)[0]) == []
    tree = tree_of_workflow(workflow(node("train", "DAG", "Running"), node("train.fit", phase="Running")))
    assert [line.node.name for line in changed_lines(seen, lines_of(tree, 9)[0])] == ["fit"]


NAMES = st.lists(st.sampled_from([".a", ".b", "(0)", "(1)", "[0]", "[1]", ".onExit", ".hooks.x"]), max_size=5)


@given(
    st.lists(
        st.tuples(NAMES.map("".join), st.sampled_from(["Pod", "DAG", "Steps", "StepGroup", "Retry", "TaskGroup", ""])),
        max_size=20,
        unique_by=lambda one: one[0],
    ),
    st.integers(1, 30),
)
def test_each_node_of_any_workflow_is_shown_once_or_counted(nodes: list[tuple[str, str]], limit: int):
    body = workflow(*(node(f"train{path}", type) for path, type in nodes))
    lines, left = lines_of(tree_of_workflow(body), limit)
    ids = [line.id for line in lines]
    assert len(ids) == len(set(ids)) <= limit
    assert len(ids) + left == sum(type not in HIDDEN for _, type in nodes)
    assert all(line.node.type not in HIDDEN for line in lines)


# ------------------------------------------------------------------------------------------------------- on a terminal
RUN = {
    "metadata": {"name": "train", "namespace": "team"},
    "status": {"phase": "Running", "startedAt": NOON, "message": "step\x1b[2J\nfit runs"},
}
NODES = workflow(node("train", "DAG", "Running"), *(node(f"train.step-{at}", message="m" * 99) for at in range(9)))


def drawn(width: int = 80, **options: Any) -> list[str]:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(run_tree(RUN, tree_of_workflow(NODES), NOW, **options))
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_a_drawn_run_has_its_summary_and_all_nodes():
    lines = drawn(200)
    assert lines[:4] == [
        "Name:        train",
        "Namespace:   team",
        "Phase:       Running",
        "Message:     step [2J fit runs",
    ]
    assert lines[lines.index("") + 1].split() == ["NODE", "PHASE", "DURATION", "MESSAGE"]
    assert sum("step-" in line for line in lines) == 9


@pytest.mark.parametrize(("width", "height"), [(80, 12), (40, 13), (60, 1)])
def test_a_drawn_run_fits_the_terminal_and_counts_the_other_nodes(width: int, height: int):
    lines = drawn(width, height=height)
    assert all(len(line) <= width for line in lines)
    assert len(lines) <= max(height, 10)
    shown = sum(line.startswith(("train", "├─", "└─")) for line in lines)
    assert lines[-1] == f"… and {10 - shown} more nodes"[:width]


def test_a_drawn_run_without_nodes_says_so():
    console = Console(file=io.StringIO(), record=True)
    console.print(run_tree(RUN, tree_of_status("train", (), 0), NOW, height=20))
    assert console.export_text().splitlines()[-1] == "No nodes yet."
