"""Leader election: of several operators, only the holder of the Lease acts. `kube.lease` reads and writes Leases."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from contextlib import aclosing, suppress
from datetime import datetime

from runwright.kube.client import Client
from runwright.kube.clock import Clock
from runwright.kube.errors import ApiError
from runwright.kube.fence import Fence
from runwright.kube.lease import (
    FENCE_SHARE,
    RENEW_SHARE,
    LeaseRecord,
    claimed,
    lease_record,
    released,
    renewed,
    stored_lease,
)
from runwright.kube.objects import Json, Key
from runwright.kube.resource import LEASES, Selection
from runwright.kube.supervise import Backoff, LoopGroup, Supervisor, TransientError

logger = logging.getLogger(__name__)

LEASE_SECONDS = 12.0
"""Longest time, in seconds, until another operator holds the Lease of a dead one. It starts within two more seconds."""

STEADY = Backoff(1.0, 1.0)
"""Pause between two attempts while the API server does not reply."""

REOPEN_SECONDS = 0.5
"""Pause after a watch of the Lease that has ended, and after a claim for which another candidate was faster."""

LIMIT_SECONDS = 60.0
"""How long a renewal may take in any case."""

ENDS_AFTER = 10
"""The process ends after so many unexpected errors in a row: another candidate can act."""


class Election:
    """One candidate. After `win`, the caller must `hold`, and may `release`."""

    def __init__(
        self,
        client: Client,
        key: Key,
        identity: str,
        clock: Clock,
        fence: Fence,
        supervisor: Supervisor,
        seconds: float = LEASE_SECONDS,
    ) -> None:
        """`identity` is unique to this process: a restarted one is another candidate."""
        self._client = client
        self._key = key
        self._identity = identity
        self._clock = clock
        self._fence = fence
        self._supervisor = supervisor
        self._seconds = seconds
        self._body: Json = {}
        self._seen: tuple[str, float] = ("", 0.0)
        self._standing_by_for = ""

    async def win(self) -> None:
        """Return once this candidate holds the Lease."""
        await self._supervisor.until_done("election", self._attempt, backoff=STEADY)

    async def _attempt(self) -> float | None:
        """Claim the Lease, and return None; or return the seconds until the next attempt. Raises TransientError."""
        try:
            return await self._claim_if_free()
        except ApiError as error:
            if error.code == 409:  # another candidate was faster
                return REOPEN_SECONDS
            raise TransientError(f"waiting for Lease {self._key}: {error}") from error
        except TimeoutError:
            raise TransientError(f"waiting for Lease {self._key}: no reply from the API server") from None

    async def _claim_if_free(self) -> float | None:
        async with asyncio.timeout(self._patience):
            found = await self._client.get(LEASES, self._key)
        if found is None:
            await self._claim(None)
            return None
        body = stored_lease(found)
        record = lease_record(body)
        # Held already if the reply to the claim was lost.
        wait = 0.0 if record.holder == self._identity else self._wait(record)
        if wait <= 0:
            await self._claim(body)
            return None
        if self._standing_by_for != record.holder:
            self._standing_by_for = record.holder
            logger.info("stands by: %s holds Lease %s", record.holder, self._key)
        return 0.0 if await self._may_be_free(record, wait) else REOPEN_SECONDS

    def hold(self, loops: LoopGroup, lost: asyncio.Event) -> None:
        """Renew the Lease until another candidate holds it; then set `lost`. While a renewal fails, the fence closes."""

        async def step() -> float:
            try:
                async with asyncio.timeout(self._patience):
                    held = await self._renew()
            except (ApiError, TimeoutError) as error:
                why = str(error) or "no reply in time"
                raise TransientError(
                    f"Lease {self._key} was not renewed: {why}; writes stop soon, until a renewal succeeds"
                ) from error
            if held:
                return pause
            self._fence.close()
            logger.warning("Lease %s was lost: another operator holds it, or it was deleted", self._key)
            lost.set()
            return math.inf

        pause = self._seconds * RENEW_SHARE
        loops.start("lease", step, after=pause, limit=LIMIT_SECONDS, backoff=STEADY, ends_after=ENDS_AFTER)

    async def release(self) -> None:
        """Release the Lease if it is still held: a waiting candidate takes it at once."""
        self._fence.close()
        if not self._body:
            # Without a resourceVersion, the write would overwrite another holder.
            return
        with suppress(ApiError, TimeoutError):
            async with asyncio.timeout(self._patience):
                if await self._write(released) is not None:
                    logger.info("released Lease %s", self._key)

    @property
    def _patience(self) -> float:
        """Longest time, in seconds, of one request for the Lease."""
        return self._seconds * RENEW_SHARE * 1.5

    def _wait(self, record: LeaseRecord) -> float:
        """Seconds until the Lease expires, if it is not written until then."""
        if record.released:
            return 0.0
        if self._seen[0] != record.resource_version:
            self._seen = (record.resource_version, self._fence.now())
        return self._seen[1] + record.seconds - self._fence.now()

    async def _may_be_free(self, record: LeaseRecord, wait: float) -> bool:
        """Return True when the Lease may be free, and False if the watch ended before; the caller reads the Lease again."""
        loop = asyncio.get_running_loop()
        try:
            async with (
                asyncio.timeout(wait) as limit,
                aclosing(self._client.watch(LEASES, Selection.of(self._key), record.resource_version)) as events,
            ):
                async for event in events:
                    if event.type == "DELETED":
                        return True
                    if event.type in ("ADDED", "MODIFIED"):
                        wait = self._wait(lease_record(event.body))
                        if wait <= 0:
                            return True
                        limit.reschedule(loop.time() + wait)
        except TimeoutError:
            return True
        return False

    async def _claim(self, body: Json | None) -> None:
        sent = self._fence.now()
        claim = claimed(body, self._key, self._identity, self._seconds, self._clock.now())
        async with asyncio.timeout(self._patience):
            self._body = await (self._create(claim) if body is None else self._replace(claim))
        self._open(sent)
        self._standing_by_for = ""
        logger.info("holds Lease %s as %s", self._key, self._identity)

    async def _renew(self) -> bool:
        """Renew the Lease; returns whether it is still held."""
        sent = await self._write(renewed)
        if sent is not None:
            self._open(sent)
        return sent is not None

    async def _write(self, change: Callable[[Json, Key, datetime], Json]) -> float | None:
        """Write the Lease; returns when that was sent, or None if it is not held any more."""
        sent = self._fence.now()
        try:
            self._body = await self._replace(change(self._body, self._key, self._clock.now()))
        except ApiError as error:
            if error.code not in (404, 409):
                raise
            body = await self._client.get(LEASES, self._key)
            if body is None or self._term(stored_lease(body)) != self._term(self._body):
                return None
            # Still held: the reply to a renewal was lost, or others edited the Lease.
            sent = self._fence.now()
            self._body = await self._replace(change(body, self._key, self._clock.now()))
        return sent

    async def _create(self, body: Json) -> Json:
        return stored_lease(await self._client.create(LEASES, body))

    async def _replace(self, body: Json) -> Json:
        """Replace the Lease. Raises ApiError, also NotFound."""
        replaced = await self._client.replace(LEASES, body)
        if replaced is None:
            raise ApiError(404, "NotFound", f"Lease {self._key} does not exist")
        return stored_lease(replaced)

    def _open(self, sent: float) -> None:
        # From the time of sending: the API server may have written it then, and other candidates count from their event.
        self._fence.open_until(sent + self._seconds * FENCE_SHARE)

    def _term(self, body: Json) -> tuple[str, int]:
        record = lease_record(body)
        return record.holder, record.transitions
