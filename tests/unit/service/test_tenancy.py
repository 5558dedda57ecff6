"""The namespace of a call, in single-user and multi-user mode."""

from __future__ import annotations

import pytest

from runwright.service.calls import Call, Caller
from runwright.service.contract.resource_reference_pb2 import ResourceKey, ResourceReference
from runwright.service.errors import Code, ServiceError
from runwright.service.experiment_rows import ExperimentRow, experiment_row
from runwright.service.index import Index
from runwright.service.tenancy import Tenancy
from tests.unit.service.bench import Rights
from tests.unit.service.requests import EXPERIMENT, NAMESPACE, ref

CALL = Call(Caller("ann"), "RunService/GetRun")


def tenancy(namespace: str = "team", *experiments: ExperimentRow) -> tuple[Tenancy, Rights]:
    rights, index = Rights(), Index[ExperimentRow]()
    for row in experiments:
        index.apply(row)
    index.synced = True
    return Tenancy(namespace, rights, index), rights


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


async def test_an_experiment_is_found_or_not_found_or_unavailable_before_the_sync(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("runwright.service.tenancy.WAIT_SECONDS", 0.01)
    it, _ = tenancy("", ROW)
    assert await it.experiment("u") is ROW
    assert await it.namespace_of_experiment("u") == "team"
    with pytest.raises(ServiceError) as caught:
        await it.experiment("none")
    assert caught.value.code == Code.NOT_FOUND
    it = Tenancy("", Rights(), Index[ExperimentRow]())
    with pytest.raises(ServiceError) as caught:
        await it.experiment("u")
    assert caught.value.code == Code.UNAVAILABLE


async def test_in_single_user_mode_every_experiment_is_in_the_one_namespace():
    assert await tenancy("team")[0].namespace_of_experiment("unknown") == "team"


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
