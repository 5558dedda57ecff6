"""The namespace of a call, in single-user and multi-user mode."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from runwright.service.calls import Call, Caller
from runwright.service.contract.resource_reference_pb2 import ResourceKey, ResourceReference
from runwright.service.errors import Code, ServiceError
from runwright.service.experiment_rows import ExperimentRow, experiment_row
from runwright.service.index import Index
from runwright.service.rows import RunRow
from runwright.service.tenancy import Tenancy
from tests.unit.service.bench import Rights
from tests.unit.service.requests import EXPERIMENT, NAMESPACE, ref

CALL = Call(Caller("ann"), "RunService/GetRun")


def tenancy(namespace: str = "team", *experiments: ExperimentRow) -> tuple[Tenancy, Rights]:
    rights, index = Rights(), Index[ExperimentRow]()
    for row in experiments:
        index.apply(row)
    index.synced = True
    return Tenancy(namespace, rights, Index[RunRow](), index), rights


ROW = experiment_row({"metadata": {"namespace": "team", "name": "nightly", "uid": "u", "resourceVersion": "1"}})


async def test_a_right_is_required_with_all_its_attributes():
    it, rights = tenancy()
    await it.require(CALL, "get", "team", "train", subresource="artifacts")
    ((user, access),) = rights.asked
    assert (user, access.verb, access.namespace, access.name, access.resource, access.subresource) == (
        "ann",
        "get",
        "team",
        "train",
        "pipelineruns",
        "artifacts",
    )
    rights.refuse = {("get", "team")}
    with pytest.raises(ServiceError, match="refused by the test"):
        await it.require(CALL, "get", "team")


def test_another_namespace_is_refused_in_single_user_mode_only():
    assert tenancy("team")[0].namespace_named("team") == "team"
    assert tenancy("")[0].namespace_named("other") == "other"
    with pytest.raises(ServiceError, match="namespace 'other': expected 'team'"):
        tenancy("team")[0].namespace_named("other")


@pytest.mark.parametrize(
    ("namespace", "kind", "id", "empty"),
    [
        ("team", 0, "", True),
        ("team", NAMESPACE, "", True),
        ("", NAMESPACE, "", False),
        ("", 0, "", True),
        ("team", NAMESPACE, "team", False),
        ("team", EXPERIMENT, "", False),
    ],
)
def test_a_key_without_a_type_or_an_empty_namespace_names_nothing(namespace: str, kind: int, id: str, empty: bool):
    key = ResourceKey(type=kind, id=id)  # type: ignore[arg-type]
    assert tenancy(namespace)[0].names_nothing(key) is empty


@pytest.mark.parametrize("name", ["", "a/b", "..", "team\nlevel=error", "a" * 64, "Team"])
def test_a_name_that_no_namespace_can_have_is_refused(name: str):
    for mode in ("", "team"):
        with pytest.raises(ServiceError) as caught:
            tenancy(mode)[0].namespace_named(name)
        assert caught.value.code == Code.INVALID_ARGUMENT and "\n" not in caught.value.message


async def test_an_experiment_is_found_or_not_found_or_unavailable_before_the_sync(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("runwright.service.tenancy.WAIT_SECONDS", 0.01)
    it, rights = tenancy("", ROW)
    assert await it.experiment("u", CALL, "get") is ROW
    assert await it.experiment_of_runs("u", CALL, "list") is ROW
    assert [(access.resource, access.verb, access.name) for _, access in rights.asked] == [
        ("pipelineexperiments", "get", "nightly"),
        ("pipelineruns", "list", ""),
    ]
    assert await refusal(it.experiment("none", CALL, "get")) == (Code.NOT_FOUND, "Experiment none not found.")
    it = Tenancy("", Rights(), Index[RunRow](), Index[ExperimentRow]())
    assert (await refusal(it.experiment("u", CALL, "get")))[0] == Code.UNAVAILABLE


async def test_what_a_caller_may_not_get_does_not_exist_for_him(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("runwright.service.tenancy.WAIT_SECONDS", 0.05)
    it, rights = tenancy("", ROW)
    loop = asyncio.get_running_loop()
    rights.refuse = {("patch", "team"), ("create", "team")}
    assert (await refusal(it.experiment("u", CALL, "patch")))[0] == Code.PERMISSION_DENIED
    assert (await refusal(it.experiment_of_runs("u", CALL, "create")))[0] == Code.PERMISSION_DENIED
    rights.refuse.add(("get", "team"))
    for find in (it.experiment, it.experiment_of_runs):
        for verb in ("get", "patch", "create"):
            if (find, verb) == (it.experiment_of_runs, "get"):
                continue
            began = loop.time()
            assert await refusal(find("u", CALL, verb)) == (Code.NOT_FOUND, "Experiment u not found.")
            assert loop.time() - began >= 0.05


async def refusal(call: Awaitable[object]) -> tuple[Code, str]:
    with pytest.raises(ServiceError) as caught:
        await call
    return caught.value.code, caught.value.message


@pytest.mark.parametrize(
    ("namespace", "references", "expected"),
    [
        ("team", [], "team"),
        ("team", [ref(NAMESPACE, "team")], "team"),
        ("team", [ref(NAMESPACE, "other")], None),
        ("team", [ref(EXPERIMENT, "x")], None),
        ("", [ref(NAMESPACE, "other")], "other"),
        ("", [], None),
        ("", [ref(NAMESPACE, "")], None),
        ("", [ref(NAMESPACE, "a"), ref(NAMESPACE, "b")], None),
        ("", [ref(NAMESPACE, "a"), ref(EXPERIMENT, "x")], None),
    ],
)
def test_the_namespace_of_a_new_experiment(namespace: str, references: list[ResourceReference], expected: str | None):
    it, _ = tenancy(namespace)
    if expected is not None:
        assert it.namespace_of_new_experiment(references) == expected
    else:
        with pytest.raises(ServiceError) as caught:
            it.namespace_of_new_experiment(references)
        assert caught.value.code == Code.INVALID_ARGUMENT
