"""The key of page tokens, shared through a Secret."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import pytest

from runwright.kube.errors import ApiError
from runwright.service.page_key import KEY_BYTES, load_page_key
from tests.unit.fake.apiserver import ApiServer
from tests.unit.fake.client import FakeClient

SECRET = "system/serve"
THEIRS = b"t" * KEY_BYTES


@pytest.fixture
def client() -> FakeClient:
    return FakeClient(ApiServer(lambda: datetime(2026, 11, 24, 12, tzinfo=UTC)))


def secret(data: dict[str, str] | None) -> dict[str, Any]:
    return {"metadata": {"namespace": "system", "name": "serve"}} | ({} if data is None else {"data": data})


def encoded(key: bytes) -> dict[str, str]:
    return {"key": base64.b64encode(key).decode()}


async def test_without_a_secret_each_process_has_a_random_key(client: FakeClient):
    assert await load_page_key(client, "") != await load_page_key(client, "")
    assert client.calls == []


@pytest.mark.parametrize("data", [None, {}, {"key": ""}, {"other": "x"}])
async def test_the_first_replica_writes_the_key_and_the_others_read_it(client: FakeClient, data: dict[str, str] | None):
    client.server.create("Secret", secret(data))
    keys = [await load_page_key(client, SECRET) for _ in range(3)]
    assert len(set(keys)) == 1 and len(keys[0]) == KEY_BYTES
    stored = client.server.get("Secret", "system", "serve")
    assert stored is not None and stored["data"] == {**(data or {}), **encoded(keys[0])}
    assert [call for call in client.calls if not call.startswith("get ")] == ["patch secrets"]


async def test_the_key_of_a_faster_replica_is_taken(client: FakeClient):
    client.server.create("Secret", secret({}))

    def write(call: str) -> None:
        if call == "patch secrets":
            client.before = lambda call: None
            client.server.patch("Secret", "system", "serve", {"data": encoded(THEIRS)})

    client.before = write
    assert await load_page_key(client, SECRET) == THEIRS


async def test_a_secret_that_does_not_exist_is_an_error_that_says_to_create_it(client: FakeClient):
    with pytest.raises(ApiError, match=r"there is no Secret system/serve .* create it, without data"):
        await load_page_key(client, SECRET)


@pytest.mark.parametrize("data", [encoded(b"short"), {"key": "no base64"}])
async def test_a_secret_without_a_whole_key_is_an_error(client: FakeClient, data: dict[str, str]):
    client.server.create("Secret", secret(data))
    with pytest.raises(ApiError, match="Secret system/serve: expected 32 random bytes under `key`"):
        await load_page_key(client, SECRET)


@pytest.mark.parametrize("call", ["get secrets", "patch secrets"])
async def test_a_refused_request_is_an_error(client: FakeClient, call: str):
    client.server.create("Secret", secret({}))
    client.fail(call, ApiError(403, "Forbidden", "no"))
    with pytest.raises(ApiError, match="Forbidden"):
        await load_page_key(client, SECRET)


@pytest.mark.parametrize("name", ["serve", "/serve", "system/", "system/a/b", "..", "system/.."])
async def test_a_name_without_namespace_or_name_is_an_error(client: FakeClient, name: str):
    with pytest.raises(ValueError, match="expected NAMESPACE/NAME"):
        await load_page_key(client, name)
