"""Stands between an operator and its API server, and lets one request go wrong, in each way in which one can.

It speaks plain HTTP on loopback to the operator, and TLS with the operator's own token to the API server.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import ssl
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from tests.e2e.cluster import Object

SLOW_SECONDS = 2.0

REFUSALS = {
    "409": "Conflict",
    "429": "TooManyRequests",
    "500": "InternalError",
    "503": "ServiceUnavailable",
    "504": "Timeout",
}

FAULTS = (*REFUSALS, "cut before", "cut after", "slow", "stale")
"""What can befall a request: a refusal that never reached the API server; a connection that ends before the request was passed on,
or after, so that nobody knows; a late reply; and, for a read, what was read there first."""

EVENT_FAULTS = ("lost", "doubled", "cut", "gone")
"""What can befall an event of a watch: it does not come, it comes twice, the watch ends after it, or it ends with 410 Gone."""

ODD_REPLIES = {
    "a page of a proxy": b"<html><body>Please log in</body></html>",
    "nothing": b"",
    "a part": b'{"kind":"PipelineRunList","metadata":{"resourceVersion":"1"},"items":[{"metadata":{"na',
    "a list": b"[]",
    "null": b"null",
    "a number": b"7",
    "an empty object": b"{}",
    "odd items": b'{"kind":"List","metadata":{"resourceVersion":"1"},"items":[1,null,"x",[],{}],"resources":[1],"groups":[null]}',
    "odd fields": b'{"kind":7,"metadata":[],"items":{"a":1},"spec":"x","status":3,"resources":"x","groups":{},"type":[],"object":2}',
    "no UTF-8": b'{"metadata":{"name":"\xff\xfe"}}',
}
"""Bodies of replies with status 200 that are not what was asked for."""

GONE = {
    "type": "ERROR",
    "object": {"kind": "Status", "status": "Failure", "code": 410, "reason": "Expired", "message": "injected"},
}

NAMED = re.compile(r"/namespaces/[^/]+/(?P<plural>pipelineruns|workflowsnapshots|workflows)(?:/(?P<name>[^/?]+))?")
SKIPPED = frozenset({"host", "content-length", "transfer-encoding", "connection", "content-encoding", "date", "server"})


@dataclass(frozen=True)
class Call:
    """A request about one object: its method, which kind and which name, and which number among those about that name."""

    method: str
    plural: str
    name: str
    number: int


Choose = Callable[[Call], str]
"""The fault of a request, out of FAULTS; empty for none."""


class FaultProxy:
    """The proxy. What it passed on stays in `calls`."""

    def __init__(self, server: str, authority: ssl.SSLContext, choose: Choose) -> None:
        self._server = server
        self._authority = authority
        self._choose = choose
        self._session: aiohttp.ClientSession | None = None
        self._first: dict[str, tuple[int, bytes]] = {}
        self._counts: dict[str, int] = {}
        self.calls: list[tuple[Call, str]] = []
        """Requests about objects, and the fault of each."""
        self.odd_reply: bytes | None = None
        """Body of the reply to every request, with status 200; None to pass requests on. Every other watch has expired."""
        self.closing = False
        """Whether each watch is closed as soon as it is opened."""
        self.asked: Counter[str] = Counter()
        """Number of requests by method and path; watches as `WATCH`."""
        self._streams: set[asyncio.Transport] = set()

    def cut_watches(self) -> None:
        """End the connections of all watches."""
        for transport in list(self._streams):
            transport.abort()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        watch = request.query.get("watch") in ("true", "1")
        self.asked[f"{'WATCH' if watch else request.method} {request.path}"] += 1
        if self.odd_reply is not None:
            expired = watch and self.asked[f"WATCH {request.path}"] % 2
            body = json.dumps(GONE).encode() + b"\n" if expired else self.odd_reply + b"\n"
            return web.Response(body=body, content_type="application/json")
        if watch and self.closing:
            return web.Response(content_type="application/json")
        if watch:
            assert request.transport is not None
            self._streams.add(transport := request.transport)
            try:
                return await self._stream(request)
            finally:
                self._streams.discard(transport)
        call = self._call(request, body)
        fault = self._choose(call) if call else ""
        if call:
            self.calls.append((call, fault))
        if fault in REFUSALS:
            status = {
                "kind": "Status",
                "status": "Failure",
                "code": int(fault),
                "reason": REFUSALS[fault],
                "message": "injected",
            }
            return web.json_response(status, status=int(fault), headers={"Retry-After": "1"} if fault == "429" else {})
        if fault == "cut before":
            return self._cut(request)
        if fault == "slow":
            await asyncio.sleep(SLOW_SECONDS)
        code, headers, reply = await self._pass_on(request, body)
        if fault == "cut after":
            return self._cut(request)
        if request.method == "GET" and code == 200:
            first = self._first.setdefault(request.path_qs, (code, reply))
            if fault == "stale":
                code, reply = first
        return web.Response(status=code, headers=headers, body=reply)

    def _call(self, request: web.Request, body: bytes) -> Call | None:
        """The request, where it is about one object."""
        named = NAMED.search(request.path)
        if named is None:
            return None
        name = named["name"]
        if not name and request.method == "POST":
            document: Object = json.loads(body)
            name = document["metadata"]["name"]
        if not name:
            return None
        number = self._counts.get(name, 0)
        self._counts[name] = number + 1
        return Call(request.method, named["plural"], name, number)

    def _cut(self, request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async def _pass_on(self, request: web.Request, body: bytes) -> tuple[int, dict[str, str], bytes]:
        assert self._session is not None
        given = {name: value for name, value in request.headers.items() if name.lower() not in SKIPPED}
        async with self._session.request(
            request.method, self._server + request.path_qs, data=body or None, headers=given
        ) as reply:
            headers = {name: value for name, value in reply.headers.items() if name.lower() not in SKIPPED}
            return reply.status, headers, await reply.read()

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        assert self._session is not None
        given = {name: value for name, value in request.headers.items() if name.lower() not in SKIPPED}
        timeout = aiohttp.ClientTimeout(total=None)
        response = web.StreamResponse()
        async with self._session.get(self._server + request.path_qs, headers=given, timeout=timeout) as reply:
            response.set_status(reply.status)
            await response.prepare(request)
            with suppress(ConnectionError, aiohttp.ClientError):
                async for line in reply.content:
                    fault = self._event_fault(request.path, line)
                    if fault != "lost":
                        await response.write(line * (2 if fault == "doubled" else 1))
                    if fault == "gone":
                        await response.write(json.dumps(GONE).encode() + b"\n")
                    if fault in ("cut", "gone"):
                        return response
        return response

    def _event_fault(self, path: str, line: bytes) -> str:
        """The fault of an event of a watch; the events about a name are numbered by themselves."""
        event: Object = json.loads(line)
        name = event["object"].get("metadata", {}).get("name")
        if not name or event["type"] in ("BOOKMARK", "ERROR"):
            return ""
        number = self._counts.get(f"event {name}", 0)
        self._counts[f"event {name}"] = number + 1
        call = Call("WATCH", path.rpartition("/")[2], name, number)
        fault = self._choose(call)
        self.calls.append((call, fault))
        return fault

    @asynccontextmanager
    async def serve(self) -> AsyncGenerator[str]:
        """Within it, the address that leads through the proxy."""
        app = web.Application(client_max_size=8 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        connector = aiohttp.TCPConnector(ssl=self._authority, limit=0)
        async with aiohttp.ClientSession(
            connector=connector, read_bufsize=2**22, auto_decompress=True
        ) as self._session:
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            try:
                host, port = runner.addresses[0][:2]
                yield f"http://{host}:{port}"
            finally:
                await runner.cleanup()


def way_in(kubeconfig: Path) -> tuple[str, ssl.SSLContext, str]:
    """Address, trust and token of a kubeconfig with a token."""
    document: dict[str, Any] = json.loads(kubeconfig.read_text())
    cluster = document["clusters"][0]["cluster"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    return cluster["server"], ssl.create_default_context(cadata=authority), document["users"][0]["user"]["token"]


def through(kubeconfig: Path, address: str, path: Path) -> Path:
    """A copy of the kubeconfig whose way leads through the proxy."""
    document: dict[str, Any] = json.loads(kubeconfig.read_text())
    document["clusters"][0]["cluster"] = {"server": address}
    path.write_text(json.dumps(document))
    return path
