"""Leader election: of several operators, only the holder of the Lease acts. `kube.lease` reads and writes Leases."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing, suppress
from datetime import datetime

from runwright.controller.workers import cut_off
from runwright.kube.client import Client
from runwright.kube.clock import Clock
from runwright.kube.errors import ApiError
from runwright.kube.fence import Fence
from runwright.kube.lease import FENCE_SHARE, RENEW_SHARE, LeaseRecord, claimed, lease_record, released, renewed
from runwright.kube.objects import Json, Key
from runwright.kube.resource import LEASES, Selection

logger = logging.getLogger(__name__)

LEASE_SECONDS = 12.0
"""Longest time, in seconds, until another operator holds the Lease of a dead one. It starts within two more seconds."""

POLL_SECONDS = 1.0
"""Seconds between two attempts while the API server does not reply."""


class Election:
    """One candidate. After `win`, the caller must `hold`, and may `release`."""

    def __init__(
        self, client: Client, key: Key, identity: str, clock: Clock, fence: Fence, seconds: float = LEASE_SECONDS
    ) -> None:
        """`identity` is unique to this process: a restarted one is another candidate."""
        self._client = client
        self._key = key
        self._identity = identity
        self._clock = clock
        self._fence = fence
        self._seconds = seconds
        self._body: Json = {}
        self._seen: tuple[str, float] = ("", 0.0)
        self._logged = ""

    async def win(self) -> None:
        """Return once this candidate holds the Lease."""
        while True:
            try:
                async with asyncio.timeout(self._patience):
                    body = await self._client.get(LEASES, self._key)
                if body is None:
                    await self._claim(None)
                    return
                record = lease_record(body)
                # Held already if the reply to the claim was lost.
                wait = 0.0 if record.holder == self._identity else self._wait(record)
                if wait <= 0:
                    await self._claim(body)
                    return
                self._log_once(f"stands by: {record.holder} holds Lease {self._key}")
                await self._watch(record, wait)
            except ApiError as error:
                if error.code != 409:  # another candidate was faster
                    self._log_once(f"waiting for Lease {self._key}: {error}", logging.WARNING)
                    await asyncio.sleep(POLL_SECONDS)
            except TimeoutError:
                self._log_once(f"waiting for Lease {self._key}: no reply from the API server", logging.WARNING)

    async def hold(self, lost: asyncio.Event) -> None:
        """Renew the Lease until another candidate holds it; then set `lost`. While a renewal fails, the fence closes."""
        failing = False
        pause = self._seconds * RENEW_SHARE
        while True:
            try:
                await asyncio.sleep(pause)
                pause = self._seconds * RENEW_SHARE
                async with asyncio.timeout(self._patience):
                    if not await self._renew():
                        break
                if failing:
                    logger.warning("Lease %s is renewed again", self._key)
                failing = False
            except asyncio.CancelledError:
                if not cut_off():
                    raise
                pause = 0.0
            except (ApiError, TimeoutError) as error:
                if not failing:
                    why = str(error) or "no reply in time"
                    logger.warning(
                        "Lease %s was not renewed: %s; writes stop soon, until a renewal succeeds", self._key, why
                    )
                failing, pause = True, POLL_SECONDS
        self._fence.close()
        logger.warning("Lease %s was lost: another operator holds it, or it was deleted", self._key)
        lost.set()

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

    async def _watch(self, record: LeaseRecord, wait: float) -> None:
        """Return when the Lease may be free; the caller reads it again."""
        loop = asyncio.get_running_loop()
        with suppress(TimeoutError):
            async with (
                asyncio.timeout(wait) as limit,
                aclosing(self._client.watch(LEASES, Selection.of(self._key), record.resource_version)) as events,
            ):
                async for event in events:
                    if event.type == "DELETED":
                        return
                    if event.type in ("ADDED", "MODIFIED"):
                        wait = self._wait(lease_record(event.body))
                        if wait <= 0:
                            return
                        limit.reschedule(loop.time() + wait)

    async def _claim(self, body: Json | None) -> None:
        sent = self._fence.now()
        claim = claimed(body, self._key, self._identity, self._seconds, self._clock.now())
        async with asyncio.timeout(self._patience):
            self._body = await (self._client.create(LEASES, claim) if body is None else self._replace(claim))
        self._open(sent)
        logger.info("holds Lease %s as %s", self._key, self._identity)
        self._logged = ""

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
            if body is None or self._term(body) != self._term(self._body):
                return None
            # Still held: the reply to a renewal was lost, or others edited the Lease.
            sent = self._fence.now()
            self._body = await self._replace(change(body, self._key, self._clock.now()))
        return sent

    async def _replace(self, body: Json) -> Json:
        """Replace the Lease. Raises ApiError, also NotFound."""
        replaced = await self._client.replace(LEASES, body)
        if replaced is None:
            raise ApiError(404, "NotFound", f"Lease {self._key} does not exist")
        return replaced

    def _open(self, sent: float) -> None:
        # From the time of sending: the API server may have written it then, and other candidates count from their event.
        self._fence.open_until(sent + self._seconds * FENCE_SHARE)

    def _term(self, body: Json) -> tuple[str, int]:
        record = lease_record(body)
        return record.holder, record.transitions

    def _log_once(self, message: str, level: int = logging.INFO) -> None:
        """Log a message, unless it equals the last one."""
        if message != self._logged:
            logger.log(level, "%s", message)
            self._logged = message
