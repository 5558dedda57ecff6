"""The fake client behaves as `HttpClient` does with a real API server."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import pytest

from runwright.api.resources import PIPELINE_RUNS, WORKFLOWS
from runwright.kube.client import Form, list_objects
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, Key, name_of
from runwright.kube.resource import EVENTS, LEASES, PODS, Selection
from tests.unit.fake.apiserver import ApiServer
from tests.unit.fake.client import FakeClient

A = Key("team", "a")


@pytest.fixture
def client() -> FakeClient:
    return FakeClient(ApiServer(lambda: datetime(2026, 11, 24, 12, tzinfo=UTC)), page=2)


def run(name: str = "a", namespace: str = "team", **labels: str) -> dict[str, Any]:
    metadata = {"namespace": namespace, "name": name, "labels": labels}
    return {"metadata": metadata, "spec": {"workflow": {"spec": {}}}, "status": {"phase": "Running"}}


async def names(client: FakeClient, selection: Selection) -> list[str]:
    return [name_of(body) async for body in list_objects(client, PIPELINE_RUNS, selection)]


async def test_create_drops_the_status_subresource_and_rejects_a_second_object(client: FakeClient):
    created = await client.create(PIPELINE_RUNS, run())
    assert created["metadata"]["uid"] == "uid-1" and "status" not in created
    with pytest.raises(ApiError, match="AlreadyExists"):
        await client.create(PIPELINE_RUNS, run())
    assert client.calls == ["create pipelineruns", "create pipelineruns"]


async def test_patch_merges_and_checks_preconditions(client: FakeClient):
    uid = (await client.create(PIPELINE_RUNS, run()))["metadata"]["uid"]
    patched = await client.patch(PIPELINE_RUNS, A, {"metadata": {"uid": uid}, "status": {"phase": "Failed"}}, "status")
    assert patched is not None and patched["status"] == {"phase": "Failed"}
    labelled = await client.patch(PIPELINE_RUNS, A, {"metadata": {"labels": {"x": "y"}}, "status": {"phase": "Error"}})
    assert labelled is not None and labelled["metadata"]["labels"] == {"x": "y"}
    assert labelled["status"] == {"phase": "Failed"}, "the main resource does not write the status"
    for precondition in ({"uid": "other"}, {"resourceVersion": "1"}):
        with pytest.raises(ApiError, match="Conflict"):
            await client.patch(PIPELINE_RUNS, A, {"metadata": {**precondition, "labels": {"x": "z"}}})
    assert await client.patch(PIPELINE_RUNS, Key("team", "b"), {}) is None


async def test_pages_select_and_split(client: FakeClient):
    for name in "abc":
        await client.create(PIPELINE_RUNS, run(name, team="red"))
    await client.create(PIPELINE_RUNS, run("d", "other", team="red"))
    await client.create(PIPELINE_RUNS, run("e"))
    assert await names(client, Selection("team", "team=red")) == ["a", "b", "c"]
    assert client.calls.count("list pipelineruns") == 2
    assert await names(client, Selection.of(A)) == ["a"]


async def test_table_has_the_columns_of_the_kind(client: FakeClient):
    await client.create(PIPELINE_RUNS, run())
    conditions = [{"type": "Succeeded", "reason": "Failed"}]
    await client.patch(PIPELINE_RUNS, A, {"status": {"phase": "Failed", "conditions": conditions}}, "status")
    page = await anext(client.pages(PIPELINE_RUNS, form=Form.TABLE))
    assert [column["name"] for column in page.body["columnDefinitions"][:2]] == ["Phase", "Reason"]
    assert page.items[0]["cells"][:2] == ["Failed", "Failed"]
    assert name_of(page.items[0]["object"]) == "a"


async def test_unserved_kind_is_not_found(client: FakeClient):
    client.server.argo_installed = False
    with pytest.raises(ApiError) as listed:
        await anext(client.pages(WORKFLOWS))
    with pytest.raises(ApiError) as got:
        await client.get(WORKFLOWS, A)
    assert (listed.value.code, listed.value.reason) == (404, "NotServed")
    assert got.value.code == 404 and got.value.reason != "NotFound"
    assert not await client.discover(WORKFLOWS) and await client.discover(PIPELINE_RUNS)


async def test_watch_replays_and_follows(client: FakeClient):
    await client.create(PIPELINE_RUNS, run("a"))
    since = str(client.server.version)
    await client.create(PIPELINE_RUNS, run("b"))
    seen: list[tuple[str, Json]] = []
    async with aclosing(client.watch(PIPELINE_RUNS, Selection("team"), since, form=Form.METADATA)) as events:
        async for event in events:
            seen.append((event.type, event.body))
            if event.type == "ADDED":
                await client.delete(PIPELINE_RUNS, Key("team", "b"))
            if event.type == "DELETED":
                client.end_watches()
    assert [kind for kind, _ in seen] == ["OPENED", "ADDED", "DELETED"]
    assert name_of(seen[1][1]) == "b" and "spec" not in seen[1][1]
    assert not client.server.listeners


async def test_watch_from_a_compacted_version_has_expired(client: FakeClient):
    client.server.compacted = 5
    with pytest.raises(ApiError, match="410 Expired"):
        await anext(client.watch(PIPELINE_RUNS, Selection(), "4"))


async def test_watch_ends_with_a_given_error(client: FakeClient):
    watch = client.watch(PIPELINE_RUNS, Selection(), "")
    assert (await anext(watch)).type == "OPENED"
    client.end_watches(ApiError(500, "InternalError", "no leader"))
    with pytest.raises(ApiError, match="no leader"):
        await asyncio.wait_for(anext(watch), 1)


async def test_scripted_failures_come_once_each(client: FakeClient):
    client.fail("get pipelineruns", ApiError(500, "InternalError", "no leader"))
    with pytest.raises(ApiError, match="no leader"):
        await client.get(PIPELINE_RUNS, A)
    assert await client.get(PIPELINE_RUNS, A) is None


async def test_events_are_stored_separately_and_posted_once(client: FakeClient):
    event = {"metadata": {"namespace": "team", "name": "a.1"}, "reason": "Failed"}
    await client.create(EVENTS, event)
    with pytest.raises(ApiError, match="AlreadyExists"):
        await client.create(EVENTS, event)
    assert client.server.events["team", "a.1"] == event and client.server.version == 0


async def test_replace_requires_the_resource_version(client: FakeClient):
    lease = {"metadata": {"namespace": "team", "name": "a"}, "spec": {"holderIdentity": "x"}}
    assert await client.replace(LEASES, lease) is None
    created = await client.create(LEASES, lease)
    replaced = await client.replace(LEASES, {**created, "spec": {"holderIdentity": "y"}})
    assert replaced is not None and replaced["spec"] == {"holderIdentity": "y"}
    with pytest.raises(ApiError, match="Conflict"):
        await client.replace(LEASES, created)


async def test_logs_are_read_and_objects_deleted(client: FakeClient):
    client.pod_logs[A, "main"] = b"one\ntwo\n"
    assert [line async for line in client.logs(A, "main")] == [b"one\n", b"two\n"]
    with pytest.raises(ApiError, match="NotFound"):
        await anext(client.logs(A, "wait"))
    assert not await client.delete(PODS, A)
    await client.create(PODS, {"metadata": {"namespace": "team", "name": "a"}})
    with pytest.raises(ApiError, match="Conflict"):
        await client.delete(PODS, A, uid="other")
    assert await client.delete(PODS, A, uid="uid-1")
