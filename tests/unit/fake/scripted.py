"""An HTTP API server with scripted replies, for tests of requests and responses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class Stream:
    """The lines of a watch or a log; with `hold`, the connection stays open after the last one."""

    lines: list[bytes]
    hold: bool = False


@dataclass
class Server:
    """An HTTP server on loopback with scripted replies; it records the requests.

    A reply is a status and a body: an object (sent as JSON), bytes, or a Stream. Status 0 stands for no reply at all.
    """

    replies: list[tuple[int, Any]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    arrived: Callable[[], None] = lambda: None
    """Called as a request arrives."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        text = await request.text()
        self.requests.append(
            Request(
                request.method,
                request.rel_url.raw_path,
                dict(request.query),
                dict(request.headers),
                json.loads(text) if text else None,
            )
        )
        self.arrived()
        status, body = self.replies.pop(0)
        if status == 0:
            await asyncio.sleep(30)
        if isinstance(body, bytes):
            return web.Response(body=body, status=status)
        if not isinstance(body, Stream):
            return web.json_response(body, status=status)
        response = web.StreamResponse(status=status)
        await response.prepare(request)
        for line in body.lines:
            await response.write(line)
        if body.hold:
            await asyncio.sleep(30)
        return response


def status(code: int, reason: str, message: str = "", causes: tuple[str, ...] = ()) -> tuple[int, Any]:
    """A reply with an error Status."""
    return code, {
        "kind": "Status",
        "code": code,
        "reason": reason,
        "message": message,
        "details": {"causes": [{"reason": cause} for cause in causes]},
    }


def event(kind: str, body: Any) -> bytes:
    """A line of a watch."""
    return json.dumps({"type": kind, "object": body}).encode() + b"\n"
