from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from runwright.kube.decoding import decode, read_bounded, read_start
from runwright.kube.errors import ApiError


def test_an_object_is_decoded_and_anything_else_is_empty() -> None:
    assert decode(b'{"a": 1}') == {"a": 1}
    assert decode(b"[1]") == {}


@pytest.mark.parametrize(
    "data", [b"", b"{", b"\xff", b"{" + b'"a":{' * 3000], ids=["empty", "cut", "bytes", "deep, cut"]
)
def test_what_is_no_json_is_an_error(data: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        decode(data)
    assert (caught.value.code, caught.value.reason) == (0, "Undecodable")


def test_deep_nesting_is_an_error_that_names_it() -> None:
    with pytest.raises(ApiError, match="nested too deeply"):
        decode(b'{"a":' * 10_000 + b"1" + b"}" * 10_000)


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
