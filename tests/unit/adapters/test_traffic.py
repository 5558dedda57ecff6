"""Each request is told of once, by a verb and a resource out of finitely many, however it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import example, given
from hypothesis import strategies as st
from kubernetes.aio import client

from runwright.adapters import requests
from runwright.adapters.kubernetes_api import KubernetesCluster
from runwright.adapters.leases import KubernetesLeases
from runwright.adapters.traffic import fence_writes, observe_requests, request_of
from runwright.api.states import Shutdown
from runwright.core.decision import Notice
from runwright.core.workflow.build import ObjectRef
from runwright.kube.errors import ApiError
from runwright.ports import Leftover
from tests.unit.controller.records import KEY, NOW, run, workflow

OBJECT = {"metadata": {"namespace": KEY.namespace, "name": KEY.name, "uid": "a-uid", "resourceVersion": "1"}}

Observation = tuple[str, str, int, float]
Reply = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def echo(request: web.Request) -> web.StreamResponse:
    return web.json_response(await request.json() if request.can_read_body else {})


class Traffic:
    """A cluster whose API server, on loopback, replies as it is told to, and what was observed."""

    def __init__(self) -> None:
        self.reply: Reply = echo
        self.observed: list[Observation] = []
        self.asked = 0
        self.configuration = client.Configuration()
        observe_requests(self.configuration, lambda *observation: self.observed.append(observation))

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        return await self.reply(request)

    def seen(self) -> list[tuple[str, str, int]]:
        """Verb, resource and code of each request; how long each took is checked here."""
        assert all(0 < seconds < 20 for *_, seconds in self.observed)
        return [(verb, resource, code) for verb, resource, code, _ in self.observed]


@pytest.fixture
async def traffic() -> AsyncIterator[Traffic]:
    app, told = web.Application(), Traffic()
    app.router.add_route("*", "/{path:.*}", told.handle)
    async with TestServer(app) as server:
        told.configuration.host = str(server.make_url("")).rstrip("/")
        yield told


@pytest.fixture
async def cluster(traffic: Traffic) -> AsyncIterator[KubernetesCluster]:
    async with client.ApiClient(traffic.configuration) as api:
        yield KubernetesCluster(api)


async def listed(items: AsyncIterator[Any]) -> None:
    async for _ in items:
        pass


CALLS: list[tuple[Callable[[KubernetesCluster], Awaitable[object]], list[tuple[str, str]]]] = [
    (lambda c: c.get_run(KEY), [("get", "pipelineruns")]),
    (lambda c: c.get_workflow(KEY), [("get", "workflows")]),
    (lambda c: c.get_object(ObjectRef("WorkflowTemplate", "a", "team")), [("get", "workflowtemplates")]),
    (lambda c: c.get_object(ObjectRef("ClusterWorkflowTemplate", "a")), [("get", "clusterworkflowtemplates")]),
    (lambda c: c.get_object(ObjectRef("ConfigMap", "a", "team")), [("get", "configmaps")]),
    (lambda c: c.get_object(ObjectRef("ServiceAccount", "a", "team")), [("get", "serviceaccounts")]),
    (lambda c: c.create_workflow(OBJECT), [("create", "workflows")]),
    (lambda c: c.delete_workflow(workflow()), [("delete", "workflows")]),
    (lambda c: c.shut_down_workflow(workflow(), Shutdown.TERMINATE), [("patch", "workflows")]),
    (lambda c: c.label_workflow(workflow(), {"a": "b"}), [("patch", "workflows")]),
    (lambda c: c.replace_workflow(OBJECT), [("update", "workflows")]),
    (lambda c: c.list_leftovers(KEY), [("list", "pods"), ("list", "workflowtaskresults")]),
    (lambda c: c.delete_leftover(Leftover("Pod", KEY, "a-uid", "a")), [("delete", "pods")]),
    (
        lambda c: c.delete_leftover(Leftover("WorkflowTaskResult", KEY, "a-uid", "a")),
        [("delete", "workflowtaskresults")],
    ),
    (lambda c: c.get_snapshot(KEY), [("get", "workflowsnapshots")]),
    (lambda c: c.create_snapshot(OBJECT), [("create", "workflowsnapshots")]),
    (lambda c: c.delete_snapshot(OBJECT), [("delete", "workflowsnapshots")]),
    (lambda c: c.label_run(run(), {"a": "b"}), [("patch", "pipelineruns")]),
    (lambda c: c.delete_run(run()), [("delete", "pipelineruns")]),
    (lambda c: c.get_secret("team", "a"), [("get", "secrets")]),
    (lambda c: c.get_policy("team"), [("get", "retentionpolicies")]),
    (lambda c: c.patch_run_status(run(), {}), [("patch", "pipelineruns/status")]),
    (lambda c: c.post_event(run(), Notice("Normal", "Done", "it is"), NOW), [("create", "events")]),
    (lambda c: listed(c.list_unfinished_runs()), [("list", "pipelineruns")]),
    (lambda c: listed(c.list_half_archived_runs()), [("list", "pipelineruns")] * 2),
    (lambda c: listed(c.list_expiring_runs(())), [("list", "pipelineruns")]),
    (lambda c: listed(c.list_undated_runs("team")), [("list", "pipelineruns")]),
    (lambda c: listed(c.list_runs("team")), [("list", "pipelineruns")]),
    (lambda c: listed(c.list_workflows()), [("list", "workflows")]),
    (lambda c: c.missing_kinds(), [("get", "discovery"), ("get", "discovery")]),
]

WRITES = ("create", "update", "patch", "delete")


def test_no_call_is_left_out():
    called = {name for make, _ in CALLS for name in make.__code__.co_names}
    assert {name for name in vars(KubernetesCluster) if not name.startswith("_")} <= called


@pytest.mark.parametrize(("make", "expected"), CALLS)
async def test_each_call_is_told_by_verb_and_resource(
    traffic: Traffic,
    cluster: KubernetesCluster,
    make: Callable[[KubernetesCluster], Awaitable[object]],
    expected: list[tuple[str, str]],
):
    await make(cluster)
    assert traffic.seen() == [(verb, resource, 200) for verb, resource in expected]
    assert traffic.asked == len(expected)


async def test_the_lists_of_one_namespace_are_told_as_those_of_all(traffic: Traffic):
    async with client.ApiClient(traffic.configuration) as api:
        await listed(KubernetesCluster(api, ("one", "two")).list_workflows())
    assert traffic.seen() == [("list", "workflows", 200)] * 2


@pytest.mark.parametrize("code", [201, 400, 403, 404, 409, 422, 429, 500, 503])
async def test_each_reply_is_told_by_its_code(traffic: Traffic, cluster: KubernetesCluster, code: int):
    async def reply(_: web.Request) -> web.StreamResponse:
        return web.json_response({"kind": "Status", "code": code, "reason": "Some"}, status=code)

    traffic.reply = reply
    try:
        await cluster.create_workflow(OBJECT)
    except ApiError as error:
        assert error.code == code
    else:
        assert code == 201
    assert traffic.seen() == [("create", "workflows", code)]


async def test_a_connection_that_breaks_off_is_told_as_0(traffic: Traffic, cluster: KubernetesCluster):
    async def reply(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    traffic.reply = reply
    with pytest.raises(ApiError):
        await cluster.patch_run_status(run(), {})
    assert traffic.seen() == [("patch", "pipelineruns/status", 0)]


async def test_an_api_server_that_is_away_is_told_as_0(traffic: Traffic):
    traffic.configuration.host = "http://127.0.0.1:9"
    async with client.ApiClient(traffic.configuration) as api:
        with pytest.raises(ApiError):
            await KubernetesCluster(api).get_run(KEY)
    assert traffic.seen() == [("get", "pipelineruns", 0)]


async def test_no_reply_in_time_is_told_as_0(
    traffic: Traffic, cluster: KubernetesCluster, monkeypatch: pytest.MonkeyPatch
):
    async def reply(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(5)
        return web.Response()

    traffic.reply = reply
    monkeypatch.setattr(requests, "REQUEST_TIMEOUT", 0.05)
    with pytest.raises(ApiError):
        await cluster.get_run(KEY)
    assert traffic.seen() == [("get", "pipelineruns", 0)]
    assert traffic.observed[0][3] >= 0.05


async def test_a_request_that_is_cut_off_is_told_as_0(traffic: Traffic, cluster: KubernetesCluster):
    arrived = asyncio.Event()

    async def reply(_: web.Request) -> web.StreamResponse:
        arrived.set()
        await asyncio.sleep(5)
        return web.Response()

    traffic.reply = reply
    task = asyncio.create_task(cluster.get_run(KEY))
    await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert traffic.seen() == [("get", "pipelineruns", 0)]


async def test_a_slash_that_a_user_wrote_makes_no_resource(traffic: Traffic, cluster: KubernetesCluster):
    await cluster.get_object(ObjectRef("ConfigMap", "a/b?c#d", "team"))
    assert traffic.seen() == [("get", "configmaps", 200)]


@given(st.text(min_size=1), st.text(min_size=1))
@example("namespaces", "namespaces")
@example("/", "a/b/c")
def test_no_name_shows_in_what_is_told(namespace: str, name: str):
    path = f"/apis/argoproj.io/v1alpha1/namespaces/{quote(namespace, safe='')}/workflows"
    assert request_of("GET", path) == ("list", "workflows")
    assert request_of("POST", path) == ("create", "workflows")
    assert request_of("GET", f"{path}/{quote(name, safe='')}") == ("get", "workflows")
    assert request_of("PATCH", f"{path}/{quote(name, safe='')}/status") == ("patch", "workflows/status")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/version", ("get", "discovery")),
        ("/apis", ("get", "discovery")),
        ("/api/v1", ("get", "discovery")),
        ("/apis/argoproj.io/v1alpha1", ("get", "discovery")),
        ("/api/v1/namespaces", ("list", "namespaces")),
        ("/api/v1/namespaces/team", ("get", "namespaces")),
    ],
)
def test_what_is_in_no_namespace(path: str, expected: tuple[str, str]):
    assert request_of("GET", path) == expected


class Gate:
    """What the fence asks: shut after so many."""

    def __init__(self, passes: int = 0) -> None:
        self.passes = passes

    def check(self) -> None:
        self.passes -= 1
        if self.passes < 0:
            raise ApiError(0, "NotLeading", "not sent")


@pytest.mark.parametrize(("make", "expected"), CALLS)
@pytest.mark.parametrize("connection", ["new", "kept"])
async def test_a_write_is_held_back_at_the_last_moment_and_a_read_is_not(
    traffic: Traffic,
    make: Callable[[KubernetesCluster], Awaitable[object]],
    expected: list[tuple[str, str]],
    connection: str,
):
    gate = Gate()
    fence_writes(traffic.configuration, gate.check)
    async with client.ApiClient(traffic.configuration) as api:
        cluster = KubernetesCluster(api)
        if connection == "kept":
            await cluster.get_policy("team")
            traffic.asked = 0
        if expected[0][0] not in WRITES:
            await make(cluster)
            assert traffic.asked == len(expected)
            return
        with pytest.raises(ApiError, match="not sent"):
            await make(cluster)
        assert traffic.asked == 0
        gate.passes = 5
        await make(cluster)
        assert traffic.asked == 1


async def test_what_was_held_back_holds_no_connection(traffic: Traffic):
    traffic.configuration.connection_pool_maxsize = 2
    gate = Gate()
    fence_writes(traffic.configuration, gate.check)
    async with client.ApiClient(traffic.configuration) as api:
        cluster = KubernetesCluster(api)
        for _ in range(10):
            with pytest.raises(ApiError, match="not sent"):
                await cluster.create_workflow(OBJECT)
        async with asyncio.timeout(5):
            await asyncio.gather(*(cluster.get_run(KEY) for _ in range(4)))


async def test_the_lease_itself_is_not_held_back(traffic: Traffic):
    fence_writes(traffic.configuration, Gate().check)
    async with client.ApiClient(traffic.configuration) as api:
        await KubernetesLeases(api).create(OBJECT)
        await KubernetesLeases(api).replace(OBJECT)
    assert traffic.seen() == [("create", "leases", 200), ("update", "leases", 200)]
