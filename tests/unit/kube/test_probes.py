"""Probes and metrics over HTTP, and the errors of an address that cannot be used."""

from __future__ import annotations

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from runwright.kube.probes import health_endpoint
from runwright.kube.supervise import DOWN_AFTER, Backoff, Loop, Supervisor
from tests.ports import free_port

EMPTY = CollectorRegistry()


async def test_healthz_and_readyz_while_not_ready_answer_with_the_report() -> None:
    port = free_port()
    async with (
        health_endpoint(f"127.0.0.1:{port}", Supervisor(), lambda: False, lambda: {"waiting": 3}, EMPTY),
        aiohttp.ClientSession() as session,
    ):
        async with session.get(f"http://127.0.0.1:{port}/healthz") as reply:
            assert reply.status == 200
            assert await reply.json() == {"waiting": 3, "down": {}}
        async with session.get(f"http://127.0.0.1:{port}/readyz") as reply:
            assert reply.status == 503
            assert await reply.json() == {"waiting": 3, "down": {}}
        async with session.get(f"http://127.0.0.1:{port}/other") as reply:
            assert reply.status == 404


async def test_readyz_while_ready_answers_200() -> None:
    port = free_port()
    async with (
        health_endpoint(f"127.0.0.1:{port}", Supervisor(), lambda: True, dict, EMPTY),
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/readyz") as reply,
    ):
        assert reply.status == 200


async def test_metrics_of_the_registry_are_read_at_each_request() -> None:
    port, registry = free_port(), CollectorRegistry()
    runs = Gauge("runwright_runs", "Runs.", registry=registry)
    async with (
        health_endpoint(f"127.0.0.1:{port}", Supervisor(), bool, dict, registry),
        aiohttp.ClientSession() as session,
    ):
        for number in (1, 2):
            runs.set(number)
            async with session.get(f"http://127.0.0.1:{port}/metrics") as reply:
                assert reply.status == 200
                assert reply.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
                assert f"runwright_runs {number}.0\n" in await reply.text()


async def test_metrics_in_openmetrics_form_where_the_client_asks_for_it() -> None:
    port, registry = free_port(), CollectorRegistry()
    Gauge("runwright_runs", "Runs.", registry=registry).set(4)
    accept = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"}
    async with (
        health_endpoint(f"127.0.0.1:{port}", Supervisor(), bool, dict, registry),
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/metrics", headers=accept) as reply,
    ):
        assert reply.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
        (family,) = text_string_to_metric_families(await reply.text())
        assert (family.name, family.samples[0].value) == ("runwright_runs", 4)


async def test_the_port_is_closed_after_the_context() -> None:
    port = free_port()
    async with health_endpoint(f"127.0.0.1:{port}", Supervisor(), bool, dict, EMPTY):
        pass
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get(f"http://127.0.0.1:{port}/healthz")


async def test_an_empty_address_serves_nothing() -> None:
    async with health_endpoint("", Supervisor(), bool, dict, EMPTY):
        pass


@pytest.mark.parametrize("address", ["8080", "localhost:", "localhost:http"])
async def test_an_address_without_host_or_port_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="expected HOST:PORT"):
        async with health_endpoint(address, Supervisor(), bool, dict, EMPTY):
            pass


async def test_a_port_that_is_taken_raises_os_error() -> None:
    port = free_port()
    async with health_endpoint(f"127.0.0.1:{port}", Supervisor(), bool, dict, EMPTY):
        with pytest.raises(OSError, match=str(port)):
            async with health_endpoint(f"127.0.0.1:{port}", Supervisor(), bool, dict, EMPTY):
                pass


async def status_of(port: int, path: str) -> tuple[int, dict[str, dict[str, str]]]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/{path}") as reply:
        return reply.status, await reply.json()


@pytest.mark.parametrize(("essential", "status"), [(True, 503), (False, 200)])
async def test_a_loop_that_is_down_is_named_and_fails_readiness_if_it_is_essential(
    essential: bool, status: int
) -> None:
    port, supervisor = free_port(), Supervisor()
    loop = Loop("resync", Backoff(), essential=essential)
    async with health_endpoint(f"127.0.0.1:{port}", supervisor, lambda: True, dict, EMPTY):
        with supervisor.shown(loop):
            for _ in range(DOWN_AFTER):
                supervisor.failed(loop, KeyError("items"))
            down = {"down": {"resync": "KeyError: 'items'"}}
            assert await status_of(port, "readyz") == (status, down)
            assert await status_of(port, "healthz") == (200, down)
        assert await status_of(port, "readyz") == (200, {"down": {}})


async def test_a_loop_that_failed_for_good_fails_liveness() -> None:
    port, supervisor = free_port(), Supervisor()
    loop = Loop("workers", Backoff(), ends_after=2)
    async with health_endpoint(f"127.0.0.1:{port}", supervisor, lambda: True, dict, EMPTY):
        for status in (200, 500):
            supervisor.failed(loop, KeyError("key"))
            assert (await status_of(port, "healthz"))[0] == status
