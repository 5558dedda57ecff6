"""Kopf's requests carry the operator's credentials, and a refusal makes no busy loop."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from runwright.controller import kopf_login
from runwright.controller.kopf_login import KopfLogin
from runwright.controller.watch_pace import WatchPace
from runwright.kube.login import Login


async def test_request_has_the_current_token_and_the_user_agent():
    tokens, seen = iter(["first", "second"]), list[tuple[str, str]]()

    async def reply(request: web.Request) -> web.Response:
        seen.append((request.headers["Authorization"], request.headers["User-Agent"]))
        return web.json_response({})

    async def token() -> str:
        return next(tokens)

    app = web.Application()
    app.router.add_get("/api", reply)
    async with TestServer(app) as server:
        login = Login(str(server.make_url("")).rstrip("/"), namespace="team", token=token)
        session = await KopfLogin(login, "runwright/1", WatchPace()).open()
        assert (session.server, session.default_namespace) == (login.server, "team")
        async with session.aiohttp_session as http:
            for _ in range(2):
                await http.get(f"{session.server}/api")
    assert seen == [("Bearer first", "runwright/1"), ("Bearer second", "runwright/1")]


async def test_refused_sessions_are_reopened_with_back_off(monkeypatch: pytest.MonkeyPatch):
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(kopf_login.asyncio, "sleep", sleep)
    login = KopfLogin(Login("http://127.0.0.1:1"), "runwright/1", WatchPace())
    sessions = [await login.open() for _ in range(10)]
    assert pauses[0] < 1 and pauses == sorted(pauses) and pauses[-1] == kopf_login.MAX_PAUSE
    assert len(pauses) == 8, "neither the first session waits, nor the first one after it"
    await asyncio.gather(*(session.aiohttp_session.close() for session in sessions))
