"""The client of the operator, whose connections end soon where nobody answers."""

from __future__ import annotations

import socket
from typing import Any, cast

import aiohttp
from kubernetes.aio import client
from kubernetes.aio.client import rest
from typing_extensions import override

UNACKNOWLEDGED_SECONDS = 4.0
"""How long what was sent may wait for the API server's kernel to acknowledge it.

Linux would go on sending it for a quarter of an hour, also after the request was given up, so that a write could reach the
API server when another operator acts. It has to be shorter than the part of a Lease that `core.lease` leaves for it.
"""


class BriefConnections(rest.RESTClientObject):
    """What makes requests, over connections that the kernel ends when nobody acknowledges what they carry."""

    @override
    def _create_connector(self) -> aiohttp.TCPConnector:
        # Any: the client's module carries no types.
        mine = cast(Any, self)
        return aiohttp.TCPConnector(limit=mine.maxsize, ssl=mine.ssl_context, socket_factory=brief_socket)


def brief_socket(address: tuple[Any, ...]) -> socket.socket:
    """A socket for the address (family, type, protocol, ...) with the limit on it, where the system has such a limit."""
    made = socket.socket(*address[:3])
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(UNACKNOWLEDGED_SECONDS * 1000))
    return made


def operator_client(configuration: client.Configuration) -> client.ApiClient:
    """The client, to be closed by whoever asked for it."""
    api = client.ApiClient(configuration)
    cast(Any, api).rest_client = BriefConnections(configuration)
    return api
