"""A client of the scripted API server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from runwright.kube.http_client import HttpClient
from runwright.kube.login import Login
from tests.unit.fake.scripted import Server


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def address(server: Server) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    async with TestServer(app) as running:
        yield str(running.make_url("")).rstrip("/")


@pytest.fixture
async def client(address: str) -> AsyncIterator[HttpClient]:
    async with HttpClient(Login(address), user_agent="tests") as client:
        yield client
