"""Reads the bodies of HTTP replies of the API server within bounds of bytes."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import aiohttp

from runwright.kube.decoding import TOO_LARGE
from runwright.kube.errors import ApiError

MAX_ERROR_BYTES = 64 * 1024
"""Longest part of a refusal that is read."""


async def read_bounded(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Read a body. Raises ApiError (code 0, TooLarge) for one of more than `limit` bytes, without reading on."""
    length = response.content_length
    if length is not None and length <= limit and "Content-Encoding" not in response.headers:
        return await response.read()
    whole = bytearray()
    async for piece in response.content.iter_any():
        whole += piece
        if len(whole) > limit:
            raise ApiError(0, TOO_LARGE, f"a reply of the API server has more than {limit} bytes")
    return bytes(whole)


async def bounded_lines(content: aiohttp.StreamReader, limit: int) -> AsyncGenerator[bytes | None]:
    """Read lines of a stream without their ends; None for one of more than `limit` bytes. Drops an unfinished last line."""
    held, searched, overlong = bytearray(), 0, False
    async for piece in content.iter_any():
        held += piece
        while (end := held.find(b"\n", searched)) >= 0:
            line = None if overlong or end > limit else bytes(held[:end])
            del held[: end + 1]
            searched, overlong = 0, False
            if line != b"":
                yield line
        searched = len(held)
        if searched > limit:
            held.clear()
            searched, overlong = 0, True


async def read_start(response: aiohttp.ClientResponse, limit: int = MAX_ERROR_BYTES) -> bytes:
    """Read at most the first `limit` bytes of a body, for an error message."""
    whole = bytearray()
    async for piece in response.content.iter_any():
        whole += piece
        if len(whole) >= limit:
            break
    return bytes(whole[:limit])
