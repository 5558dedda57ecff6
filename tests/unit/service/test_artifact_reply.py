"""Replies of ReadArtifact: their turns, and what they charge."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.service import artifact_reply
from runwright.service.artifact_reply import ArtifactReplies
from runwright.service.budget import Quota
from runwright.service.calls import Call, Caller
from runwright.service.errors import Code, ServiceError

METHOD = "RunService/ReadArtifact"


async def stream(pieces: list[bytes], opened: asyncio.Event | None = None) -> AsyncGenerator[bytes]:
    for piece in pieces:
        yield piece
    if opened is not None:
        await opened.wait()


@given(st.lists(st.binary(max_size=50), max_size=10))
def test_a_reply_has_all_pieces_and_is_charged_twice(pieces: list[bytes]):
    quota = Quota("bytes of replies", 10_000, 5_000)

    async def play() -> None:
        with quota.hold("ann") as held:
            reply = await ArtifactReplies().read(stream(pieces), Call(Caller("ann"), METHOD, reply=held))
            assert reply.data == b"".join(pieces) and quota.used == 2 * len(reply.data)

    asyncio.run(play())
    assert quota.used == 0


async def test_an_artifact_beyond_the_budget_is_refused_and_its_stream_closed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(artifact_reply, "WAIT_SECONDS", 0.01)
    quota, pieces = Quota("bytes of replies", 1000, 1000), stream([b"x" * 200] * 9)
    with quota.hold("ann") as held, pytest.raises(ServiceError) as caught:
        await ArtifactReplies().read(pieces, Call(Caller("ann"), METHOD, reply=held))
    assert caught.value.code == Code.RESOURCE_EXHAUSTED and quota.used == 0
    assert [piece async for piece in pieces] == []


async def test_a_caller_reads_one_artifact_at_a_time_and_a_slow_store_holds_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(artifact_reply, "WAIT_SECONDS", 0.05)
    replies, opened = ArtifactReplies(), asyncio.Event()
    slow = asyncio.create_task(replies.read(stream([b"a"], opened), Call(Caller("ann"), METHOD)))
    await asyncio.sleep(0)
    with pytest.raises(ServiceError, match="artifacts that are read") as caught:
        await replies.read(stream([b"b"]), Call(Caller("ann"), METHOD))
    assert caught.value.code == Code.RESOURCE_EXHAUSTED
    assert (await replies.read(stream([b"c"]), Call(Caller("bob"), METHOD))).data == b"c"
    opened.set()
    assert (await slow).data == b"a"
    assert (await replies.read(stream([b"d"]), Call(Caller("ann"), METHOD))).data == b"d"
