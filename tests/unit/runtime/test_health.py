"""The liveness probe answers from the event loop, and says clearly when its address cannot be used."""

from __future__ import annotations

import socket

import aiohttp
import pytest

from runwright.runtime.health import health_endpoint


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def test_healthz_tells_the_report() -> None:
    port = free_port()
    async with (
        health_endpoint(f"127.0.0.1:{port}", lambda: False, lambda: {"waiting": 3}),
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
        health_endpoint(f"127.0.0.1:{port}", lambda: True, dict),
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/readyz") as reply,
    ):
        assert reply.status == 200


async def test_it_is_gone_afterwards() -> None:
    port = free_port()
    async with health_endpoint(f"127.0.0.1:{port}", bool, dict):
        pass
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get(f"http://127.0.0.1:{port}/healthz")


async def test_no_address_is_no_endpoint() -> None:
    async with health_endpoint("", bool, dict):
        pass


@pytest.mark.parametrize("address", ["8080", "localhost:", "localhost:http"])
async def test_an_address_without_host_or_port_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="expected HOST:PORT"):
        async with health_endpoint(address, bool, dict):
            pass


async def test_a_taken_port_is_an_error() -> None:
    port = free_port()
    async with health_endpoint(f"127.0.0.1:{port}", bool, dict):
        with pytest.raises(OSError, match=str(port)):
            async with health_endpoint(f"127.0.0.1:{port}", bool, dict):
                pass
