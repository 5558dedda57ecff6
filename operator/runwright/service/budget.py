"""The budget of the run service: connections, calls and bytes in flight, in total and for each caller.

A caller is a user (`user_owner`) once the token is reviewed, and the address of the client (`peer_owner`) before that.
What a method reads or makes for its reply, it charges to `call.reply` before it reads or makes it:

    call.reply.add(size)                 # raises ServiceError (RESOURCE_EXHAUSTED) at once
    await call.reply.add_when_free(size) # waits some seconds first, for other calls to end
    call.reply.drop(size)                # what is in memory no longer

The transport charges the encoded reply, and releases the whole hold when the reply was sent or the call failed. Work that
is shared by several calls takes a hold of its own: `with budget.replies.hold(SHARED, size): ...`.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from types import TracebackType
from typing import Self

from runwright.service.errors import Code, ServiceError

MIB = 1024 * 1024

SHARED = "shared"
"""The owner of work that several callers wait for."""

WAIT_SECONDS = 5.0
"""How long `add_when_free` waits."""

STALL_SECONDS, TAKE_ATTEMPTS = 1.0, 5
"""A request that is received for longer may be ended for others; how often to wait that long for it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of requests. The defaults fit a container of 512 MiB: docs/run-service.md has the sum."""

    request_bytes: int = 4 * MIB
    """Largest body of a request: a run with a manifest of 1.5 MB whose every second character is escaped is smaller."""
    seconds: float = 60.0
    """Time of a call, from its headers to its reply."""
    at_a_time: int = 256
    """Calls that run at the same time."""
    of_one_caller: int = 64
    """Calls of one user that run at the same time."""
    connections: int = 512
    """Open connections, of REST and of gRPC each."""
    body_bytes: int = 32 * MIB
    """Bytes of requests in flight; a quarter of it for each user."""
    reply_bytes: int = 128 * MIB
    """Bytes of replies in flight; half of it for each user."""


class Quota:
    """An amount that is bounded in total and for each caller."""

    def __init__(self, what: str, total: int, each: int) -> None:
        """`what` names the amount in messages: "bytes of replies"."""
        self.what, self.total, self.each = what, total, min(each, total)
        self._used = 0
        self._by_owner: defaultdict[str, int] = defaultdict(int)
        self._waiting: list[tuple[str, asyncio.Future[None]]] = []

    @property
    def used(self) -> int:
        """What is in use by all."""
        return self._used

    def used_by(self, owner: str) -> int:
        """What is in use by one caller."""
        return self._by_owner.get(owner, 0)

    def hold(self, owner: str, amount: int = 0) -> Hold:
        """Take an amount, within a `with`. Raises ServiceError (RESOURCE_EXHAUSTED) if it exceeds what is free."""
        hold = Hold(self, owner)
        hold.add(amount)
        return hold

    def fits(self, owner: str, amount: int) -> bool:
        """True if the caller may take this amount now."""
        return self._used + amount <= self.total and self.used_by(owner) + amount <= self.each

    def refusal(self, owner: str, amount: int) -> ServiceError:
        """The error for an amount that does not fit."""
        if amount > self.each:
            message = f"{amount} {self.what}: expected at most {self.each} for one caller. Ask for less at a time."
        elif self.used_by(owner) + amount > self.each:
            message = (
                f"too many {self.what}: {self.used_by(owner)} of the {self.each} that one caller may have are in use. "
            )
            message += "Wait for your other calls to end, then try again."
        else:
            message = f"too many {self.what}: {self._used} of {self.total} are in use. Try again in a moment."
        return ServiceError(Code.RESOURCE_EXHAUSTED, message)

    def change(self, owner: str, amount: int) -> None:
        """Add to what a caller uses, or take away; for Hold."""
        self._used += amount
        self._by_owner[owner] += amount
        if not self._by_owner[owner]:
            del self._by_owner[owner]
        if amount < 0:
            waiting, self._waiting = self._waiting, []
            # Who uses least is first, and else who waited longest: sorting is stable.
            for _, one in sorted(waiting, key=lambda item: self.used_by(item[0])):
                if not one.done():
                    one.set_result(None)

    async def released(self, owner: str) -> None:
        """Return when something is given back: to a caller that uses little before others."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((owner, future))
        await future


class Hold:
    """What one call, or one connection, uses of a quota. Released at the end of its `with`."""

    def __init__(self, quota: Quota, owner: str) -> None:
        self._quota = quota
        self._owner = owner
        self.amount = 0

    @property
    def owner(self) -> str:
        """The caller."""
        return self._owner

    def fits(self, amount: int) -> bool:
        """True if so much more may be used now."""
        return self._quota.fits(self._owner, amount)

    def exceeds_share(self, amount: int) -> bool:
        """True if the caller's own calls are what stands against so much more."""
        return self._quota.used_by(self._owner) + amount > self._quota.each

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()

    def add(self, amount: int) -> None:
        """Use more. Raises ServiceError (RESOURCE_EXHAUSTED) if it exceeds what is free."""
        if amount > 0:
            if not self._quota.fits(self._owner, amount):
                raise self._quota.refusal(self._owner, amount)
            self._quota.change(self._owner, amount)
            self.amount += amount

    async def add_when_free(self, amount: int, seconds: float = WAIT_SECONDS) -> None:
        """Use more, after waiting for others to end. Raises ServiceError (RESOURCE_EXHAUSTED) if it does not fit in time."""
        if amount <= self._quota.each:
            try:
                async with asyncio.timeout(seconds):
                    while not self._quota.fits(self._owner, amount):
                        await self._quota.released(self._owner)
            except TimeoutError:
                pass
        self.add(amount)

    def drop(self, amount: int) -> None:
        """Use less: what was released from memory."""
        amount = min(amount, self.amount)
        if amount > 0:
            self.amount -= amount
            self._quota.change(self._owner, -amount)

    def release(self) -> None:
        """Use nothing any more. A second release does nothing."""
        self.drop(self.amount)


class Readers:
    """Requests that are being received. Where their bytes are used up, the one that began first ends: it may have stalled."""

    def __init__(self) -> None:
        self._reading: dict[asyncio.Timeout, tuple[str, float]] = {}

    @contextmanager
    def reading(self, body: Hold, timeout: asyncio.Timeout) -> Generator[None]:
        """Within the context, a request is received in the time of `timeout`, which may be ended early."""
        self._reading[timeout] = body.owner, asyncio.get_running_loop().time()
        try:
            yield
        finally:
            del self._reading[timeout]

    async def take(self, body: Hold, amount: int) -> None:
        """Use more bytes for a request, after ending what has stalled. Raises ServiceError (RESOURCE_EXHAUSTED)."""
        for _ in range(TAKE_ATTEMPTS):
            if body.fits(amount):
                break
            self._end_oldest(body, amount)
            with suppress(ServiceError):
                await body.add_when_free(amount, STALL_SECONDS)
                return
        body.add(amount)

    def _end_oldest(self, body: Hold, amount: int) -> None:
        """End the oldest request: of this caller if its own share is used up, else of the caller with the oldest one."""
        now, own = asyncio.get_running_loop().time(), body.exceeds_share(amount)
        for timeout, (owner, since) in self._reading.items():
            if now - since >= STALL_SECONDS and (owner == body.owner or not own) and not timeout.expired():
                timeout.reschedule(now)
                return


class Budget:
    """The quotas of one process."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.connections = Quota("connections", limits.connections, max(limits.connections // 2, 1))
        self.unidentified = Quota("calls without a reviewed token", 128, 32)
        self.reviews = Quota("token reviews", 32, 4)
        self.calls = Quota("calls", limits.at_a_time, limits.of_one_caller)
        self.readers = Readers()
        self.bodies = Quota("bytes of requests", limits.body_bytes, max(limits.body_bytes // 4, limits.request_bytes))
        self.replies = Quota("bytes of replies", limits.reply_bytes, limits.reply_bytes // 2)


def unlimited() -> Hold:
    """A hold that takes any amount, for calls that a test makes."""
    return Hold(Quota("bytes", 1 << 62, 1 << 62), "")


def user_owner(user: str) -> str:
    """The owner of what an authenticated user has in flight."""
    return f"user {user}"


def peer_owner(address: str) -> str:
    """The owner of what a client has in flight before its identity is known: its IPv4 address, or its IPv6 /64 network."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return f"peer {address}"
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is None:
            return f"peer {ip_network((int(found), 64), strict=False)}"
        found = found.ipv4_mapped
    return f"peer {found}"
