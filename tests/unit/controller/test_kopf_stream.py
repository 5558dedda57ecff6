"""What Kopf gets of lists and watches: each object within bounds, and no error of one object that ends it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kopf._cogs.clients.api import iter_jsonlines

from runwright.controller import kopf_stream
from runwright.controller.kopf_stream import ARRIVAL, Arrivals, KopfResponse, KopfStream
from runwright.kube import decoding
from runwright.kube.objects import Json, incompleteness, name_of
from runwright.kube.resource import CUSTOM_RESOURCE_DEFINITIONS, Resource

THINGS = Resource("example.com", "v1", "things")
LIST = THINGS.collection_path()
DEEP = '{"a":' * 1500 + "1" + "}" * 1500


def thing(name: str, spec: str = "{}") -> str:
    metadata = f'{{"name":"{name}","namespace":"n","uid":"u-{name}","resourceVersion":"5","finalizers":["x"]}}'
    return f'{{"apiVersion":"example.com/v1","kind":"Thing","metadata":{metadata},"spec":{spec}}}'


def event(kind: str, body: str) -> str:
    return f'{{"type":"{kind}","object":{body}}}\n'


class Kopf:
    """Lists and watches as Kopf does, and records what was read."""

    def __init__(self) -> None:
        self.replies: list[str | Callable[[web.Request], str]] = []
        self.requests: list[dict[str, str]] = []
        self.read: list[Json] = []
        self.refused: list[str] = []
        self.listed: list[tuple[str, int, bool]] = []
        self.arrivals = Arrivals({THINGS: self._read}, self.refused.append)

    def _read(self, body: Json) -> Json:
        if name_of(body) == "bug":
            raise TypeError("a bug")
        self.read.append(body)
        return body

    async def _reply(self, request: web.Request) -> web.Response:
        self.requests.append(dict(request.query))
        reply = self.replies.pop(0)
        return web.Response(text=reply if isinstance(reply, str) else reply(request), content_type="application/json")

    @asynccontextmanager
    async def session(self) -> AsyncIterator[aiohttp.ClientSession]:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._reply)
        stream = KopfStream(
            self.arrivals, lambda path, body, first: self.listed.append((path, len(body["items"]), first))
        )
        async with (
            TestServer(app) as server,
            aiohttp.ClientSession(server.make_url(""), response_class=KopfResponse, middlewares=[stream]) as session,
        ):
            yield session

    async def list(self, session: aiohttp.ClientSession, path: str = LIST, **query: str) -> Any:
        response = await session.get(path, params={"limit": "500", **query})
        async with response:
            return await response.json()

    async def watch(self, session: aiohttp.ClientSession) -> list[Any]:
        response = await session.get(LIST, params={"watch": "true"})
        async with response:
            return [json.loads(line.decode()) async for line in iter_jsonlines(response.content)]


@pytest.fixture
def kopf() -> Kopf:
    return Kopf()


async def test_a_list_gives_names_and_holds_what_was_read(kopf: Kopf) -> None:
    page = f'{{"items":[{thing("a")},{thing("deep", DEEP)},{thing("b")}],"metadata":{{"resourceVersion":"7","continue":"t"}}}}'
    kopf.replies = [page, f'{{"items":[{thing("c")}],"metadata":{{"resourceVersion":"7"}}}}']
    async with kopf.session() as session:
        found = await kopf.list(session)
        rest = await kopf.list(session, **{"continue": "t"})
    assert found["metadata"] == {"resourceVersion": "7", "continue": "t"}
    assert found["items"][0] == {
        "apiVersion": "example.com/v1",
        "kind": "Thing",
        "metadata": {"name": "a", "namespace": "n", "uid": "u-a", "resourceVersion": "5"},
        ARRIVAL: 1,
    }
    assert kopf.refused == ["TooDeep"]
    bodies: list[Any] = [kopf.arrivals.pop(item) for item in found["items"]]
    assert [name_of(body) for body in bodies] == ["a", "deep", "b"]
    assert [incompleteness(body) is not None for body in bodies] == [False, True, False]
    assert kopf.arrivals.pop(found["items"][0]) is None and len(kopf.arrivals) == 1
    assert kopf.listed == [(LIST, 3, True), (LIST, 1, False)] and len(rest["items"]) == 1
    kopf.arrivals.clear()
    assert len(kopf.arrivals) == 0


async def test_a_watch_gives_names_and_leaves_out_nothing_else(kopf: Kopf) -> None:
    kopf.replies = [
        event("ADDED", thing("a"))
        + event("MODIFIED", thing("deep", DEEP))
        + event("MODIFIED", thing("bug"))
        + event("BOOKMARK", '{"metadata":{"resourceVersion":"9"}}')
        + event("DELETED", thing("a"))
    ]
    async with kopf.session() as session:
        events = await kopf.watch(session)
    assert [(one["type"], one["object"]["metadata"].get("name")) for one in events] == [
        ("ADDED", "a"),
        ("MODIFIED", "deep"),
        ("BOOKMARK", None),
        ("DELETED", "a"),
    ]
    assert events[2]["object"]["metadata"]["resourceVersion"] == "9"
    assert [name_of(body) for body in kopf.read] == ["a", "deep", "a"]
    assert kopf.refused == ["TooDeep", "Unreadable"]


@pytest.mark.parametrize(
    "bad",
    [
        "<html>\n",
        '{"type":"ADDED","object":\n',
        event("ADDED", "7"),
        event("ERROR", '{"code":500,"message":"etcd"}'),
        event("ERROR", '{"code":410}'),
        event("ERROR", "{}"),
    ],
)
async def test_a_watch_that_cannot_go_on_is_followed_by_a_list(kopf: Kopf, bad: str) -> None:
    kopf.replies = [event("ADDED", thing("a")) + bad + event("ADDED", thing("b"))]
    async with kopf.session() as session:
        events = await kopf.watch(session)
    assert [one["type"] for one in events] == ["ADDED", "ERROR"] and events[1]["object"]["code"] == 410


async def test_half_a_line_and_a_line_beyond_the_limit_are_left_out(
    kopf: Kopf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kopf_stream, "MAX_OBJECT_BYTES", 1000)
    kopf.replies = [event("ADDED", thing("a", '"' + "x" * 2000 + '"')) + event("ADDED", thing("b")) + '{"type":"ADDED']
    async with kopf.session() as session:
        events = await kopf.watch(session)
    assert [one["object"]["metadata"]["name"] for one in events] == ["b"]


async def test_large_pages_are_listed_with_fewer_objects(kopf: Kopf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kopf_stream, "MAX_PAGE_BYTES", 5000)
    monkeypatch.setattr(decoding, "PAGE_BYTES", 2500)

    def reply(request: web.Request) -> str:
        limit = int(request.query["limit"])
        items = ",".join(thing("a", '"' + "x" * 1000 + '"') for _ in range(min(limit, 20)))
        return f'{{"items":[{items}],"metadata":{{"resourceVersion":"7","continue":"t"}}}}'

    kopf.replies = [reply] * 5
    async with kopf.session() as session:
        assert len((await kopf.list(session))["items"]) == 1
        assert len((await kopf.list(session, **{"continue": "t"}))["items"]) == 2
    asked = [(one["limit"], one.get("continue")) for one in kopf.requests]
    assert asked == [("500", None), ("62", None), ("7", None), ("1", None), ("2", "t")]


async def test_other_kinds_are_passed_on_within_bounds(kopf: Kopf) -> None:
    path = CUSTOM_RESOURCE_DEFINITIONS.collection_path()
    kopf.replies = [
        f'{{"items":[{thing("crd")},{thing("deep", DEEP)}],"metadata":{{"resourceVersion":"7"}}}}',
        thing("x", DEEP),
    ]
    async with kopf.session() as session:
        found = await kopf.list(session, path)
        assert [item["metadata"]["finalizers"] for item in found["items"]] == [["x"], ["x"]]
        assert (await (await session.get("/apis/example.com/v1/namespaces/n/other/x")).json())["kind"] == "Thing"
    assert kopf.read == []


@pytest.mark.parametrize("bad", ["<html>", "{}", "[]", "7", '{"metadata":[],"items":{"a":1}}', '{"items":[1]}'])
async def test_a_page_that_is_no_list_is_an_error_after_which_kopf_lists_again(kopf: Kopf, bad: str) -> None:
    kopf.replies = [bad]
    async with kopf.session() as session:
        with pytest.raises(aiohttp.ClientPayloadError):
            await kopf.list(session)


async def test_odd_items_of_a_page_are_left_out(kopf: Kopf) -> None:
    odd = f'{{"items":[1,null,"x",[],{{}},{thing("a")}],"metadata":{{"resourceVersion":"7"}},"kind":7}}'
    kopf.replies = [odd, odd]
    async with kopf.session() as session:
        found = await kopf.list(session)
        others = await kopf.list(session, CUSTOM_RESOURCE_DEFINITIONS.collection_path())
    assert [item["metadata"].get("name") for item in found["items"]] == [None, "a"]
    assert [item["metadata"]["name"] for item in others["items"]] == ["a"] and "kind" not in others
