"""Pods and results of the last attempt are deleted before a retry."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runwright.controller.leftovers import DELETED_AT_A_TIME, clear_leftovers
from runwright.kube.errors import ApiError
from runwright.kube.objects import Key
from tests.unit.controller.bench import KEY, Bench, before_first_call, failing, uid_of, virtually
from tests.unit.fake.client import Commit
from tests.unit.fake.world import NAMESPACE, RUN


def add_leftovers(bench: Bench, *nodes: str, workflow: str = RUN, kind: str = "Pod", prefix: str = "") -> None:
    """Store an object for each node. A pod's name differs from the node's id; a WorkflowTaskResult's is the id."""
    for node in nodes:
        metadata = {
            "namespace": NAMESPACE,
            "name": f"{prefix}{workflow}-{node}" if kind == "Pod" else node,
            "labels": {"workflows.argoproj.io/workflow": workflow},
            "annotations": {"workflows.argoproj.io/node-id": node} if kind == "Pod" else {},
        }
        bench.server.create(kind, {"metadata": metadata})


def leftovers(bench: Bench) -> set[tuple[str, str]]:
    return {(kind, name) for kind, _, name in bench.server.objects if kind in ("Pod", "WorkflowTaskResult")}


async def clear_with_retries(bench: Bench, nodes: Iterable[str] | None) -> None:
    """Clear the leftovers; repeat it while pods are being deleted, as the queue does."""
    for _ in range(3):
        try:
            await clear_leftovers(bench.client, KEY, frozenset(nodes) if nodes is not None else None)
        except ApiError as error:
            assert (error.code, error.reason) == (409, "Conflict")
            await bench.wait(5)
        else:
            return
    raise AssertionError("the pods are not deleted")


def test_leftovers_of_the_given_nodes_are_deleted() -> None:
    async def test(bench: Bench) -> None:
        add_leftovers(bench, "a", "b", "c")
        add_leftovers(bench, "a", "b", kind="WorkflowTaskResult")
        add_leftovers(bench, "a", workflow="train-2")
        await clear_with_retries(bench, {"a", "c", "never-ran"})
        assert leftovers(bench) == {("Pod", "train-b"), ("WorkflowTaskResult", "b"), ("Pod", "train-2-a")}

    virtually(test)


def test_without_nodes_all_leftovers_of_the_workflow_are_deleted() -> None:
    async def test(bench: Bench) -> None:
        add_leftovers(bench, "a", "b")
        add_leftovers(bench, "c", kind="WorkflowTaskResult")
        add_leftovers(bench, "a", workflow="train-2")
        await clear_with_retries(bench, None)
        assert leftovers(bench) == {("Pod", "train-2-a")}

    virtually(test)


@pytest.mark.parametrize("nodes", [None, frozenset({"a"}), frozenset[str]()])
def test_without_leftovers_nothing_is_deleted(nodes: frozenset[str] | None) -> None:
    async def test(bench: Bench) -> None:
        add_leftovers(bench, "b", workflow="other")
        await clear_leftovers(bench.client, KEY, nodes)
        assert bench.calls() == {"list pods": 1, "list workflowtaskresults": 1}

    virtually(test)


def test_pods_being_deleted_are_a_conflict_with_their_names() -> None:
    async def test(bench: Bench) -> None:
        add_leftovers(bench, *"abcdefg")
        add_leftovers(bench, "a", kind="WorkflowTaskResult")
        with pytest.raises(ApiError) as error:
            await clear_leftovers(bench.client, KEY, frozenset("abcdefg"))
        assert (error.value.code, error.value.reason) == (409, "Conflict")
        assert error.value.message == (
            "7 pods of the last attempt are still being deleted: train-a, train-b, train-c, train-d, train-e"
        )
        await bench.wait(5)
        await clear_leftovers(bench.client, KEY, frozenset("abcdefg"))
        assert leftovers(bench) == set()

    virtually(test)


def test_replaced_pod_is_neither_deleted_nor_awaited() -> None:
    async def test(bench: Bench) -> None:
        add_leftovers(bench, "a")

        def replace() -> None:
            bench.server.remove("Pod", NAMESPACE, "train-a")
            add_leftovers(bench, "a")

        bench.client.handlers["delete pods"] = before_first_call(replace)
        await clear_leftovers(bench.client, KEY, frozenset({"a"}))
        await bench.wait(5)
        assert leftovers(bench) == {("Pod", "train-a")}
        assert "deletionTimestamp" not in bench.server.objects["Pod", NAMESPACE, "train-a"]["metadata"]

    virtually(test)


def test_leftover_deleted_concurrently_is_no_error() -> None:
    async def test(bench: Bench) -> None:
        add_leftovers(bench, "a", "b", kind="WorkflowTaskResult")
        bench.client.handlers["delete workflowtaskresults"] = before_first_call(
            lambda: bench.server.remove("WorkflowTaskResult", NAMESPACE, "a")
        )
        await clear_leftovers(bench.client, KEY, frozenset({"a", "b"}))
        assert leftovers(bench) == set()

    virtually(test)


def test_refused_deletion_is_raised() -> None:
    async def test(bench: Bench) -> None:
        add_leftovers(bench, *"abc")
        bench.client.handlers["delete pods"] = failing(ApiError(403, "Forbidden", "pods are not for you"))
        with pytest.raises(ApiError, match="are not for you"):
            await clear_leftovers(bench.client, KEY, None)

    virtually(test)


def test_concurrent_deletions_are_limited() -> None:
    async def test(bench: Bench) -> None:
        add_leftovers(bench, *(f"node-{number}" for number in range(50)), kind="WorkflowTaskResult")
        under_way, most = 0, 0

        async def counted(commit: Commit) -> Any:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0.1)
            under_way -= 1
            return commit()

        bench.client.handlers["delete workflowtaskresults"] = counted
        await clear_leftovers(bench.client, KEY, None)
        assert leftovers(bench) == set() and most == DELETED_AT_A_TIME

    virtually(test)


NODES = st.sets(st.sampled_from("abcdef"))


@settings(max_examples=40)
@given(NODES, NODES, NODES, st.none() | NODES)
def test_leftovers_of_other_nodes_and_workflows_stay(
    pods: set[str], results: set[str], others: set[str], nodes: set[str] | None
) -> None:
    async def test(bench: Bench) -> None:
        add_leftovers(bench, *pods)
        add_leftovers(bench, *results, kind="WorkflowTaskResult")
        add_leftovers(bench, *others, workflow="train-2")
        uids = {id: uid_of(body) for id, body in bench.server.objects.items()}
        await clear_with_retries(bench, nodes)
        stay = set() if nodes is None else set("abcdef") - nodes
        assert leftovers(bench) == {
            *(("Pod", f"train-{node}") for node in pods & stay),
            *(("WorkflowTaskResult", node) for node in results & stay),
            *(("Pod", f"train-2-{node}") for node in others),
        }
        assert all(uids[id] == uid_of(body) for id, body in bench.server.objects.items())

    virtually(test)


def test_results_are_deleted_for_the_given_workflow_only() -> None:
    async def test(bench: Bench) -> None:
        add_leftovers(bench, "a", kind="WorkflowTaskResult")
        await clear_leftovers(bench.client, Key(NAMESPACE, "another"), None)
        assert leftovers(bench) == {("WorkflowTaskResult", "a")}

    virtually(test)
