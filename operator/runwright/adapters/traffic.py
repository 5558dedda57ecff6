"""Tells of every request to the API server: what was asked of which kind, how it ended, and how long it took.

And holds writes back at the last moment before they are sent, where somebody else may be writing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import aiohttp

Observer = Callable[[str, str, int, float], None]
"""Verb, resource, HTTP status (0 where there was no reply) and seconds."""

VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def observe_requests(configuration: Any, observer: Observer) -> None:
    """Let the observer know, once, of each request of the clients that are made with this configuration from now on.

    The time is that until the reply begins. A request that was cut off, or ran into its time limit, had no reply.
    """
    trace = aiohttp.TraceConfig()

    async def started(_: object, context: SimpleNamespace, __: object) -> None:
        context.began = time.perf_counter()

    async def ended(_: object, context: SimpleNamespace, told: aiohttp.TraceRequestEndParams) -> None:
        tell(context, told.method, told.url.raw_path, told.response.status)

    async def failed(_: object, context: SimpleNamespace, told: aiohttp.TraceRequestExceptionParams) -> None:
        tell(context, told.method, told.url.raw_path, 0)

    def tell(context: SimpleNamespace, method: str, path: str, code: int) -> None:
        observer(*request_of(method, path), code, time.perf_counter() - context.began)

    trace.on_request_start.append(started)
    trace.on_request_end.append(ended)
    trace.on_request_exception.append(failed)
    configuration.trace_configs = [*(configuration.trace_configs or ()), trace]


def fence_writes(configuration: Any, check: Callable[[], None]) -> None:
    """Have `check` called before each write is sent, of the clients that are made with this configuration from now on.

    What it raises ends the request unsent. It is called once there is a connection: aiohttp (3.14) hands the request to the
    kernel next, with nothing that could wait in between. Leases are left out: they are what the check goes by.
    """
    trace = aiohttp.TraceConfig()

    async def started(_: object, context: SimpleNamespace, told: aiohttp.TraceRequestStartParams) -> None:
        context.fenced = told.method != "GET" and request_of(told.method, told.url.raw_path)[1] != "leases"

    async def connected(_: object, context: SimpleNamespace, __: object) -> None:
        if context.fenced:
            check()

    trace.on_request_start.append(started)
    trace.on_connection_create_end.append(connected)
    trace.on_connection_reuseconn.append(connected)
    configuration.trace_configs = [*(configuration.trace_configs or ()), trace]


def request_of(method: str, path: str) -> tuple[str, str]:
    """Verb and resource of a request, in the words of Kubernetes' RBAC, such as `patch` and `pipelineruns/status`.

    `path` is as it is sent: a slash in a name, which a user may have written, is still `%2F` and no part of its own.
    """
    parts = [part for part in path.split("/") if part]
    rest = parts[2:] if parts[:1] == ["api"] else parts[3:]
    if len(rest) > 2 and rest[0] == "namespaces":
        rest = rest[2:]
    if not rest:
        return "get", "discovery"
    resource = "/".join([rest[0], *rest[2:3]])
    verb = VERBS.get(method) or ("get" if len(rest) > 1 else "list")
    return verb, resource
