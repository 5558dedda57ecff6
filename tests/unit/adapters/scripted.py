"""An API server that answers from a script, for what goes over the wire."""

from __future__ import annotations

import asyncio
import json
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
class Server:
    """An HTTP server on loopback that answers from a script and keeps what it was asked."""

    replies: list[tuple[int, Any]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        text = await request.text()
        self.requests.append(
            Request(
                request.method,
                request.path,
                dict(request.query),
                dict(request.headers),
                json.loads(text) if text else None,
            )
        )
        status, body = self.replies.pop(0)
        if status == 0:
            await asyncio.sleep(30)
        return web.json_response(body, status=status)


def status(code: int, reason: str, message: str = "", causes: tuple[str, ...] = ()) -> tuple[int, Any]:
    """A reply by which the API server refuses."""
    return code, {
        "kind": "Status",
        "code": code,
        "reason": reason,
        "message": message,
        "details": {"causes": [{"reason": cause} for cause in causes]},
    }
