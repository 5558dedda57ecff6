from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from runwright.kube import edit
from runwright.kube.edit import edit_until_accepted, get_or_create
from runwright.kube.errors import ApiError
from runwright.kube.resource import CONFIG_MAPS
from tests.unit.fake.apiserver import ApiServer
from tests.unit.fake.client import FakeClient

CONFLICT = ApiError(409, "Conflict", "the object has been modified")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edit, "PAUSE_SECONDS", 0.0)


class Edited:
    """An object that others write `conflicts` times between our read and our write."""

    def __init__(self, conflicts: int, error: ApiError = CONFLICT) -> None:
        self.version, self.conflicts, self.error = 0, conflicts, error

    async def read(self) -> int:
        self.version += 1
        return self.version

    async def write(self, version: int) -> str:
        assert version == self.version
        if version <= self.conflicts:
            raise self.error
        return f"written at {version}"


async def test_an_edit_is_decided_again_from_what_others_wrote() -> None:
    edited = Edited(3)
    assert await edit_until_accepted(edited.read, edited.write) == "written at 4"


async def test_an_edit_gives_up_after_its_attempts() -> None:
    edited = Edited(100)
    with pytest.raises(ApiError, match="Conflict"):
        await edit_until_accepted(edited.read, edited.write, attempts=5)
    assert edited.version == 5


@pytest.mark.parametrize(
    "error", [ApiError(409, "AlreadyExists", ""), ApiError(422, "Invalid", ""), ApiError(0, "", "")]
)
async def test_any_other_error_is_raised_at_once(error: ApiError) -> None:
    edited = Edited(1, error)
    with pytest.raises(ApiError) as caught:
        await edit_until_accepted(edited.read, edited.write)
    assert caught.value is error and edited.version == 1


async def test_no_attempts_at_all_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        await edit_until_accepted(Edited(0).read, Edited(0).write, attempts=0)


# ----------------------------------------------------------------------------------------------------------- get or create
def config_map(text: str) -> dict[str, Any]:
    return {"metadata": {"namespace": "team", "name": "shared"}, "data": {"text": text}}


@pytest.fixture
def client() -> FakeClient:
    return FakeClient(ApiServer(lambda: datetime(2026, 11, 24, 12, tzinfo=UTC)))


async def test_get_or_create_creates_an_object_once(client: FakeClient) -> None:
    for text in ("first", "second"):
        found = await get_or_create(client, CONFIG_MAPS, config_map(text))
        assert found["data"] == {"text": "first"}
    assert client.calls == ["get configmaps", "create configmaps", "get configmaps"]


async def test_get_or_create_takes_the_object_of_a_faster_process(client: FakeClient) -> None:
    def create(call: str) -> None:
        if call == "create configmaps":
            client.server.create("ConfigMap", config_map("theirs"))

    client.before = create
    assert (await get_or_create(client, CONFIG_MAPS, config_map("ours")))["data"] == {"text": "theirs"}


async def test_get_or_create_is_a_conflict_where_the_object_of_a_faster_process_is_gone(client: FakeClient) -> None:
    client.fail("create configmaps", ApiError(409, "AlreadyExists", ""))
    with pytest.raises(ApiError, match="Conflict"):
        await get_or_create(client, CONFIG_MAPS, config_map("ours"))


async def test_get_or_create_raises_a_refusal(client: FakeClient) -> None:
    client.fail("create configmaps", ApiError(403, "Forbidden", "quota"))
    with pytest.raises(ApiError, match="quota"):
        await get_or_create(client, CONFIG_MAPS, config_map("ours"))
