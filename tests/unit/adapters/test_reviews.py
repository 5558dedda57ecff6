"""What the run service asks Kubernetes about tokens and rights, and the key that its replicas share."""

from __future__ import annotations

import base64

import pytest
from kubernetes.aio import client

from runwright.adapters.reviews import Reviews, SharedKey
from runwright.kube.errors import ApiError
from runwright.kube.objects import Key
from tests.unit.fake.scripted import Server, status

SECRETS = "/api/v1/namespaces/system/secrets"
SECRET = Key("system", "serve")
OURS, THEIRS = b"o" * 32, b"t" * 32


def secret(key: bytes) -> tuple[int, object]:
    return 200, {"data": {"key": base64.b64encode(key).decode()}}


async def test_a_token_goes_to_the_review_and_nowhere_else(server: Server, api: client.ApiClient):
    server.replies = [(201, {"status": {"authenticated": True, "user": {"username": "ann"}}})]
    found = await Reviews(api).token("t0ken", ["a", "b"])
    assert found == {"authenticated": True, "user": {"username": "ann"}}
    (asked,) = server.requests
    assert (asked.method, asked.path) == ("POST", "/apis/authentication.k8s.io/v1/tokenreviews")
    assert asked.body["spec"] == {"token": "t0ken", "audiences": ["a", "b"]}
    assert "t0ken" not in repr((asked.path, asked.query, asked.headers))
    server.replies = [(201, {"status": {}})]
    assert await Reviews(api).token("t0ken", []) == {}
    assert server.requests[1].body["spec"] == {"token": "t0ken"}


@pytest.mark.parametrize(
    ("answer", "allowed"),
    [({"allowed": True}, True), ({"allowed": False, "denied": True}, False), ({}, False), ({"allowed": "true"}, False)],
)
async def test_a_right_is_there_where_it_is_said_to_be(
    server: Server, api: client.ApiClient, answer: object, allowed: bool
):
    spec = {"user": "ann", "resourceAttributes": {"verb": "get"}}
    server.replies = [(201, {"status": answer})]
    assert await Reviews(api).access(spec) is allowed
    (asked,) = server.requests
    assert (asked.path, asked.body["spec"]) == ("/apis/authorization.k8s.io/v1/subjectaccessreviews", spec)


async def test_a_review_that_is_refused_allows_nothing(server: Server, api: client.ApiClient):
    server.replies = [status(403, "Forbidden"), status(500, "InternalError")]
    with pytest.raises(ApiError):
        await Reviews(api).token("t", [])
    with pytest.raises(ApiError):
        await Reviews(api).access({})


async def test_the_first_replica_makes_the_key(server: Server, api: client.ApiClient):
    server.replies = [status(404, "NotFound"), secret(OURS)]
    assert await SharedKey(api, SECRET).get_or_create(OURS) == OURS
    read, made = server.requests
    assert (read.method, read.path) == ("GET", f"{SECRETS}/serve")
    assert (made.method, made.path) == ("POST", SECRETS)
    assert made.body["metadata"] == {"name": "serve", "namespace": "system"}
    assert base64.b64decode(made.body["data"]["key"]) == OURS


async def test_the_others_take_it(server: Server, api: client.ApiClient):
    server.replies = [secret(THEIRS)]
    assert await SharedKey(api, SECRET).get_or_create(OURS) == THEIRS
    server.replies = [status(404, "NotFound"), status(409, "AlreadyExists"), secret(THEIRS)]
    assert await SharedKey(api, SECRET).get_or_create(OURS) == THEIRS, "somebody was faster"


@pytest.mark.parametrize(
    "replies",
    [
        [secret(b"short")],
        [(200, {"data": {}})],
        [status(403, "Forbidden")],
        [status(404, "NotFound"), status(403, "Forbidden")],
        [status(404, "NotFound"), status(409, "AlreadyExists"), status(404, "NotFound")],
    ],
)
async def test_no_replica_goes_on_with_a_key_of_its_own(
    server: Server, api: client.ApiClient, replies: list[tuple[int, object]]
):
    server.replies = replies
    with pytest.raises(ApiError):
        await SharedKey(api, SECRET).get_or_create(OURS)
    assert server.replies == []
