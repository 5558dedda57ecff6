"""How a request is made through `kubernetes.aio`, and what its reply comes to: an object, None, or ApiError."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import aiohttp
from kubernetes.aio.client.exceptions import ApiException

from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, as_mapping, as_text, metadata_of

REQUEST_TIMEOUT = 20.0
"""Seconds that one request may take: retries belong to the queue, not to a hanging call."""

PAGE = 500
"""Objects in one page of a list (client-go's default)."""

METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

Method = Callable[..., Awaitable[Any]]
"""A method of the client: it makes one request."""


async def call(method: Method, *arguments: object, **options: object) -> Json:
    """Make the request; its reply, as it was sent. Raises ApiError for every reply that is not a success."""
    try:
        return as_mapping(await method(*arguments, **options, _request_timeout=REQUEST_TIMEOUT))
    except ApiException as error:
        reply = cast(Any, error)
        raise api_error(int(reply.status or 0), str(reply.body or reply.reason)) from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise unreachable(error) from error


async def found(method: Method, *arguments: object, **options: object) -> Json | None:
    """As `call`; None where the API server says 404."""
    try:
        return await call(method, *arguments, **options)
    except ApiError as error:
        if error.code == 404:
            return None
        raise


async def read(method: Method, *arguments: object, **options: object) -> Json | None:
    """As `found`, by a `…_without_preload_content`: the client would make a typed model, which costs more than is read."""
    try:
        response = await method(*arguments, **options, _request_timeout=REQUEST_TIMEOUT)
        body = await response.read()
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise unreachable(error) from error
    if response.status == 404:
        return None
    if response.status >= 300:
        raise api_error(response.status, body.decode(errors="replace"))
    return as_mapping(json.loads(body))


async def list_metadata(method: Method, *arguments: object, **selectors: str) -> AsyncIterator[Json]:
    """The metadata of all objects that a list names, a page at a time; none where their kind is not served.

    `method` is a `list_…_without_preload_content`. An object is of the shape {"metadata": …}.
    """
    token = ""
    while True:
        more = {**selectors, "_continue": token} if token else selectors
        page = await read(method, *arguments, **more, limit=PAGE, _headers={"Accept": METADATA_ONLY})
        for item in cast(list[Json], (page or {}).get("items") or []):
            yield item
        token = as_text(metadata_of(page or {}).get("continue"))
        if not token:
            return


def api_error(code: int, body: str) -> ApiError:
    """The error for a reply that is not a success; its body is a Kubernetes Status where the API server wrote it."""
    status: Json = {}
    with contextlib.suppress(ValueError):
        status = as_mapping(json.loads(body))
    causes = cast(list[object], as_mapping(status.get("details")).get("causes") or [])
    return ApiError(
        code,
        as_text(status.get("reason")) or "Unknown",
        as_text(status.get("message")) or body[:500],
        tuple(as_text(as_mapping(cause).get("reason")) for cause in causes),
    )


def unreachable(error: Exception) -> ApiError:
    """The error for a request that got no reply."""
    return ApiError(0, "Unreachable", f"no reply from the API server: {type(error).__name__}: {error}")
