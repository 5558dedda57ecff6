"""Connections: how many, from whom, and how long a client may take."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession, web

from runwright.service import door
from runwright.service.budget import Quota
from runwright.service.door import Door, answer_in_turn, listen

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Served:
    """A server behind a door."""

    def __init__(self, port: int, quota: Quota) -> None:
        self.port, self.quota = port, quota

    async def connect(self, first: bytes = b"") -> Streams:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(first)
        return reader, writer

    async def status(self) -> int:
        async with ClientSession() as session, session.get(f"http://127.0.0.1:{self.port}/") as reply:
            return reply.status


@asynccontextmanager
async def serving(total: int, each: int, context: ssl.SSLContext | None = None) -> AsyncIterator[Served]:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=b"x" * int(request.query.get("size", "1")))

    app = web.Application(middlewares=[answer_in_turn])
    app.router.add_get("/", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    assert runner.server
    quota = Quota("connections", total, each)
    async with Door(runner.server, quota, context).open("127.0.0.1", 0) as port:
        yield Served(port, quota)
    await runner.cleanup()


async def ended(streams: Streams) -> bool:
    try:
        async with asyncio.timeout(5):
            return await streams[0].read() == b""
    except ConnectionError:
        return True


async def test_the_connection_that_waited_longest_makes_room():
    async with serving(4, 4) as it:
        waiting = [await it.connect(b"GET / HTTP/1.1\r\nHost: x\r\n") for _ in range(8)]
        assert await it.status() == 200
        for one in waiting[:5]:
            assert await ended(one)
        waiting[7][1].write(b"\r\n")
        assert (await waiting[7][0].readline()).split()[1] == b"200"
        assert it.quota.used <= 4
        for _, writer in waiting:
            writer.close()
    assert it.quota.used == 0


async def test_headers_that_do_not_come_end_the_connection(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(door, "HEADER_SECONDS", 0.05)
    async with serving(4, 4) as it:
        assert await ended(await it.connect())
        assert await ended(await it.connect(b"GET / HTTP/1.1\r\nHost: x\r\nX-Part: "))
        kept = await it.connect(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await kept[0].readline()).split()[1] == b"200"
        await asyncio.sleep(0.1)
        kept[1].write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await kept[0].readuntil(b"200 OK")
        kept[1].write(b"GET / HT")
        async with asyncio.timeout(5):
            await kept[0].read()


async def test_a_client_that_does_not_read_gets_no_further_reply(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(door, "WRITE_SECONDS", 0.1)
    async with serving(4, 4) as it:
        reader, writer = await it.connect(b"GET /?size=20000000 HTTP/1.1\r\nHost: x\r\n\r\n" * 10)
        async with asyncio.timeout(5):
            while it.quota.used:  # noqa: ASYNC110 - the end of a connection is no event
                await asyncio.sleep(0.01)
        got = 0
        try:
            while piece := await reader.read(1 << 20):
                got += len(piece)
        except ConnectionError:
            pass
        assert got < 40_000_000
        writer.close()


async def test_a_tls_handshake_counts_as_a_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(door, "HANDSHAKE_SECONDS", 0.2)
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days=2",
    ]
    files = ["-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "crt"), "-subj", "/CN=loopback"]
    await asyncio.to_thread(
        subprocess.run, [*command, *files, "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    trusting = ssl.create_default_context(cafile=str(tmp_path / "crt"))
    async with serving(2, 2, context) as it:
        silent = [await it.connect() for _ in range(4)]
        async with ClientSession() as session, session.get(f"https://127.0.0.1:{it.port}/", ssl=trusting) as reply:
            assert reply.status == 200
        assert it.quota.used <= 2
        for one in silent:
            assert await ended(one)
        one = await it.connect(b"no TLS at all\r\n\r\n")
        assert await ended(one)


async def test_the_door_goes_on_after_an_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(door, "PAUSE_SECONDS", 0.001)
    quota, fails = Quota("connections", 4, 4), True

    def make() -> asyncio.Protocol:
        if fails:
            raise MemoryError
        return asyncio.Protocol()

    async with Door(make, quota).open("127.0.0.1", 0) as port:
        first = await Served(port, quota).connect()
        assert await ended(first)
        fails = False
        await Served(port, quota).connect()
        async with asyncio.timeout(5):
            while quota.used != 1:  # noqa: ASYNC110
                await asyncio.sleep(0.001)


async def test_an_address_that_is_taken_is_an_error():
    (first,) = await listen("127.0.0.1", 0)
    with pytest.raises(OSError, match="in use"):
        await listen("127.0.0.1", first.getsockname()[1])
    first.close()
