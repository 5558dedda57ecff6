"""Liveness and readiness probes, and metrics, over HTTP.

Answered from the event loop that does the work, so an answer means that the loop turns. A backlog, or an API server that
is away, does not fail liveness: a restart would only add to the load. A loop that is down fails readiness, unless it only tidies up.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.aiohttp import make_aiohttp_handler

from runwright.kube.supervise import Supervisor

REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20)
"""Seconds: from a request on the same machine to one that ran into its time limit."""


def refused_counter(registry: CollectorRegistry) -> Counter:
    """Make the counter of objects beyond a bound, which both processes export."""
    return Counter(
        "runwright_objects_refused",
        "Objects and requests of tenants that are invalid or beyond a bound.",
        ("reason",),
        registry=registry,
    )


@asynccontextmanager
async def health_endpoint(
    address: str,
    supervisor: Supervisor,
    ready: Callable[[], bool],
    report: Callable[[], Mapping[str, object]],
    registry: CollectorRegistry,
) -> AsyncGenerator[None]:
    """Serve `http://ADDRESS/healthz`, `/readyz` and `/metrics`; nothing for an empty address.

    `/healthz` is 200, and 500 if only a restart helps. `/readyz` is 200 if the process is ready and its essential loops work, else 503.
    Both answer with the report and the loops that are down as JSON, `/metrics` with the registry in the Prometheus format
    that the client asks for. Raises ValueError for an address that is not HOST:PORT, and OSError where it cannot be bound.
    """
    if not address:
        yield
        return
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal():
        raise ValueError(f"probe address {address!r}: expected HOST:PORT")

    def reply(status: int) -> web.Response:
        return web.json_response({**report(), "down": supervisor.down}, status=status)

    async def healthz(_: web.Request) -> web.Response:
        return reply(200 if supervisor.alive else 500)

    async def readyz(_: web.Request) -> web.Response:
        return reply(200 if ready() and supervisor.ready else 503)

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", make_aiohttp_handler(registry))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host or None, int(port)).start()
        yield
    finally:
        await runner.cleanup()
