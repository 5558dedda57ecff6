from __future__ import annotations

import socket

import pytest

from runwright.kube.login import Login
from runwright.kube.session import CONNECTIONS, UNACKNOWLEDGED_SECONDS, brief_socket, open_session, proxy_of


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux's option")
def test_unacknowledged_bytes_end_a_connection_soon() -> None:
    with brief_socket((socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", 1))) as made:
        milliseconds = made.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert milliseconds == UNACKNOWLEDGED_SECONDS * 1000


async def test_a_session_is_bounded_in_connections_and_names_itself() -> None:
    async with open_session(Login("http://127.0.0.1:1"), "tests/1") as session:
        assert session.connector is not None and session.connector.limit == CONNECTIONS
        assert session.headers["User-Agent"] == "tests/1"


@pytest.mark.parametrize(
    ("proxy_url", "environment", "expected"),
    [
        ("", {}, ""),
        ("", {"HTTPS_PROXY": "http://env:3128"}, "http://env:3128"),
        ("http://mine:3128", {"HTTPS_PROXY": "http://env:3128"}, "http://mine:3128"),
        ("", {"HTTPS_PROXY": "http://env:3128", "NO_PROXY": "example.org,10.0.0.1"}, ""),
        ("", {"HTTPS_PROXY": "http://env:3128", "NO_PROXY": "10.0.0.2"}, "http://env:3128"),
        ("", {"HTTP_PROXY": "http://env:3128"}, ""),
    ],
)
def test_the_proxy_is_the_kubeconfigs_or_the_environments(
    monkeypatch: pytest.MonkeyPatch, proxy_url: str, environment: dict[str, str], expected: str
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_of(Login("https://10.0.0.1:6443", proxy=proxy_url)) == expected
