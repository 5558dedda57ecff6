"""Finds archived runs that are due: they are not watched and not in the cache.

It lists metadata only, with selectors that the API server evaluates: runs that are not due cost nothing.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from datetime import datetime, timedelta

from runwright.api.labels import ARCHIVED_RUNS, DELETE_ON_LABEL
from runwright.api.resources import PIPELINE_RUNS
from runwright.controller.cache import RunCache
from runwright.controller.queue import WorkQueue
from runwright.controller.scope import Scope, list_each_metadata
from runwright.core.retention.periods import utc_day
from runwright.kube.client import Client
from runwright.kube.clock import Clock
from runwright.kube.objects import Json, Key, as_text, key_of, labels_of
from runwright.kube.resource import Selection
from runwright.kube.supervise import Backoff, LoopGroup

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 6 * 3600.0
"""Time between two lists of the archived runs that are deleted today or tomorrow."""

ONE_DAY = timedelta(days=1)

BACKOFF = Backoff(5.0, 60.0)
"""Pauses after sweeps that failed."""

LIMIT_SECONDS = 1800.0
"""How long a sweep may take: the lists of some 100,000 archived runs."""


class Sweep:
    """Enqueues archived runs that are due, and all runs of a namespace after a change of its policy."""

    def __init__(self, client: Client, scope: Scope, cache: RunCache, queue: WorkQueue[Key], clock: Clock) -> None:
        self._client = client
        self._scope = scope
        self._cache = cache
        self._queue = queue
        self._clock = clock
        self._swept_at: datetime | None = None
        self._due = -math.inf
        self._changed: set[str] = set()
        self._begun: set[str] = set()
        self._wake = asyncio.Event()

    def policy_changed(self, namespace: str) -> None:
        """Enqueue the runs of the namespace, archived ones too."""
        self._changed.add(namespace)
        self._wake.set()

    def policy_begins(self, namespace: str) -> None:
        """Enqueue the archived runs of the namespace without a day of deletion; of all namespaces for an empty name.

        Their policy may have been created while no operator ran. A reconcile sets their day.
        """
        self._begun.add(namespace)
        self._wake.set()

    def start(self, loops: LoopGroup) -> None:
        """Sweep now, every SWEEP_SECONDS, and after a change of a policy."""
        loops.start("sweep", self.step, limit=LIMIT_SECONDS, wake=self._wake, backoff=BACKOFF)

    async def step(self) -> float:
        """Do what is due now; returns the seconds until the next sweep."""
        loop = asyncio.get_running_loop()
        if loop.time() >= self._due:
            found = await self.expiring()
            logger.debug("%d archived runs will be deleted by tomorrow", found)
            self._due = loop.time() + SWEEP_SECONDS
        await self.changed()
        return self._due - loop.time()

    async def expiring(self) -> int:
        """Enqueue archived runs that are deleted by tomorrow; returns their number.

        The first list, and one after a long pause, has all earlier days too.
        """
        now = self._clock.now()
        days = tuple(utc_day(now + timedelta(days=away)) for away in (-1, 0, 1))
        overdue = self._swept_at is None or now - self._swept_at > ONE_DAY
        dated = DELETE_ON_LABEL if overdue else f"{DELETE_ON_LABEL} in ({','.join(days)})"
        selections = self._scope.runs(f"{ARCHIVED_RUNS},{dated}")
        found = await self._look_at(selections, lambda run: as_text(labels_of(run).get(DELETE_ON_LABEL)) <= days[-1])
        self._swept_at = now
        return found

    async def changed(self) -> None:
        """Enqueue the runs of namespaces with a changed policy."""
        while self._begun:
            namespace = self._begun.pop()
            try:
                found = await self._look_at(
                    self._scope.runs(f"{ARCHIVED_RUNS},!{DELETE_ON_LABEL}", namespace=namespace)
                )
            except BaseException:
                self._begun.add(namespace)
                raise
            logger.debug("%d archived runs of %s had no day of deletion", found, namespace or "all namespaces")
        while self._changed:
            # Removed first: the policy may change again while the runs are listed.
            namespace = self._changed.pop()
            try:
                found = await self._look_at(self._scope.runs(namespace=namespace))
            except BaseException:
                self._changed.add(namespace)
                raise
            logger.info("the retention policy of namespace %s has changed: enqueued its %d runs", namespace, found)

    async def _look_at(self, selections: list[Selection], wanted: Callable[[Json], bool] = lambda _: True) -> int:
        found = 0
        async for run in list_each_metadata(self._client, PIPELINE_RUNS, selections):
            if wanted(run):
                found += 1
                self._cache.mark_unwatched(key_of(run))
                self._queue.add(key_of(run), low_priority=True)
        return found
