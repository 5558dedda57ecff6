"""Probes and metrics are answered from the event loop, and it is said clearly when their address cannot be used."""

from __future__ import annotations

import socket

import aiohttp
import pytest

from runwright.kube.probes import health_endpoint


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def test_healthz_tells_the_report() -> None:
    port = free_port()
    async with (
        health_endpoint(f"127.0.0.1:{port}", lambda: False, lambda: {"waiting": 3}, bytes),
        aiohttp.ClientSession() as session,
    ):
        async with session.get(f"http://127.0.0.1:{port}/healthz") as reply:
            assert reply.status == 200
            assert await reply.json() == {"waiting": 3}
        async with session.get(f"http://127.0.0.1:{port}/readyz") as reply:
            assert reply.status == 503
            assert await reply.json() == {"waiting": 3}
        async with session.get(f"http://127.0.0.1:{port}/other") as reply:
            assert reply.status == 404


async def test_readyz_is_fine_when_ready() -> None:
    port = free_port()
    async with (
        health_endpoint(f"127.0.0.1:{port}", lambda: True, dict, bytes),
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/readyz") as reply,
    ):
        assert reply.status == 200


async def test_metrics_are_those_of_the_moment() -> None:
    port, pages = free_port(), [b"runwright_runs 1\n", b"runwright_runs 2\n"]
    async with (
        health_endpoint(f"127.0.0.1:{port}", bool, dict, lambda: pages.pop(0)),
        aiohttp.ClientSession() as session,
    ):
        for expected in ("runwright_runs 1\n", "runwright_runs 2\n"):
            async with session.get(f"http://127.0.0.1:{port}/metrics") as reply:
                assert reply.status == 200
                assert reply.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
                assert await reply.text() == expected


async def test_it_is_gone_afterwards() -> None:
    port = free_port()
    async with health_endpoint(f"127.0.0.1:{port}", bool, dict, bytes):
        pass
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get(f"http://127.0.0.1:{port}/healthz")


async def test_no_address_is_no_endpoint() -> None:
    async with health_endpoint("", bool, dict, bytes):
        pass


@pytest.mark.parametrize("address", ["8080", "localhost:", "localhost:http"])
async def test_an_address_without_host_or_port_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="expected HOST:PORT"):
        async with health_endpoint(address, bool, dict, bytes):
            pass


async def test_a_taken_port_is_an_error() -> None:
    port = free_port()
    async with health_endpoint(f"127.0.0.1:{port}", bool, dict, bytes):
        with pytest.raises(OSError, match=str(port)):
            async with health_endpoint(f"127.0.0.1:{port}", bool, dict, bytes):
                pass
