"""Accepts HTTP connections within limits: how many in total and from one address, and how long a client may take.

Where there are too many, the connection that has waited longest for a request makes room, of the client that has the most.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import cast

from aiohttp import web
from typing_extensions import override

from runwright.service.budget import Hold, Quota, peer_owner

logger = logging.getLogger(__name__)

HANDSHAKE_SECONDS = 10.0
"""How long a TLS handshake may take."""

HEADER_SECONDS = 10.0
"""How long a client may take from its connection to the headers of its first request, and for the headers of each later one."""

WRITE_SECONDS = 30.0
"""A client that reads nothing of a reply for this time is gone."""

BACKLOG = 512
"""Connections that wait to be accepted."""

PAUSE_SECONDS = 0.5
"""How long to accept nothing after an error, such as too many open files."""


class Door:
    """The open connections of one server."""

    def __init__(
        self, make_protocol: Callable[[], asyncio.Protocol], quota: Quota, context: ssl.SSLContext | None = None
    ) -> None:
        """`make_protocol` creates the protocol of a connection, `context` is for TLS."""
        self._make_protocol = make_protocol
        self._quota = quota
        self._context = context
        self.waiting: dict[Connection, None] = {}
        """Connections without a request, those that have waited longest first."""

    @asynccontextmanager
    async def open(self, host: str, port: int) -> AsyncGenerator[int]:
        """Accept connections within the context; an empty host is every address. Yields the port. Raises OSError."""
        listeners = await listen(host, port)
        accepting = [asyncio.create_task(self._accept(one)) for one in listeners]
        try:
            yield listeners[0].getsockname()[1]
        finally:
            for task in accepting:
                task.cancel()
            await asyncio.gather(*accepting, return_exceptions=True)
            for one in listeners:
                one.close()

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, address = await loop.sock_accept(listener)
            except OSError as error:
                logger.warning("no connection can be accepted: %s", error)
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            try:
                self._admit(accepted, peer_owner(str(address[0])))
            except Exception:
                logger.exception("a connection cannot be served")
                accepted.close()
            # A burst of connections would else end one whose request has arrived and is not read yet.
            await asyncio.sleep(0)

    def _admit(self, accepted: socket.socket, owner: str) -> None:
        if not self._quota.fits(owner, 1):
            self._make_room(owner)
        if not self._quota.fits(owner, 1):
            accepted.close()
            return
        connection = Connection(self, self._make_protocol(), owner, self._quota.hold(owner, 1))
        self.waiting[connection] = None
        connection.start(accepted, self._context)

    def _make_room(self, owner: str) -> None:
        """End the connection that has waited longest: of this client if it has all that it may, else of the one with the most."""
        if self._quota.used_by(owner) < self._quota.each:
            owner = max(
                Counter(one.owner for one in self.waiting).items(), key=lambda item: item[1], default=(owner, 0)
            )[0]
        oldest = next((one for one in self.waiting if one.owner == owner), None)
        if oldest:
            oldest.end()


class Connection(asyncio.Protocol):
    """A connection: passes everything on to the protocol of the server, and ends where the client takes too long."""

    def __init__(self, door: Door, inner: asyncio.Protocol, owner: str, hold: Hold) -> None:
        self.owner = owner
        self._door = door
        self._inner = inner
        self._hold = hold
        self._transport: asyncio.Transport | None = None
        self._starting: asyncio.Task[object] | None = None
        self._headers: asyncio.TimerHandle | None = None
        self._progress: asyncio.TimerHandle | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    def start(self, accepted: socket.socket, context: ssl.SSLContext | None) -> None:
        """Serve an accepted socket."""

        def started(task: asyncio.Task[object]) -> None:
            error = None if task.cancelled() else task.exception()
            if error:
                logger.debug("no connection: %s", error)
            if error or task.cancelled():
                # Also where the task was cancelled before it began.
                accepted.close()
                self._forget()

        seconds = HANDSHAKE_SECONDS if context else None
        connecting = asyncio.get_running_loop().connect_accepted_socket(
            lambda: self, accepted, ssl=context, ssl_handshake_timeout=seconds
        )
        self._starting = asyncio.create_task(connecting)
        self._starting.add_done_callback(started)

    def end(self) -> None:
        """End the connection at once."""
        self._forget()
        if self._transport:
            self._transport.abort()
        elif self._starting:
            self._starting.cancel()

    def _forget(self) -> None:
        self._door.waiting.pop(self, None)
        self._hold.release()
        self._stop_timer()

    def _stop_timer(self) -> None:
        if self._headers:
            self._headers.cancel()
            self._headers = None

    def _start_timer(self) -> None:
        self._headers = asyncio.get_running_loop().call_later(HEADER_SECONDS, self.end)

    async def answer(self, handle: Callable[[], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
        """Handle a request, once the client has read the replies before it."""
        self._stop_timer()
        self._door.waiting.pop(self, None)
        await self._writable.wait()
        try:
            return await handle()
        finally:
            if self._hold.amount:
                self._door.waiting[self] = None

    def _unread(self) -> int:
        return self._transport.get_write_buffer_size() if self._transport else 0

    def _check_progress(self, before: int) -> None:
        """End the connection if the client has read nothing since the last time."""
        self._progress = None
        if not self._writable.is_set():
            unread = self._unread()
            if unread >= before:
                self.end()
            else:
                self._progress = asyncio.get_running_loop().call_later(WRITE_SECONDS, self._check_progress, unread)

    # What asyncio calls.
    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._start_timer()
        self._inner.connection_made(transport)

    @override
    def data_received(self, data: bytes) -> None:
        if self._headers is None and self in self._door.waiting:
            self._start_timer()
        self._inner.data_received(data)

    @override
    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        self._writable.set()
        if self._progress:
            self._progress.cancel()
        self._inner.connection_lost(exc)

    @override
    def pause_writing(self) -> None:
        self._writable.clear()
        if self._progress is None:
            self._progress = asyncio.get_running_loop().call_later(WRITE_SECONDS, self._check_progress, self._unread())
        self._inner.pause_writing()

    @override
    def resume_writing(self) -> None:
        self._writable.set()
        self._inner.resume_writing()


@web.middleware
async def answer_in_turn(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Tell the connection of a request when it is answered."""
    connection = request.transport.get_protocol() if request.transport else None
    if isinstance(connection, Connection):
        return await connection.answer(lambda: handler(request))
    return await handler(request)


async def listen(host: str, port: int) -> list[socket.socket]:
    """Create sockets that listen at each address of a host; an empty host is every address. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    listeners: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            one = socket.socket(family, kind, protocol)
            listeners.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.bind(address)
            one.listen(BACKLOG)
            one.setblocking(False)
    except OSError:
        for one in listeners:
            one.close()
        raise
    return listeners
