"""The initial lists have finished when every listed object has arrived: exactly, or after a bound."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from runwright.controller.initial_lists import MAX_SECONDS, InitialLists
from runwright.kube.errors import ApiError
from tests.unit.fake.virtual_time import run_virtually

A, B = "/apis/a", "/apis/b"


class Recorder:
    def __init__(self) -> None:
        self.finished = 0
        self.lists = InitialLists(self.count)

    def count(self) -> None:
        self.finished += 1


def page(*uids: str, more: str = "") -> dict[str, Any]:
    return {"metadata": {"continue": more}, "items": [{"metadata": {"uid": uid}} for uid in uids]}


def tracked(test: Callable[[Recorder], None], *paths: str) -> None:
    async def main() -> None:
        recorder = Recorder()
        recorder.lists.expect(paths)
        test(recorder)

    run_virtually(main())


def test_all_pages_and_all_objects_are_needed() -> None:
    def test(it: Recorder) -> None:
        it.lists.add_page(A, page("1", "2", more="token"), first=True)
        it.lists.remove("1")
        it.lists.remove("2")
        assert it.lists.running, "another page follows"
        it.lists.add_page(A, page("3"), first=False)
        assert it.lists.running, "an object has not arrived"
        it.lists.remove("3")
        assert not it.lists.running and it.finished == 1
        it.lists.remove("3")
        it.lists.add_page(A, page("4"), first=True)
        assert it.finished == 1, "once"

    tracked(test, A)


def test_every_expected_list_is_needed_and_no_other() -> None:
    def test(it: Recorder) -> None:
        it.lists.add_page("/apis/other", page("9"), first=True)
        it.lists.add_page(A, page(), first=True)
        assert it.lists.running
        it.lists.add_page(B, page(), first=True)
        assert it.finished == 1

    tracked(test, A, B)


def test_a_list_that_begins_again_is_counted_again() -> None:
    def test(it: Recorder) -> None:
        it.lists.add_page(A, page("1", "deleted-meanwhile", more="token"), first=True)
        it.lists.add_page(A, page("1"), first=True)
        it.lists.remove("1")
        assert it.finished == 1

    tracked(test, A)


def test_without_lists_they_have_finished_at_once() -> None:
    tracked(lambda it: None)

    def test(it: Recorder) -> None:
        assert it.finished == 1 and not it.lists.running

    tracked(test)


def test_lists_that_never_finish_are_not_waited_for_without_end() -> None:
    async def main() -> None:
        it = Recorder()
        it.lists.expect((A,))
        await asyncio.sleep(MAX_SECONDS - 1)
        assert it.lists.running
        await asyncio.sleep(2)
        assert it.finished == 1 and not it.lists.running

    run_virtually(main())


def test_a_closed_one_never_finishes() -> None:
    async def main() -> None:
        it = Recorder()
        it.lists.expect((A,))
        it.lists.close()
        it.lists.add_page(A, page(), first=True)
        await asyncio.sleep(2 * MAX_SECONDS)
        assert it.finished == 0

    run_virtually(main())


async def test_the_response_class_adds_the_pages_that_it_decodes() -> None:
    it = Recorder()
    it.lists.expect((A,))

    async def reply(request: web.Request) -> web.Response:
        if request.query.get("continue") == "deep":
            return web.Response(text="[" * 100_000)
        if "continue" in request.query:
            return web.json_response(page("2"))
        if "refuse" in request.query:
            return web.json_response({"kind": "Status", "code": 403}, status=403)
        return web.json_response(page("1", more="token"))

    app = web.Application()
    app.router.add_get(A, reply)
    async with (
        TestServer(app) as server,
        aiohttp.ClientSession(server.make_url(""), response_class=it.lists.response_class()) as session,
    ):
        assert (await (await session.get(A, params={"refuse": "1"})).json())["code"] == 403
        assert await (await session.get(A, params={"limit": "500"})).json() == page("1", more="token")
        with pytest.raises(ApiError, match="nested too deeply"):
            await (await session.get(A, params={"continue": "deep"})).json()
        it.lists.remove("1")
        assert it.lists.running
        assert await (await session.get(A, params={"continue": "token"})).json() == page("2")
        it.lists.remove("2")
    assert it.finished == 1
