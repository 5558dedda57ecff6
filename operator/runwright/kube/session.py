"""The HTTP session: connections that end soon where nobody answers, and a fence that is asked as a write is sent."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from runwright.kube.fence import Fence
from runwright.kube.login import Login

CONNECTIONS = 64
"""Connections that a process may hold at once: more would only queue at the API server."""

LINE_BYTES = 2**21
"""Bytes that are read ahead of a stream: more than an object in etcd has."""

UNACKNOWLEDGED_SECONDS = 4.0
"""How long sent bytes may wait for the API server's kernel to acknowledge them.

Linux would send them again for a quarter of an hour, also after the request was given up: a write could reach the API server
while another operator acts. Must be shorter than the part of a Lease that `kube.lease` leaves for it.
"""


def open_session(
    login: Login,
    user_agent: str,
    fence: Fence | None = None,
    *,
    connections: int = CONNECTIONS,
    response_class: type[aiohttp.ClientResponse] = aiohttp.ClientResponse,
    middlewares: Sequence[aiohttp.ClientMiddlewareType] = (),
) -> aiohttp.ClientSession:
    """Open a session for one API server; the caller closes it. Each request gets the login's token, server name and proxy.

    `connections` is the most that it holds at once, 0 for no limit; `middlewares` come before the one of the login.
    """
    connector = aiohttp.TCPConnector(
        limit=connections,
        ssl=login.ssl_context() if login.server.startswith("https") else False,
        socket_factory=brief_socket,
    )
    return aiohttp.ClientSession(
        connector=connector,
        headers={"User-Agent": user_agent},
        read_bufsize=LINE_BYTES,
        trace_configs=[fencing(fence)] if fence is not None else None,
        response_class=response_class,
        middlewares=[*middlewares, authorizing(login)],
        proxy=proxy_of(login) or None,
    )


def authorizing(login: Login) -> aiohttp.ClientMiddlewareType:
    """Make the middleware that puts the login's token and server name on each request."""

    async def authorized(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        if token := await login.token():
            request.headers["Authorization"] = f"Bearer {token}"
        request.server_hostname = login.server_name or None
        return await send(request)

    return authorized


def proxy_of(login: Login) -> str:
    """The proxy to the API server: the kubeconfig's, else that of HTTPS_PROXY, HTTP_PROXY and NO_PROXY; empty for none.

    Found once: aiohttp's `trust_env` asks the environment, and ~/.netrc, in two threads for each request.
    """
    if login.proxy:
        return login.proxy
    server = URL(login.server)
    proxy = getproxies().get(server.scheme, "")
    return "" if proxy and proxy_bypass(f"{server.host}:{server.port}") else proxy


def brief_socket(address: tuple[Any, ...]) -> socket.socket:
    """Make a socket for the address (family, type, protocol, ...) with the limit on it, where the system has such a limit."""
    made = socket.socket(*address[:3])
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(UNACKNOWLEDGED_SECONDS * 1000))
    return made


def fencing(fence: Fence) -> aiohttp.TraceConfig:
    """Ask the fence for each request whose `trace_request_ctx` is true; its error ends the request unsent.

    It is asked once there is a connection: aiohttp (3.14) hands the request to the kernel next, without waiting in between.
    """
    trace = aiohttp.TraceConfig()

    async def connected(_: object, context: SimpleNamespace, __: object) -> None:
        if context.trace_request_ctx:
            fence.check()

    trace.on_connection_create_end.append(connected)
    trace.on_connection_reuseconn.append(connected)
    return trace
