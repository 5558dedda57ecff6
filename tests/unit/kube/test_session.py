from __future__ import annotations

import socket

import pytest

from runwright.kube.login import Login
from runwright.kube.session import CONNECTIONS, UNACKNOWLEDGED_SECONDS, brief_socket, open_session


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux's option")
def test_unacknowledged_bytes_end_a_connection_soon() -> None:
    with brief_socket((socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", 1))) as made:
        milliseconds = made.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert milliseconds == UNACKNOWLEDGED_SECONDS * 1000


async def test_a_session_is_bounded_in_connections_and_names_itself() -> None:
    async with open_session(Login("http://127.0.0.1:1"), "tests/1") as session:
        assert session.connector is not None and session.connector.limit == CONNECTIONS
        assert session.headers["User-Agent"] == "tests/1"
