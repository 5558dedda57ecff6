"""The nodes in a run's status fit a byte budget; failed ones are kept first."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.api.pipelinerun import NodeStatus
from runwright.core.workflow.nodes import (
    MOST_NODES,
    NODE_MESSAGE_LIMIT,
    NODES_BUDGET,
    bounded_nodes,
    node_bytes,
    node_status,
)

START = datetime(2026, 11, 24, tzinfo=UTC)
TEXT = st.text(max_size=200)
NODES = st.lists(
    st.builds(
        NodeStatus,
        id=TEXT,
        name=TEXT,
        type=st.sampled_from(["Pod", "DAG", "Steps"]),
        phase=st.sampled_from(["Succeeded", "Failed", "Error", "Running", "Pending", "Omitted"]),
        started_at=st.none() | st.integers(0, 9).map(lambda n: START + timedelta(seconds=n)),
        finished_at=st.none() | st.just(START),
        message=st.none() | TEXT,
    ),
    max_size=60,
    unique_by=lambda node: node.id,
)


def pod(number: int, phase: str = "Succeeded", after: int = 0, message: str | None = None) -> NodeStatus:
    at = START + timedelta(seconds=after)
    return NodeStatus(
        id=f"run-{number:04}", name=f"step-{number}", type="Pod", phase=phase, started_at=at, message=message
    )


def bounded(nodes: list[NodeStatus]) -> tuple[tuple[NodeStatus, ...], int]:
    return bounded_nodes({node.id: raw(node) for node in nodes})


def raw(node: NodeStatus) -> dict[str, Any]:
    """The node as Argo writes it."""
    return {"displayName": node.name, **node.model_dump(mode="json", by_alias=True, exclude={"name"})}


@given(NODES, st.randoms(use_true_random=False))
def test_the_order_of_what_is_given_does_not_matter(nodes: list[NodeStatus], chance: random.Random) -> None:
    shuffled = list(nodes)
    chance.shuffle(shuffled)
    assert bounded(shuffled) == bounded(nodes)


@given(NODES)
def test_all_are_kept_or_counted_within_the_budget(nodes: list[NodeStatus]) -> None:
    kept, omitted = bounded(nodes)
    assert len(kept) + omitted == len(nodes)
    size = sum(len(node.model_dump_json(by_alias=True, exclude_none=True).encode()) + 1 for node in kept)
    assert size <= NODES_BUDGET


@given(NODES)
def test_the_estimate_is_not_below_the_truth(nodes: list[NodeStatus]) -> None:
    for node in nodes:
        assert node_bytes(node) > len(node.model_dump_json(by_alias=True, exclude_none=True).encode())


@pytest.mark.parametrize(("bad", "where"), [("Failed", 777), ("Error", 999), ("Running", 500)])
def test_failed_and_running_nodes_are_kept_before_others(bad: str, where: int) -> None:
    nodes = [pod(number, bad if number == where else "Succeeded", after=number) for number in range(1000)]
    kept, omitted = bounded(nodes)
    assert nodes[where] in kept
    assert omitted == 1000 - len(kept)
    assert [node.id for node in kept] == sorted(node.id for node in kept), "oldest first"


def test_failed_nodes_are_kept_before_running_ones() -> None:
    nodes = [pod(number, "Running") for number in range(100)] + [pod(number, "Failed") for number in range(100, 200)]
    kept, _ = bounded(nodes)
    assert {node.phase for node in kept} == {"Failed"}


def test_a_small_one_fits_after_a_large_one_did_not() -> None:
    large = [pod(number, "Failed", message="x" * 1000) for number in range(9)]
    kept, omitted = bounded([*large, pod(99)])
    assert kept[-1].id == "run-0099"
    assert omitted == 9 + 1 - len(kept) > 0


def test_few_nodes_are_summarized(monkeypatch: pytest.MonkeyPatch) -> None:
    summarized: list[str] = []
    monkeypatch.setattr(
        "runwright.core.workflow.nodes.node_status",
        lambda id, node: summarized.append(id) or node_status(id, node),
    )
    kept, omitted = bounded_nodes({f"run-{number}": {} for number in range(5000)} | {"odd": 7})
    assert len(summarized) == MOST_NODES and len(kept) + omitted == 5001


def test_a_node_without_display_name_has_its_name_and_a_short_message() -> None:
    node = node_status("id", {"name": "run.train", "phase": "Failed", "message": "x" * 1000})
    assert (node.id, node.name) == ("id", "run.train")
    assert node.message is not None and len(node.message.encode()) <= NODE_MESSAGE_LIMIT
