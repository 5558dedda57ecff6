"""What nodes left behind is deleted before they run again, and nothing else is."""

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


def leave(bench: Bench, *nodes: str, workflow: str = RUN, kind: str = "Pod", prefix: str = "") -> None:
    """What these nodes of a Workflow left behind. A pod's name is not its node's id; a WorkflowTaskResult's is."""
    for node in nodes:
        metadata = {
            "namespace": NAMESPACE,
            "name": f"{prefix}{workflow}-{node}" if kind == "Pod" else node,
            "labels": {"workflows.argoproj.io/workflow": workflow},
            "annotations": {"workflows.argoproj.io/node-id": node} if kind == "Pod" else {},
        }
        bench.server.create(kind, {"metadata": metadata})


def left(bench: Bench) -> set[tuple[str, str]]:
    return {(kind, name) for kind, _, name in bench.server.objects if kind in ("Pod", "WorkflowTaskResult")}


async def clear(bench: Bench, nodes: Iterable[str] | None) -> None:
    """As the queue does it: again while pods are still being deleted."""
    for _ in range(3):
        try:
            await clear_leftovers(bench.client, KEY, frozenset(nodes) if nodes is not None else None)
        except ApiError as error:
            assert (error.code, error.reason) == (409, "Conflict")
            await bench.wait(5)
        else:
            return
    raise AssertionError("they do not go")


def test_only_what_these_nodes_left_is_deleted() -> None:
    async def test(bench: Bench) -> None:
        leave(bench, "a", "b", "c")
        leave(bench, "a", "b", kind="WorkflowTaskResult")
        leave(bench, "a", workflow="train-2")
        await clear(bench, {"a", "c", "never-ran"})
        assert left(bench) == {("Pod", "train-b"), ("WorkflowTaskResult", "b"), ("Pod", "train-2-a")}

    virtually(test)


def test_all_that_the_workflow_left_is_deleted_where_no_nodes_are_named() -> None:
    async def test(bench: Bench) -> None:
        leave(bench, "a", "b")
        leave(bench, "c", kind="WorkflowTaskResult")
        leave(bench, "a", workflow="train-2")
        await clear(bench, None)
        assert left(bench) == {("Pod", "train-2-a")}

    virtually(test)


@pytest.mark.parametrize("nodes", [None, frozenset({"a"}), frozenset[str]()])
def test_where_nothing_is_left_nothing_is_deleted(nodes: frozenset[str] | None) -> None:
    async def test(bench: Bench) -> None:
        leave(bench, "b", workflow="other")
        await clear_leftovers(bench.client, KEY, nodes)
        assert bench.calls() == {"list pods": 1, "list workflowtaskresults": 1}

    virtually(test)


def test_a_pod_that_is_still_there_is_a_conflict_that_names_it() -> None:
    async def test(bench: Bench) -> None:
        leave(bench, *"abcdefg")
        leave(bench, "a", kind="WorkflowTaskResult")
        with pytest.raises(ApiError) as error:
            await clear_leftovers(bench.client, KEY, frozenset("abcdefg"))
        assert (error.value.code, error.value.reason) == (409, "Conflict")
        assert error.value.message == (
            "7 pods of the last attempt are still being deleted: train-a, train-b, train-c, train-d, train-e"
        )
        await bench.wait(5)
        await clear_leftovers(bench.client, KEY, frozenset("abcdefg"))
        assert left(bench) == set()

    virtually(test)


def test_another_pod_of_the_name_is_neither_deleted_nor_waited_for() -> None:
    async def test(bench: Bench) -> None:
        leave(bench, "a")

        def replace() -> None:
            bench.server.remove("Pod", NAMESPACE, "train-a")
            leave(bench, "a")

        bench.client.handlers["delete pods"] = before_first_call(replace)
        await clear_leftovers(bench.client, KEY, frozenset({"a"}))
        await bench.wait(5)
        assert left(bench) == {("Pod", "train-a")}
        assert "deletionTimestamp" not in bench.server.objects["Pod", NAMESPACE, "train-a"]["metadata"]

    virtually(test)


def test_what_has_gone_meanwhile_is_fine() -> None:
    async def test(bench: Bench) -> None:
        leave(bench, "a", "b", kind="WorkflowTaskResult")
        bench.client.handlers["delete workflowtaskresults"] = before_first_call(
            lambda: bench.server.remove("WorkflowTaskResult", NAMESPACE, "a")
        )
        await clear_leftovers(bench.client, KEY, frozenset({"a", "b"}))
        assert left(bench) == set()

    virtually(test)


def test_a_pod_that_cannot_be_deleted_ends_the_attempt() -> None:
    async def test(bench: Bench) -> None:
        leave(bench, *"abc")
        bench.client.handlers["delete pods"] = failing(ApiError(403, "Forbidden", "pods are not for you"))
        with pytest.raises(ApiError, match="are not for you"):
            await clear_leftovers(bench.client, KEY, None)

    virtually(test)


def test_only_so_many_are_deleted_at_a_time() -> None:
    async def test(bench: Bench) -> None:
        leave(bench, *(f"node-{number}" for number in range(50)), kind="WorkflowTaskResult")
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
        assert left(bench) == set() and most == DELETED_AT_A_TIME

    virtually(test)


NODES = st.sets(st.sampled_from("abcdef"))


@settings(max_examples=40)
@given(NODES, NODES, NODES, st.none() | NODES)
def test_what_stays_is_what_other_nodes_and_other_workflows_left(
    pods: set[str], results: set[str], others: set[str], nodes: set[str] | None
) -> None:
    async def test(bench: Bench) -> None:
        leave(bench, *pods)
        leave(bench, *results, kind="WorkflowTaskResult")
        leave(bench, *others, workflow="train-2")
        uids = {id: uid_of(body) for id, body in bench.server.objects.items()}
        await clear(bench, nodes)
        stay = set() if nodes is None else set("abcdef") - nodes
        assert left(bench) == {
            *(("Pod", f"train-{node}") for node in pods & stay),
            *(("WorkflowTaskResult", node) for node in results & stay),
            *(("Pod", f"train-2-{node}") for node in others),
        }
        assert all(uids[id] == uid_of(body) for id, body in bench.server.objects.items())

    virtually(test)


def test_the_key_is_the_workflows() -> None:
    async def test(bench: Bench) -> None:
        leave(bench, "a", kind="WorkflowTaskResult")
        await clear_leftovers(bench.client, Key(NAMESPACE, "another"), None)
        assert left(bench) == {("WorkflowTaskResult", "a")}

    virtually(test)
