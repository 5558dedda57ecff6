"""The attacker as a process of its own: sends the objects and the requests, and prints the results as JSON.

Reads its orders as JSON from its standard input. `python -m tests.e2e.hostile_attack`
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

import aiohttp

from tests.e2e.hostile_attempts import PLURALS, Attempt
from tests.e2e.hostile_objects import Objects
from tests.e2e.hostile_requests import Requests, Script

SOURCE = "127.0.0.2"
"""Address from which the attacker connects: the good tenant has another one, as two pods do."""

AT_A_TIME = 2
"""Requests to the API server: it has to serve the others too, and on two cores it is slower than what it serves."""

OPEN_AT_MOST = 4_000
"""Connections at a time."""

EXTRA_SECONDS = 30.0
"""After this time beyond its own, the attack ends, whatever is left to send."""

NICE = 5
"""The attacker shares two cores with what it attacks: its own work must not be what slows that down."""


@dataclass
class Orders:
    """What to attack, with what, and for how long."""

    seed: int
    seconds: float
    server: str
    authority: str
    """The API server's certificate, as PEM."""
    token: str
    namespace: str
    experiment: str
    """Id of an experiment of the namespace."""
    addresses: dict[str, str]
    """HOST:PORT by target of a script."""
    canary: str
    only: list[str] = field(default_factory=list)
    """Tricks; none means all."""


class Attack:
    """One attack and its results."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._uids: dict[str, str] = {}
        self._open = self._sent = 0
        self._places = asyncio.Semaphore(AT_A_TIME)
        self.created: list[tuple[str, str, str, str]] = []
        """Kind and name of each object that was accepted, with its trick and variant."""
        self.counts: Counter[str] = Counter()
        """By `trick: result`."""

    async def run(self) -> None:
        """Send everything, spread over the time."""
        orders = self._orders
        attempts = [one for one in Objects(orders.seed).generate() if self._wanted(one.trick)]
        scripts = [
            one
            for one in Requests(orders.seed, orders.token, orders.namespace, orders.experiment).generate()
            if self._wanted(one.trick)
        ]
        with suppress(TimeoutError):
            async with asyncio.timeout(orders.seconds + EXTRA_SECONDS), asyncio.TaskGroup() as group:
                group.create_task(self._send_objects(attempts))
                group.create_task(self._play_all(scripts))
        self.counts["not sent in time"] = len(attempts) - self._sent

    def _wanted(self, trick: str) -> bool:
        return not self._orders.only or trick in self._orders.only

    def _pace(self, count: int) -> Iterator[float]:
        """Moments at which to send, evenly spread."""
        began = time.monotonic()
        return (began + self._orders.seconds * number / max(1, count) for number in range(count))

    # ----------------------------------------------------------------------------------------------------- objects
    async def _send_objects(self, attempts: list[Attempt]) -> None:
        authority = ssl.create_default_context(cadata=self._orders.authority)
        headers = {"Authorization": f"Bearer {self._orders.token}"}
        timeout = aiohttp.ClientTimeout(total=60)
        connector = aiohttp.TCPConnector(ssl=authority, limit=8)
        async with aiohttp.ClientSession(
            self._orders.server, connector=connector, headers=headers, timeout=timeout
        ) as session:
            queues: dict[str, list[tuple[float, Attempt]]] = {}
            for attempt, moment in zip(attempts, self._pace(len(attempts)), strict=True):
                queues.setdefault(attempt.trick, []).append((moment, attempt))
            async with asyncio.TaskGroup() as group:
                for queue in queues.values():
                    group.create_task(self._send_in_order(session, queue))

    async def _send_in_order(self, session: aiohttp.ClientSession, queue: list[tuple[float, Attempt]]) -> None:
        """Send the attempts of one trick, each at its moment or as soon as the one before has its reply."""
        for moment, attempt in queue:
            await asyncio.sleep(max(0.0, moment - time.monotonic()))
            async with self._places:
                await self._send(session, attempt)

    async def _send(self, session: aiohttp.ClientSession, attempt: Attempt) -> None:
        self._sent += 1
        path = "/" + PLURALS[attempt.kind].format(self._orders.namespace)
        if attempt.verb != "POST":
            path += f"/{attempt.name}"
        body = attempt.body.replace(b"@@canary@@", self._orders.canary.encode())
        for name, uid in self._uids.items() if b"@@uid:" in body else ():
            body = body.replace(f"@@uid:{name}@@".encode(), uid.encode())
        kind = "application/merge-patch+json" if attempt.verb == "PATCH" else "application/json"
        try:
            async with session.request(attempt.verb, path, data=body, headers={"Content-Type": kind}) as reply:
                text = await reply.read()
                self.counts[f"{attempt.trick}: {reply.status}"] += 1
                if reply.status == 201:
                    self.created.append((attempt.kind, attempt.name, attempt.trick, attempt.variant))
                    if attempt.kind == "PipelineRun":
                        self._uids[attempt.name] = text.partition(b'"uid":"')[2].partition(b'"')[0].decode()
        except (aiohttp.ClientError, TimeoutError) as error:
            self.counts[f"{attempt.trick}: {type(error).__name__}"] += 1

    # ---------------------------------------------------------------------------------------------------- requests
    async def _play_all(self, scripts: list[Script]) -> None:
        async with asyncio.TaskGroup() as group:
            for script, moment in zip(scripts, self._pace(len(scripts)), strict=True):
                await asyncio.sleep(max(0.0, moment - time.monotonic()))
                for _ in range(script.connections):
                    if self._open < OPEN_AT_MOST:
                        self._open += 1
                        group.create_task(self._play(script))

    async def _play(self, script: Script) -> None:
        host, _, port = self._orders.addresses[script.target].rpartition(":")
        try:
            async with asyncio.timeout(60):
                result = await self._converse(script, host, int(port))
        except TimeoutError:
            result = "too slow"
        except OSError as error:
            result = type(error).__name__
        finally:
            self._open -= 1
        self.counts[f"{script.trick}: {result}"] += 1

    async def _converse(self, script: Script, host: str, port: int) -> str:
        reader, writer = await asyncio.open_connection(host, port, local_addr=(SOURCE, 0))
        try:
            for pause, data in script.steps:
                if pause:
                    await asyncio.sleep(pause)
                writer.write(data)
                await writer.drain()
            first = b""
            with suppress(TimeoutError):
                async with asyncio.timeout(script.hold):
                    first = await reader.read(64)
                    while await reader.read(2**20):
                        pass
            if first.startswith(b"HTTP/1"):
                return first.split(b"\r")[0].decode("latin-1")
            return "closed" if reader.at_eof() else "left open"
        finally:
            writer.transport.abort()


def main() -> None:
    """Carry out the orders of the standard input."""
    os.nice(NICE)
    attack = Attack(Orders(**json.load(sys.stdin)))
    asyncio.run(attack.run())
    found: dict[str, Any] = {"created": attack.created, "counts": dict(sorted(attack.counts.items()))}
    json.dump(found, sys.stdout)


def orders_text(orders: Orders) -> str:
    """The orders as `main` reads them."""
    return json.dumps(asdict(orders))


if __name__ == "__main__":
    main()
