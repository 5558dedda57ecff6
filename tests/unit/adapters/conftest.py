"""A client of the scripted API server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio import client

from tests.unit.fake.scripted import Server


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def api(server: Server) -> AsyncIterator[client.ApiClient]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    async with TestServer(app) as running:
        configuration = client.Configuration()
        configuration.host = str(running.make_url("")).rstrip("/")
        async with client.ApiClient(configuration) as api:
            yield api
