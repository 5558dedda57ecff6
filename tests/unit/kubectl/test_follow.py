"""A watch is gone on with when it ends, begun anew when it is too old, and given up when the cluster stays away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st
from kubernetes.aio import client

from runwright.adapters.watching import Watching
from runwright.kube.errors import ApiError
from runwright.kube.objects import Key
from runwright.kubectl import follow as module
from runwright.kubectl.follow import SYNCED, differences, follow

Object = dict[str, Any]


def run(name: str, version: int) -> Object:
    return {"metadata": {"name": name, "namespace": "team", "resourceVersion": str(version)}}


class Api:
    """Lists and watches, each answered by the next of those that are given."""

    def __init__(self) -> None:
        self.lists: list[tuple[int, list[Object]]] = []
        self.watches: list[list[tuple[str, Object]]] = []
        self.asked: list[tuple[str, str]] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        watch = "watch" in request.query
        assert request.query["fieldSelector"] == "metadata.name=a"
        self.asked.append(("watch" if watch else "list", request.query.get("resourceVersion", "")))
        if not watch:
            if not self.lists:
                return web.json_response({"reason": "ServiceUnavailable"}, status=503)
            version, items = self.lists.pop(0)
            return web.json_response({"metadata": {"resourceVersion": str(version)}, "items": items})
        response = web.StreamResponse()
        await response.prepare(request)
        for kind, body in self.watches.pop(0) if self.watches else []:
            await response.write(json.dumps({"type": kind, "object": body}).encode() + b"\n")
        if not self.watches:
            await asyncio.sleep(0.05)
        return response


@pytest.fixture
async def api() -> AsyncIterator[tuple[Api, Watching]]:
    served, app = Api(), web.Application()
    app.router.add_route("GET", "/{path:.*}", served.handle)
    async with TestServer(app) as server:
        configuration = client.Configuration()
        configuration.host = str(server.make_url("")).rstrip("/")
        async with client.ApiClient(configuration) as connection:
            yield served, Watching(connection, "pipelineruns", "team", field_selector="metadata.name=a")


async def first(watched: Watching, count: int) -> list[tuple[str, str]]:
    """Kinds and versions of the first changes."""
    found: list[tuple[str, str]] = []
    async with aclosing(follow(watched)) as changes:
        async for kind, body in changes:
            found.append((kind, body.get("metadata", {}).get("resourceVersion", "")))
            if len(found) == count:
                break
    return found


async def test_a_watch_that_ends_goes_on_where_it_ended(api: tuple[Api, Watching]):
    served, watched = api
    served.lists = [(5, [run("a", 3)])]
    served.watches = [[("MODIFIED", run("a", 6)), ("BOOKMARK", run("", 9))], [("DELETED", run("a", 11))]]
    assert await first(watched, 4) == [("ADDED", "3"), (SYNCED, ""), ("MODIFIED", "6"), ("DELETED", "11")]
    assert served.asked[:3] == [("list", ""), ("watch", "5"), ("watch", "9")]


async def test_after_a_watch_that_is_too_old_only_what_changed_is_told(api: tuple[Api, Watching]):
    served, watched = api
    expired = {"code": 410, "reason": "Expired", "message": "too old"}
    served.lists = [(5, [run("a", 3), run("b", 4)]), (20, [run("a", 3), run("c", 15)])]
    served.watches = [[("ERROR", expired)]]
    assert await first(watched, 6) == [
        ("ADDED", "3"),
        ("ADDED", "4"),
        (SYNCED, ""),
        ("DELETED", "4"),
        ("ADDED", "15"),
        (SYNCED, ""),
    ]


async def test_a_cluster_that_stays_away_is_given_up(api: tuple[Api, Watching], monkeypatch: pytest.MonkeyPatch):
    served, watched = api
    waited: list[float] = []
    real = asyncio.sleep

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        await real(0)

    monkeypatch.setattr(module.asyncio, "sleep", sleep)
    with pytest.raises(ApiError, match="503"):
        await first(watched, 1)
    assert served.asked == [("list", "")] * module.ATTEMPTS
    assert waited == sorted(waited)
    assert sum(waited) > 20


@given(
    st.dictionaries(st.sampled_from("abcd"), st.integers(1, 3)),
    st.dictionaries(st.sampled_from("abcd"), st.integers(1, 3)),
)
def test_differences_lead_from_one_to_the_other(before: dict[str, int], after: dict[str, int]):
    def of(versions: dict[str, int]) -> dict[Key, Any]:
        return {Key("team", name): run(name, version) for name, version in versions.items()}

    known = of(before)
    for kind, body in differences(of(before), of(after)):
        module.remember(known, kind, body)
    assert known == of(after)
    assert differences(of(after), of(after)) == []
