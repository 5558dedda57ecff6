"""Decode what the API server sends, within bounds: the one place where its bytes become objects."""

from __future__ import annotations

import json

import aiohttp

from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, as_mapping

MAX_OBJECT_BYTES = 32 * 1024 * 1024
"""Longest reply to a request about one object, and longest line of a watch: etcd holds 1.5 MB of an object."""

MAX_PAGE_BYTES = 512 * 1024 * 1024
"""Longest page of a list."""

MAX_ERROR_BYTES = 64 * 1024
"""Longest part of a refusal that is read."""


def decode(data: bytes) -> Json:
    """Decode a JSON object. Raises ApiError (code 0, Undecodable) for anything else, and for what is nested too deeply."""
    try:
        return as_mapping(json.loads(data))
    except RecursionError:
        raise ApiError(0, "Undecodable", "an object is nested too deeply to be read") from None
    except ValueError as error:
        raise ApiError(0, "Undecodable", f"the API server sent no JSON: {error}") from error


async def read_bounded(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Read a body. Raises ApiError (code 0, TooLarge) for one of more than `limit` bytes, without reading on."""
    length = response.content_length
    if length is not None and length <= limit and "Content-Encoding" not in response.headers:
        return await response.read()
    whole = bytearray()
    async for piece in response.content.iter_any():
        whole += piece
        if len(whole) > limit:
            raise ApiError(0, "TooLarge", f"a reply of the API server has more than {limit} bytes")
    return bytes(whole)


async def read_start(response: aiohttp.ClientResponse, limit: int = MAX_ERROR_BYTES) -> bytes:
    """Read at most the first `limit` bytes of a body, for an error message."""
    whole = bytearray()
    async for piece in response.content.iter_any():
        whole += piece
        if len(whole) >= limit:
            break
    return bytes(whole[:limit])
