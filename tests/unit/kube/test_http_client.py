"""What goes over the wire for each verb, and what each kind of reply becomes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from runwright.kube import decoding, http_client, reading
from runwright.kube.client import Form, list_objects
from runwright.kube.errors import ApiError
from runwright.kube.fence import Fence
from runwright.kube.http_client import HttpClient
from runwright.kube.login import Login
from runwright.kube.objects import Json, Key, incompleteness
from runwright.kube.resource import CONFIG_MAPS, LEASES, Resource, Selection
from tests.unit.fake.scripted import Server, Stream, event, status

THINGS = Resource("example.dev", "v1", "things")
KEY = Key("team", "one")
COLLECTION = "/apis/example.dev/v1/namespaces/team/things"
OBJECT = f"{COLLECTION}/one"
BODY = {"metadata": {"namespace": "team", "name": "one", "resourceVersion": "7"}, "spec": {"a": 1}}


async def test_get_reads_the_object_from_etcd_not_from_a_cache(server: Server, client: HttpClient) -> None:
    server.replies = [(200, BODY)]
    assert await client.get(THINGS, KEY) == BODY
    (request,) = server.requests
    assert (request.method, request.path, request.query) == ("GET", OBJECT, {})
    assert request.headers["User-Agent"] == "tests" and request.headers["Accept"] == "application/json"


async def test_get_of_a_missing_object_is_none_and_of_an_unserved_kind_an_error(
    server: Server, client: HttpClient
) -> None:
    server.replies = [status(404, "NotFound"), (404, b"404 page not found\n")]
    assert await client.get(THINGS, KEY) is None
    with pytest.raises(ApiError) as caught:
        await client.get(THINGS, KEY)
    assert (caught.value.code, caught.value.reason, caught.value.message) == (404, "Unknown", "404 page not found\n")


@pytest.mark.parametrize("odd", [{}, {"metadata": []}, {"metadata": {"name": 7}}])
async def test_a_reply_that_is_no_object_is_an_api_error(server: Server, client: HttpClient, odd: Json) -> None:
    server.replies = [(200, odd)]
    with pytest.raises(ApiError) as caught:
        await client.get(THINGS, KEY)
    assert caught.value.reason == "Undecodable"


async def test_core_objects_have_their_own_path(server: Server, client: HttpClient) -> None:
    server.replies = [(200, BODY)]
    await client.get(CONFIG_MAPS, KEY)
    assert server.requests[0].path == "/api/v1/namespaces/team/configmaps/one"


@pytest.mark.parametrize(
    "key", [Key("team", ".."), Key("team", "a/b"), Key("team", ""), Key("team\n", "a"), Key("..", "a")]
)
async def test_a_name_that_no_object_can_have_is_not_requested(server: Server, client: HttpClient, key: Key) -> None:
    assert await client.get(THINGS, key) is None
    with pytest.raises(ApiError, match="cannot be a name") as caught:
        await client.delete(THINGS, key)
    assert caught.value.code == 404 and "\n" not in str(caught.value)
    assert server.requests == []


async def test_a_list_goes_on_to_its_last_page(server: Server, client: HttpClient) -> None:
    pages = [
        {"metadata": {"resourceVersion": "5", "continue": "more/+="}, "items": [{"a": 1}, {"a": 2}]},
        {"metadata": {"resourceVersion": "5"}, "items": [{"a": 3}]},
    ]
    server.replies = [(200, page) for page in pages]
    found = [one async for one in list_objects(client, THINGS, Selection("team", "x=y", "status.phase!=Done"))]
    assert found == [{"a": 1}, {"a": 2}, {"a": 3}]
    first, second = server.requests
    assert first.path == COLLECTION
    assert first.query == {"labelSelector": "x=y", "fieldSelector": "status.phase!=Done", "limit": "500"}
    assert second.query == {**first.query, "continue": "more/+="}


async def test_a_table_gives_its_rows(server: Server, client: HttpClient) -> None:
    server.replies = [(200, {"metadata": {"resourceVersion": "5"}, "columnDefinitions": [], "rows": [{"cells": [1]}]})]
    pages = [page async for page in client.pages(THINGS, form=Form.TABLE, limit=3)]
    assert [(page.items, page.version) for page in pages] == [([{"cells": [1]}], "5")]
    assert server.requests[0].headers["Accept"] == Form.TABLE.value
    assert server.requests[0].path == "/apis/example.dev/v1/things"
    assert server.requests[0].query == {"limit": "3"}


async def test_a_list_of_an_unserved_kind_says_to_install_it(server: Server, client: HttpClient) -> None:
    server.replies = [(404, b"404 page not found\n")]
    with pytest.raises(
        ApiError, match=r"things\.example\.dev are not served by this cluster: install the CRDs"
    ) as caught:
        _ = [page async for page in client.pages(THINGS)]
    assert (caught.value.code, caught.value.reason) == (404, "NotServed")


async def test_create_names_its_field_manager(server: Server, client: HttpClient) -> None:
    server.replies = [(201, BODY), (201, BODY), status(409, "AlreadyExists")]
    assert await client.create(THINGS, BODY) == BODY
    await client.create(THINGS, BODY, dry_run=True, strict=True)
    with pytest.raises(ApiError) as caught:
        await client.create(THINGS, BODY)
    assert caught.value.reason == "AlreadyExists"
    first, second, _ = server.requests
    assert (first.method, first.path, first.query, first.body) == (
        "POST",
        COLLECTION,
        {"fieldManager": "runwright"},
        BODY,
    )
    assert second.query == {"fieldManager": "runwright", "dryRun": "All", "fieldValidation": "Strict"}


async def test_replace_writes_the_object_at_its_own_version(server: Server, client: HttpClient) -> None:
    server.replies = [(200, BODY), status(404, "NotFound"), status(409, "Conflict")]
    assert await client.replace(THINGS, BODY) == BODY
    assert await client.replace(THINGS, BODY) is None
    with pytest.raises(ApiError) as caught:
        await client.replace(THINGS, BODY)
    assert caught.value.reason == "Conflict"
    assert (server.requests[0].method, server.requests[0].path, server.requests[0].body) == ("PUT", OBJECT, BODY)


async def test_patch_merges_the_object_or_its_status(server: Server, client: HttpClient) -> None:
    server.replies = [(200, BODY), (200, BODY), status(404, "NotFound")]
    patch = {"metadata": {"uid": "u"}, "spec": {"a": None}}
    await client.patch(THINGS, KEY, patch)
    await client.patch(THINGS, KEY, {"status": {}}, "status")
    assert await client.patch(THINGS, KEY, patch) is None
    first, second, _ = server.requests
    assert (first.method, first.path, first.body) == ("PATCH", OBJECT, patch)
    assert first.headers["Content-Type"] == "application/merge-patch+json"
    assert second.path == f"{OBJECT}/status"


async def test_delete_carries_its_preconditions(server: Server, client: HttpClient) -> None:
    server.replies = [(200, {}), status(404, "NotFound"), status(409, "Conflict")]
    assert await client.delete(THINGS, KEY, uid="u", version="7") is True
    assert await client.delete(THINGS, KEY, uid="u") is False
    with pytest.raises(ApiError):
        await client.delete(THINGS, KEY)
    first, second, third = server.requests
    assert (first.method, first.path) == ("DELETE", OBJECT)
    assert first.body["preconditions"] == {"uid": "u", "resourceVersion": "7"}
    assert first.body["propagationPolicy"] == "Background"
    assert second.body["preconditions"] == {"uid": "u"}
    assert "preconditions" not in third.body


async def test_a_watch_begins_with_opened_and_ends_with_the_stream(server: Server, client: HttpClient) -> None:
    server.replies = [(200, Stream([event("ADDED", BODY), event("BOOKMARK", {"metadata": {"resourceVersion": "9"}})]))]
    events = [one async for one in client.watch(THINGS, Selection.of(KEY), "5")]
    assert [one.type for one in events] == ["OPENED", "ADDED", "BOOKMARK"]
    assert events[1].body == BODY
    (request,) = server.requests
    assert request.path == COLLECTION
    assert request.query == {
        "watch": "true",
        "resourceVersion": "5",
        "fieldSelector": "metadata.name=one",
        "allowWatchBookmarks": "true",
        "timeoutSeconds": "300",
    }


@pytest.mark.parametrize(
    "reply",
    [status(410, "Expired"), (200, Stream([event("ERROR", status(410, "Expired")[1])]))],
    ids=["refused", "event"],
)
async def test_a_watch_from_too_old_a_version_is_expired(server: Server, client: HttpClient, reply: Any) -> None:
    server.replies = [reply]
    with pytest.raises(ApiError) as caught:
        _ = [one async for one in client.watch(THINGS, Selection(), "5")]
    assert (caught.value.code, caught.value.reason) == (410, "Expired")


async def test_a_silent_watch_is_broken(server: Server, client: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "SILENCE_SECONDS", 0.05)
    server.replies = [(200, Stream([event("ADDED", BODY)], hold=True))]
    with pytest.raises(ApiError) as caught:
        _ = [one async for one in client.watch(THINGS, Selection(), "5")]
    assert (caught.value.code, caught.value.reason) == (0, "Unreachable")


async def test_a_stream_that_does_not_begin_is_given_up(
    server: Server, client: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_client, "OPEN_SECONDS", 0.05)
    server.replies = [(0, {})]
    with pytest.raises(ApiError) as caught:
        _ = [one async for one in client.watch(THINGS, Selection(), "5")]
    assert caught.value.reason == "Unreachable"


async def test_a_watch_line_beyond_the_bound_is_left_out(
    server: Server, client: HttpClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(http_client, "MAX_OBJECT_BYTES", 1000)
    server.replies = [(200, Stream([event("ADDED", {"text": "x" * 2000}), event("ADDED", BODY)]))]
    seen = [one async for one in client.watch(THINGS, Selection(), "5")]
    assert [(one.type, one.body) for one in seen] == [("OPENED", {}), ("ADDED", BODY)]
    assert "left out an event of more than 1000 bytes" in caplog.text


async def test_large_pages_are_requested_again_with_fewer_objects(
    server: Server, client: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_client, "MAX_PAGE_BYTES", 1000)
    monkeypatch.setattr(decoding, "PAGE_BYTES", 500)
    large, small = {"text": "x" * 2000}, {"text": "x" * 100}
    more = {"metadata": {"resourceVersion": "7", "continue": "token"}}
    server.replies = [
        (200, {"items": [large]}),
        (200, {**more, "items": [small] * 2}),
        (200, {"metadata": {"resourceVersion": "7"}, "items": [small]}),
    ]
    pages = [list(page.items) async for page in client.pages(THINGS, limit=20)]
    assert pages == [[small] * 2, [small]]
    asked = [(one.query["limit"], one.query.get("continue")) for one in server.requests]
    assert asked[:2] == [("20", None), ("2", None)] and asked[2][1] == "token" and 2 <= int(asked[2][0]) < 20


async def test_one_object_beyond_the_bound_of_a_page_is_an_error(
    server: Server, client: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_client, "MAX_PAGE_BYTES", 1000)
    server.replies = [(200, {"items": [{"text": "x" * 2000}]})] * 3
    with pytest.raises(ApiError) as caught:
        _ = [page async for page in client.pages(THINGS, limit=9)]
    assert (caught.value.reason, len(server.requests)) == ("TooLarge", 2)


async def test_a_reply_beyond_the_bound_is_an_error(
    server: Server, client: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_client, "MAX_OBJECT_BYTES", 10)
    server.replies = [(200, BODY)]
    with pytest.raises(ApiError) as caught:
        await client.get(THINGS, KEY)
    assert caught.value.reason == "TooLarge"


async def test_a_deeply_nested_reply_is_cut_and_marked(server: Server, client: HttpClient) -> None:
    deep = b'{"a":' * 5000 + b"1" + b"}" * 5000
    server.replies = [(200, b'{"metadata":{"name":"one"},"spec":' + deep + b"}"), (200, BODY)]
    body = await client.get(THINGS, KEY)
    assert body is not None and incompleteness(body) == ("TooDeep", "spec.a.a is nested deeper than 100 levels")
    assert await client.get(THINGS, KEY) == BODY
    for write in (client.create, client.replace):
        with pytest.raises(ApiError) as caught:
            await write(THINGS, body)
        assert (caught.value.code, caught.value.reason) == (422, "TooDeep")


async def test_a_success_that_is_no_json_is_an_api_error(server: Server, client: HttpClient) -> None:
    server.replies = [(200, b"<html>"), (200, b'{"kind":'), (200, Stream([b"<html>\n"]))]
    with pytest.raises(ApiError, match="no JSON"):
        await client.get(THINGS, KEY)
    with pytest.raises(ApiError, match="no JSON"):
        _ = [page async for page in client.pages(THINGS)]
    with pytest.raises(ApiError, match="no JSON"):
        _ = [one async for one in client.watch(THINGS, Selection(), "5")]


async def test_a_refusal_is_read_only_in_part(
    server: Server, client: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.replies = [(500, b"x" * (reading.MAX_ERROR_BYTES * 4))]
    with pytest.raises(ApiError) as caught:
        await client.get(THINGS, KEY)
    assert (caught.value.code, caught.value.message) == (500, "x" * 500)


async def test_no_reply_in_time_is_unreachable(
    server: Server, client: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_client, "REQUEST_SECONDS", 0.05)
    server.replies = [(0, {})]
    with pytest.raises(ApiError) as caught:
        await asyncio.wait_for(client.get(THINGS, KEY), 5)
    assert (caught.value.code, caught.value.reason) == (0, "Unreachable")


async def test_no_connection_is_unreachable() -> None:
    async with HttpClient(Login("http://127.0.0.1:1"), user_agent="tests") as client:
        with pytest.raises(ApiError) as caught:
            await client.get(THINGS, KEY)
    assert (caught.value.code, caught.value.reason) == (0, "Unreachable")


async def test_logs_come_as_they_are_written(server: Server, client: HttpClient) -> None:
    server.replies = [(200, Stream([b"one\n", b"two\n"])), status(400, "BadRequest", "waiting to start")]
    async with aclosing(client.logs(KEY, "main", follow=True, tailLines=5, timestamps=True)) as pieces:
        assert b"".join([piece async for piece in pieces]) == b"one\ntwo\n"
    with pytest.raises(ApiError, match="waiting to start"):
        _ = [piece async for piece in client.logs(KEY, "main")]
    (request, _) = server.requests
    assert request.path == "/api/v1/namespaces/team/pods/one/log"
    assert request.query == {"container": "main", "follow": "true", "tailLines": "5", "timestamps": "true"}


async def test_discovery_tells_which_kinds_are_served(server: Server, client: HttpClient) -> None:
    server.replies = [
        (200, {"resources": [{"name": "things"}]}),
        (200, {"resources": []}),
        (404, b"404 page not found"),
    ]
    assert [await client.discover(THINGS) for _ in range(3)] == [True, False, False]
    assert server.requests[0].path == "/apis/example.dev/v1"


async def test_the_token_of_the_moment_goes_with_each_request(server: Server, address: str) -> None:
    tokens = iter(["first", "second"])

    async def token() -> str:
        return next(tokens)

    server.replies = [(200, BODY), (200, BODY)]
    async with HttpClient(Login(address, token=token), user_agent="tests") as client:
        await client.get(THINGS, KEY)
        await client.get(THINGS, KEY)
    assert [request.headers["Authorization"] for request in server.requests] == ["Bearer first", "Bearer second"]


# --------------------------------------------------------------------------------------------------- counting and fence
@pytest.fixture
async def counted(server: Server, address: str) -> AsyncIterator[tuple[HttpClient, list[tuple[str, str, int]]]]:
    seen: list[tuple[str, str, int]] = []

    def observe(verb: str, resource: str, code: int, seconds: float) -> None:
        assert seconds >= 0
        seen.append((verb, resource, code))

    async with HttpClient(Login(address), user_agent="tests", observe=observe) as client:
        yield client, seen


async def test_each_request_is_counted_once_by_verb_kind_and_status(
    server: Server, counted: tuple[HttpClient, list[tuple[str, str, int]]]
) -> None:
    client, seen = counted
    server.replies = [
        (200, BODY),
        (200, {"metadata": {"resourceVersion": "5"}, "items": []}),
        (201, {}),
        (200, {}),
        (200, {}),
        status(404, "NotFound"),
        (200, {"resources": []}),
    ]
    await client.get(THINGS, KEY)
    _ = [page async for page in client.pages(THINGS)]
    await client.create(THINGS, BODY)
    await client.replace(THINGS, BODY)
    await client.patch(THINGS, KEY, {}, "status")
    await client.delete(THINGS, KEY)
    await client.discover(THINGS)
    assert seen == [
        ("get", "things", 200),
        ("list", "things", 200),
        ("create", "things", 201),
        ("update", "things", 200),
        ("patch", "things/status", 200),
        ("delete", "things", 404),
        ("get", "discovery", 200),
    ]


async def test_a_request_without_a_reply_is_counted_with_code_0(
    server: Server, counted: tuple[HttpClient, list[tuple[str, str, int]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_client, "REQUEST_SECONDS", 0.05)
    client, seen = counted
    server.replies = [(0, {})]
    with pytest.raises(ApiError):
        await client.get(THINGS, KEY)
    assert seen == [("get", "things", 0)]


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


async def test_a_closed_fence_stops_writes_and_neither_reads_nor_leases(server: Server, address: str) -> None:
    fence = Fence()
    async with HttpClient(Login(address), user_agent="tests", fence=fence) as client:
        server.replies = [(200, BODY), (201, {})]
        await client.get(THINGS, KEY)
        await client.create(LEASES, BODY)
        for write in (
            client.create(THINGS, BODY),
            client.replace(THINGS, BODY),
            client.patch(THINGS, KEY, {}),
            client.delete(THINGS, KEY),
        ):
            with pytest.raises(ApiError) as caught:
                await write
            assert caught.value.reason == "NotLeading"
    assert [request.method for request in server.requests] == ["GET", "POST"]


async def test_a_write_that_waited_for_a_connection_is_judged_when_it_is_sent(
    server: Server, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runwright.kube.session.CONNECTIONS", 1)
    clock = Clock()
    fence = Fence(clock=clock)
    fence.open_until(10)
    server.replies = [(200, Stream([event("ADDED", BODY)], hold=True))]
    async with HttpClient(Login(address), user_agent="tests", fence=fence) as client:
        async with aclosing(client.watch(THINGS, Selection(), "5")) as events:
            assert (await anext(events)).type == "OPENED"
            write = asyncio.create_task(client.create(THINGS, BODY))
            await asyncio.sleep(0)
            clock.seconds = 11
        with pytest.raises(ApiError) as caught:
            await write
    assert caught.value.reason == "NotLeading"
    assert [request.method for request in server.requests] == ["GET"]


async def test_a_client_outside_its_context_is_a_mistake() -> None:
    with pytest.raises(RuntimeError, match="outside its context"):
        await HttpClient(Login("http://127.0.0.1:1"), user_agent="tests").get(THINGS, KEY)


@pytest.mark.parametrize("reply", [{}, {"metadata": []}, {"metadata": {}, "items": []}, {"items": {"a": 1}}])
async def test_a_reply_without_a_version_is_not_an_empty_list(server: Server, client: HttpClient, reply: Any):
    server.replies = [(200, reply)]
    with pytest.raises(ApiError, match="not a list of Kubernetes"):
        _ = [page async for page in client.pages(THINGS)]
