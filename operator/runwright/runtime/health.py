"""The liveness probe: answered from the event loop that does the work, so an answer means that it turns.

A backlog, or an API server that is away, is no reason to be restarted: a restart would only add to the load.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager

from aiohttp import web


@asynccontextmanager
async def health_endpoint(address: str, report: Callable[[], Mapping[str, object]]) -> AsyncGenerator[None]:
    """Within it, `http://ADDRESS/healthz` answers 200 with the report as JSON. No endpoint for an empty address.

    Raises ValueError for an address that is not HOST:PORT, and OSError where it cannot be bound.
    """
    if not address:
        yield
        return
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal():
        raise ValueError(f"probe address {address!r}: expected HOST:PORT")

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response(dict(report()))

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host or None, int(port)).start()
        yield
    finally:
        await runner.cleanup()
