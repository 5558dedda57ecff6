"""The requests of people's commands, as they reach an API server on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio import client

from runwright.adapters.login import default_namespace
from runwright.adapters.shell_requests import TABLE, ShellRequests
from runwright.kube.errors import ApiError
from runwright.kube.objects import Key

KEY = Key("team", "train")
RUNS = "/apis/runwright.dev/v1alpha1/namespaces/team/pipelineruns"


class Server:
    def __init__(self) -> None:
        self.replies: list[web.StreamResponse] = []
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.accepted: list[str] = []
        self.bodies: list[Any] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.method, request.path, dict(request.query)))
        self.accepted.append(request.headers.get("Accept", ""))
        self.bodies.append(await request.json() if request.can_read_body else None)
        return self.replies.pop(0) if self.replies else web.json_response({})


@pytest.fixture
async def server() -> AsyncIterator[tuple[Server, ShellRequests]]:
    served, app = Server(), web.Application()
    app.router.add_route("*", "/{path:.*}", served.handle)
    async with TestServer(app) as running:
        configuration = client.Configuration()
        configuration.host = str(running.make_url("")).rstrip("/")
        async with client.ApiClient(configuration) as api:
            yield served, ShellRequests(api)


async def test_a_list_goes_on_until_its_last_page(server: tuple[Server, ShellRequests]):
    served, requests = server
    served.replies = [
        web.json_response({"metadata": {"continue": "next"}, "rows": [1]}),
        web.json_response({"metadata": {}, "rows": [2]}),
    ]
    found = [page["rows"] async for page in requests.pages("team", TABLE, label_selector="a=b")]
    assert found == [[1], [2]]
    assert served.asked == [
        ("GET", RUNS, {"labelSelector": "a=b", "limit": "500"}),
        ("GET", RUNS, {"labelSelector": "a=b", "limit": "500", "continue": "next"}),
    ]
    assert served.accepted == [TABLE, TABLE]


async def test_a_kind_that_is_not_served(server: tuple[Server, ShellRequests]):
    served, requests = server
    served.replies = [web.json_response({}, status=404)]
    with pytest.raises(ApiError, match="not served by this cluster: install the CRDs"):
        [page async for page in requests.pages("")]


async def test_a_run_is_created_strictly(server: tuple[Server, ShellRequests]):
    """A field that the kind does not have is a fault, not a warning."""
    served, requests = server
    body = {"metadata": {"namespace": "team", "name": "train"}}
    await requests.create(body, dry_run=False)
    await requests.create(body, dry_run=True)
    strict = {"fieldManager": "kubectl-runwright", "fieldValidation": "Strict"}
    assert served.asked == [("POST", RUNS, strict), ("POST", RUNS, {**strict, "dryRun": "All"})]
    assert served.bodies == [body, body]


async def test_an_edit_is_of_one_version(server: tuple[Server, ShellRequests]):
    served, requests = server
    await requests.patch(KEY, "7", {"metadata": {"labels": {"a": None}}, "spec": {"retries": 1}})
    assert served.bodies == [{"metadata": {"labels": {"a": None}, "resourceVersion": "7"}, "spec": {"retries": 1}}]


async def test_a_deletion_is_of_one_run(server: tuple[Server, ShellRequests]):
    served, requests = server
    assert await requests.delete(KEY, "a-uid")
    assert served.bodies[0]["preconditions"] == {"uid": "a-uid"}
    served.replies = [web.json_response({"reason": "NotFound"}, status=404)]
    assert not await requests.delete(KEY, "a-uid")


async def test_logs_come_as_bytes_or_as_an_error(server: tuple[Server, ShellRequests]):
    served, requests = server
    served.replies = [web.Response(body=b"one\ntwo"), web.json_response({"reason": "BadRequest"}, status=400)]
    assert b"".join([piece async for piece in requests.log(KEY, "main", follow=True, tail_lines=5)]) == b"one\ntwo"
    query = {"container": "main", "follow": "true", "tailLines": "5"}
    assert served.asked == [("GET", "/api/v1/namespaces/team/pods/train/log", query)]
    with pytest.raises(ApiError, match="BadRequest"):
        [piece async for piece in requests.log(KEY, "main", follow=False)]


def test_the_namespace_of_a_context(tmp_path: Any):
    config = tmp_path / "config"
    config.write_text(
        "{apiVersion: v1, kind: Config, current-context: a, clusters: [{name: c, cluster: {server: 'https://x'}}],"
        " users: [{name: u, user: {}}], contexts: [{name: a, context: {cluster: c, user: u, namespace: ml}},"
        " {name: b, context: {cluster: c, user: u}}]}"
    )
    assert default_namespace(str(config), None) == "ml"
    assert default_namespace(str(config), "b") == "default"
    with pytest.raises(Exception, match="there is no context 'd'"):
        default_namespace(str(config), "d")
