"""A cluster in memory for the commands: `server` holds the objects, and commands connect to `client`."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from runwright.kubectl.session import Session, Target
from tests.unit.fake.apiserver import ApiServer
from tests.unit.fake.client import FakeClient

MODULES = ("artifact", "completion", "editing", "export", "importing", "listing", "logs", "metrics", "migrate", "show")
NAMESPACE = "team"


@pytest.fixture
def server() -> ApiServer:
    return ApiServer(lambda: datetime(2026, 11, 26, 12, tzinfo=UTC))


@pytest.fixture
def client(server: ApiServer) -> FakeClient:
    return FakeClient(server)


@pytest.fixture
def here(client: FakeClient) -> Session:
    """A session in the namespace `team`."""
    return Session(client, NAMESPACE)


@pytest.fixture
def connected(client: FakeClient, monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    """Let every command connect to the client."""

    @asynccontextmanager
    async def connect_to(target: Target) -> AsyncGenerator[Session]:
        yield Session(client, target.namespace or NAMESPACE, target.all_namespaces)

    for name in (*MODULES, "submit", "waiting"):
        monkeypatch.setattr(importlib.import_module(f"runwright.kubectl.{name}"), "connect_to", connect_to)
    return client


def event_at(client: FakeClient, call: str) -> asyncio.Event:
    """An event that is set when a call, such as `watch pipelineruns`, reaches the API server."""
    event = asyncio.Event()
    client.before = lambda made: event.set() if made == call else None
    return event
