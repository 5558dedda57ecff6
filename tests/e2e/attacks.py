"""Attacks on the run service, each as a process of its own: `python -m tests.e2e.attacks NAME HTTP GRPC TOKEN TOKENS`.

Each is a bounded loop and prints what it saw as one line of JSON: numbers of replies by status, or by what else happened.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import struct
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio

SECONDS = 4.0
"""How long an attack holds what it could get."""

MIB = 1024 * 1024
RUNS = "/apis/v1beta1/runs"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@dataclass(frozen=True)
class Target:
    """A run service."""

    http: str
    grpc: str
    token: str
    """Of a user who may not do anything."""
    others: str = ""
    """Tokens of more such users, separated by commas."""

    def head(self, token: str = "", **headers: Any) -> bytes:
        """The headers of a POST of a run."""
        lines = [f"POST {RUNS} HTTP/1.1", "Host: x"]
        lines += [f"Authorization: Bearer {token}"] if token else []
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode()

    async def connect(self, address: str = "") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection, to REST if there is no address."""
        host, _, port = (address or self.http).rpartition(":")
        return await asyncio.open_connection(host, int(port))

    async def send(self, *pieces: bytes, then: float = SECONDS) -> str:
        """Send the pieces, and wait for a reply; returns its status, or what else happened."""
        try:
            async with asyncio.timeout(then):
                reader, writer = await self.connect()
                try:
                    sending = asyncio.create_task(write(writer, pieces))
                    status = await reader.readline()
                    sending.cancel()
                    return status.decode().split()[1] if status else "closed"
                finally:
                    writer.close()
        except TimeoutError:
            return "nothing"
        except OSError:
            return "closed"


async def write(writer: asyncio.StreamWriter, pieces: tuple[bytes, ...]) -> None:
    """Write all pieces, as fast as they are read."""
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
    except OSError:
        pass


async def many(number: int, one: Callable[[], Awaitable[str]]) -> Counter[str]:
    """Do one thing many times at once; returns the number of each result."""
    return Counter(await asyncio.gather(*(one() for _ in range(number))))


# ------------------------------------------------------------------------------------------------------------------- REST
async def bodies_without_token(it: Target) -> Counter[str]:
    """50 bodies of 10 MiB."""
    piece = b"[]," * (MIB // 3)
    return await many(50, lambda: it.send(it.head(Content_Length=10 * len(piece)), *([piece] * 10)))


async def gzip_bombs(it: Target) -> Counter[str]:
    """40 bodies that unpack to 1 GiB, with and without a token."""
    bomb = gzip.compress(gzip.compress(b"\0" * 64 * MIB) * 16)
    found: Counter[str] = Counter()
    for token in ("", it.token):
        headers = it.head(token, Content_Length=len(bomb), Content_Encoding="gzip")
        found += await many(40, lambda headers=headers: it.send(headers, bomb))
    return found


async def slow_bodies(it: Target) -> Counter[str]:
    """100 bodies of 3 MiB with a token, of which one byte arrives, and 40 in chunks."""
    found = await many(60, lambda: it.send(it.head(it.token, Content_Length=3 * MIB), b"{"))
    chunk = b"100000\r\n" + b" " * MIB + b"\r\n"
    chunked = it.head(it.token, Transfer_Encoding="chunked")
    return found + await many(40, lambda: it.send(chunked, chunk, chunk, chunk))


async def expanding_bodies(it: Target) -> Counter[str]:
    """30 bodies of 4 MiB with a token, each of more than a million values."""
    kinds = (
        b'{"metrics":[' + b"{}," * MIB,
        b'{"a":' + b"[[]," * MIB,
        b'{"a":[' + b'"ab",' * (MIB // 2),
        b'{"a":' * 700_000,
    )
    found: Counter[str] = Counter()
    for body in kinds:
        body = body[: 4 * MIB]
        headers = it.head(it.token, Content_Length=len(body))
        found += await many(8, lambda headers=headers, body=body: it.send(headers, body, then=20))
    return found


async def half_sent_headers(it: Target) -> Counter[str]:
    """1,000 connections that send the beginning of a request."""
    return await many(1000, lambda: it.send(f"GET {RUNS} HTTP/1.1\r\nHost: x\r\nX-Part: ".encode()))


async def unread_replies(it: Target) -> Counter[str]:
    """20 connections with 2,000 requests each, whose replies nobody reads."""
    requests = b"GET /apis/v1beta1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 2000

    async def one() -> str:
        _, writer = await it.connect()
        writer.write(requests)
        await asyncio.sleep(SECONDS)
        writer.close()
        return "unread"

    return await many(20, one)


async def junk(it: Target) -> Counter[str]:
    """Bytes that are no HTTP, to both ports: frames of wrong sizes, floods of settings, pings and resets, upgrades, bad chunks."""

    def frame(kind: int, payload: bytes = b"", stream: int = 0, flags: int = 0) -> bytes:
        return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload

    settings, ping = frame(4), frame(6, b"\0" * 8)
    floods = (
        b"\0" * 100_000,
        PREFACE + settings + ping * 20_000,
        PREFACE + settings * 20_000,
        PREFACE
        + settings
        + b"".join(frame(1, b"\x82", 2 * n + 1, 4) + frame(3, b"\0" * 4, 2 * n + 1) for n in range(20_000)),
        PREFACE
        + settings
        + frame(1, b"\x82", 1, 0)
        + frame(9, b"\x40\x01a" + b"\x7f\xff\x7f" + b"a" * 16_000, 1) * 500,
        PREFACE + settings + b"\xff\xff\xff\0\0\0\0\0\1" + b"x" * 200_000,
    )

    async def one(flood: bytes, address: str) -> str:
        try:
            reader, writer = await it.connect(address)
            async with asyncio.timeout(5):
                await write(writer, (flood,))
                while await reader.read(65536):
                    pass
            writer.close()
        except (OSError, TimeoutError):
            return "ended"
        return "closed"

    jobs = [one(flood, address) for flood in floods for address in (it.grpc, it.http) for _ in range(3)]
    found = Counter(await asyncio.gather(*jobs))
    upgrade = f"GET {RUNS} HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n".encode()
    found += await many(20, lambda: it.send(upgrade, b"x" * MIB, b"x" * MIB))
    chunks = it.head(it.token, Transfer_Encoding="chunked")
    return found + await many(20, lambda: it.send(chunks, b"zz\r\nno chunk\r\n"))


async def invalid_tokens(it: Target) -> Counter[str]:
    """2,000 different tokens that are not valid, on 100 connections."""
    number = iter(range(2000))

    async def one() -> str:
        found: Counter[str] = Counter()
        for each in number:
            found[await it.send(it.head(f"e30.e30.{each}", Content_Length=0))] += 1
        return json.dumps(found)

    total: Counter[str] = Counter()
    for counted, times in (await many(100, one)).items():
        for status, seen in json.loads(counted).items():
            total[status] += seen * times
    return total


# ------------------------------------------------------------------------------------------------------------------- gRPC
def channel(it: Target) -> grpc.aio.Channel:
    """A channel with a connection of its own."""
    return grpc.aio.insecure_channel(it.grpc, options=[("grpc.use_local_subchannel_pool", 1)])


async def streams(
    it: Target,
    number: int,
    method: str,
    token: str,
    message: bytes | None = None,
    seconds: float = SECONDS,
    **more: Any,
) -> Counter[str]:
    """Make calls that send one message, or none, and do not end; returns the number of each result."""

    async def requests() -> AsyncIterator[bytes]:
        if message is not None:
            yield message
        await asyncio.sleep(seconds)

    async def one(connection: grpc.aio.Channel) -> str:
        metadata = (("authorization", f"Bearer {token}"),) if token else ()
        call = connection.stream_stream(method)(requests(), metadata=metadata, **more)
        try:
            async with asyncio.timeout(seconds):
                async for _ in call:
                    pass
                return (await call.code()).name
        except grpc.aio.AioRpcError as error:
            return error.code().name
        except TimeoutError:
            call.cancel()
            return "nothing"

    connections = [channel(it) for _ in range(max(number // 50, 1))]
    try:
        return Counter(await asyncio.gather(*(one(connections[n % len(connections)]) for n in range(number))))
    finally:
        for connection in connections:
            await connection.close()


async def idle_reflection(it: Target) -> Counter[str]:
    """300 streams of reflection without a token, and 300 with one."""
    method = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
    return await streams(it, 300, method, "") + await streams(it, 300, method, it.token)


async def unfinished_calls(it: Target) -> Counter[str]:
    """300 calls without a message, with a token, and 300 of the health check."""
    found = await streams(it, 300, "/api.RunService/ListRuns", it.token)
    return found + await streams(it, 300, "/api.HealthzService/GetHealthz", "")


async def stalled_users(it: Target) -> Counter[str]:
    """12 users with 10 calls each that send no message: they want more room for messages than there is."""
    jobs = (streams(it, 10, "/api.RunService/ListRuns", token, seconds=9) for token in it.others.split(","))
    return sum(await asyncio.gather(*jobs), Counter[str]())


async def large_messages(it: Target) -> Counter[str]:
    """50 messages of 10 MiB and 100 of 4 MiB: with and without a token, of one field or of a million, and compressed."""
    found: Counter[str] = Counter()
    for token in ("", it.token):
        for message in (
            b"x" * 10 * MIB,
            b"\x22" + varint(4 * MIB - 10) + b"x" * (4 * MIB - 10),
            b"\x52\0" * (2 * MIB - 10),
        ):
            found += await streams(it, 25, "/api.RunService/ReportRunMetrics", token, message)
    bomb = b"\0" * 128 * MIB
    return found + await streams(it, 4, "/api.RunService/ListRuns", it.token, bomb, compression=grpc.Compression.Gzip)


def varint(number: int) -> bytes:
    """A number in protobuf's encoding."""
    found = b""
    while number > 127:
        found += bytes((number & 127 | 128,))
        number >>= 7
    return found + bytes((number,))


async def grpc_connections(it: Target) -> Counter[str]:
    """800 connections to gRPC that say nothing, or only that they are HTTP/2."""

    async def one(first: bytes) -> str:
        try:
            async with asyncio.timeout(SECONDS):
                reader, writer = await it.connect(it.grpc)
                writer.write(first)
                while await reader.read(65536):
                    pass
                return "closed"
        except TimeoutError:
            return "nothing"
        except OSError:
            return "closed"

    return await many(400, lambda: one(b"")) + await many(400, lambda: one(PREFACE + b"\0\0\0\4\0\0\0\0\0"))


ATTACKS = {
    one.__name__: one
    for one in (
        bodies_without_token,
        gzip_bombs,
        slow_bodies,
        expanding_bodies,
        half_sent_headers,
        unread_replies,
        junk,
        invalid_tokens,
        idle_reflection,
        unfinished_calls,
        stalled_users,
        large_messages,
        grpc_connections,
    )
}

if __name__ == "__main__":
    print(json.dumps(asyncio.run(ATTACKS[sys.argv[1]](Target(*sys.argv[2:])))))
