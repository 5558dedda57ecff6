"""Bodies of replies are read up to their bound, and no further."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given
from hypothesis import strategies as st

from runwright.kube.errors import ApiError
from runwright.kube.reading import bounded_lines, read_bounded, read_start


@given(st.lists(st.binary(max_size=40)), st.lists(st.integers(1, 50), min_size=1), st.integers(0, 30))
def test_lines_are_those_of_the_stream_up_to_the_limit(lines: list[bytes], sizes: list[int], limit: int) -> None:
    lines = [line.replace(b"\n", b"") for line in lines]
    whole = b"".join(line + b"\n" for line in lines) + b"unfinished"

    class Content:
        async def iter_any(self) -> AsyncIterator[bytes]:
            at = 0
            for size in itertools.cycle(sizes):
                if at >= len(whole):
                    return
                yield whole[at : at + size]
                at += size

    async def read() -> list[bytes | None]:
        return [line async for line in bounded_lines(cast(Any, Content()), limit)]

    assert asyncio.run(read()) == [line if len(line) <= limit else None for line in lines if line]


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_is_read_up_to_its_bound(chunked: bool) -> None:
    async def handle(_: web.Request) -> web.Response:
        response = web.Response(body=b"x" * 100)
        if chunked:
            response.enable_chunked_encoding()
        return response

    app = web.Application()
    app.router.add_get("/", handle)
    async with TestClient(TestServer(app)) as client:
        async with client.get("/") as response:
            assert await read_bounded(response, 100) == b"x" * 100
        async with client.get("/") as response:
            with pytest.raises(ApiError) as caught:
                await read_bounded(response, 99)
            assert caught.value.reason == "TooLarge"
        async with client.get("/") as response:
            assert await read_start(response, 7) == b"x" * 7


async def test_a_compressed_body_is_bounded_by_what_it_unpacks_to() -> None:
    async def handle(_: web.Request) -> web.Response:
        response = web.Response(body=b"x" * 1_000_000)
        response.enable_compression(web.ContentCoding.gzip)
        return response

    app = web.Application()
    app.router.add_get("/", handle)
    async with TestClient(TestServer(app)) as client, client.get("/", headers={"Accept-Encoding": "gzip"}) as response:
        assert int(response.headers["Content-Length"]) < 10_000
        with pytest.raises(ApiError) as caught:
            await read_bounded(response, 10_000)
    assert caught.value.reason == "TooLarge"
