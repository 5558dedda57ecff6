"""Lists select the namespaces and the shard of the operator."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from runwright.api.resources import PIPELINE_RUNS, WORKFLOWS
from runwright.controller.scope import Scope, list_each_metadata
from runwright.core.shard import parse_shard
from runwright.kube.errors import ApiError
from runwright.kube.objects import Key, name_of
from runwright.kube.resource import Selection
from tests.unit.fake.apiserver import ApiServer
from tests.unit.fake.client import FakeClient

RED = parse_shard("red", "team=red")


@pytest.fixture
def client() -> FakeClient:
    return FakeClient(ApiServer(lambda: datetime(2026, 11, 24, 12, tzinfo=UTC)), page=2)


def test_runs_selects_each_namespace_and_the_shard():
    assert Scope().runs("a=b", "c=d") == [Selection("", "a=b", "c=d")]
    assert Scope(("x", "y"), RED).runs("a=b") == [Selection("x", "a=b,team=red"), Selection("y", "a=b,team=red")]
    assert Scope(("x", "y")).runs(namespace="z") == [Selection("z")]


def test_workflows_selects_the_run_label_and_the_shard():
    assert Scope().workflows() == [Selection("", "runwright.dev/run")]
    assert Scope(("x",), RED).workflows() == [Selection("x", "runwright.dev/run,runwright.dev/shard=red")]


async def test_get_run_returns_none_for_another_shard(client: FakeClient):
    for name, team in (("mine", "red"), ("theirs", "blue")):
        metadata = {"namespace": "x", "name": name, "labels": {"team": team}}
        await client.create(PIPELINE_RUNS, {"metadata": metadata})
    assert await Scope(shard=RED).get_run(client, Key("x", "mine")) is not None
    assert await Scope(shard=RED).get_run(client, Key("x", "theirs")) is None
    assert await Scope().get_run(client, Key("x", "theirs")) is not None
    assert await Scope().get_run(client, Key("x", "absent")) is None


async def test_list_each_metadata_reads_all_pages_of_each_selection(client: FakeClient):
    for namespace, name in (("x", "a"), ("x", "b"), ("x", "c"), ("y", "d"), ("z", "e")):
        await client.create(WORKFLOWS, {"metadata": {"namespace": namespace, "name": name}, "spec": {}})
    items = [item async for item in list_each_metadata(client, WORKFLOWS, [Selection("x"), Selection("y")])]
    assert [name_of(item) for item in items] == ["a", "b", "c", "d"]
    assert not any("spec" in item for item in items)
    assert client.calls.count("list workflows") == 3


async def test_list_each_metadata_is_empty_for_unserved_kinds_and_raises_other_errors(client: FakeClient):
    client.server.argo_installed = False
    assert [item async for item in list_each_metadata(client, WORKFLOWS, Scope(("x", "y")).workflows())] == []
    client.fail("list workflows", ApiError(403, "Forbidden", "workflows are not for you"))
    with pytest.raises(ApiError, match="not for you"):
        await anext(list_each_metadata(client, WORKFLOWS, Scope().workflows()))
