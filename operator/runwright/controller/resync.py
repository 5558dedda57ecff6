"""Finds what the watches missed, by metadata-only lists.

Kopf (1.45.2) sends no DELETED for an object that was deleted while its watch was disconnected, and an event may be lost
on the way. The lists have names and versions; only objects that differ from the cache are read.
"""

from __future__ import annotations

import logging
import random

from runwright.api.labels import ARCHIVED_RUNS, AVAILABLE_RUNS
from runwright.api.resources import PIPELINE_RUNS, WORKFLOWS
from runwright.api.states import Phase, StorageState
from runwright.controller.cache import RunCache, is_later
from runwright.controller.queue import WorkQueue
from runwright.controller.scope import Scope, list_each_metadata
from runwright.core.run_record import run_record
from runwright.kube.client import Client
from runwright.kube.objects import Json, Key, key_of, version_of
from runwright.kube.supervise import Backoff, LoopGroup

logger = logging.getLogger(__name__)

RESYNC_SECONDS = 300.0
"""Mean time between two resyncs."""

LIMIT_SECONDS = 1800.0
"""How long a resync may take: the lists and reads of some 100,000 runs."""

UNFINISHED = ",".join(f"status.phase!={phase.value}" for phase in Phase if phase.finished)
NOT_YET_ARCHIVED = f"status.storageState!={StorageState.ARCHIVED.value}"
STILL_ARCHIVED = f"status.storageState={StorageState.ARCHIVED.value}"


class Resync:
    """Compares the cache with the API server, and enqueues the runs that differ."""

    def __init__(self, client: Client, scope: Scope, cache: RunCache, queue: WorkQueue[Key]) -> None:
        self._client = client
        self._scope = scope
        self._cache = cache
        self._queue = queue

    def start(self, loops: LoopGroup, seconds: float) -> None:
        """Resync at this interval, with jitter, so that many operators do not list at once.

        The first one lists only what the watches leave out: they list the rest at the start.
        """
        look = self.half_archived

        async def step() -> float:
            nonlocal look
            found = await look()
            logger.debug("resync found %d runs that the watches had missed", len(found))
            look = self.once
            return seconds * random.uniform(0.9, 1.1)

        loops.start("resync", step, limit=LIMIT_SECONDS, backoff=Backoff(2.0, 60.0))

    async def once(self) -> set[Key]:
        """Resync once; returns the runs that were enqueued."""
        return await self._workflows() | await self._runs() | await self.half_archived()

    async def half_archived(self) -> set[Key]:
        """Enqueue runs with a storage state that differs from their label. The watch leaves out archived runs."""
        selections = [
            *self._scope.runs(ARCHIVED_RUNS, NOT_YET_ARCHIVED),
            *self._scope.runs(AVAILABLE_RUNS, STILL_ARCHIVED),
        ]
        listed = {key_of(run) async for run in list_each_metadata(self._client, PIPELINE_RUNS, selections)}
        for key in listed:
            self._cache.mark_unwatched(key)
            self._queue.add(key, low_priority=True)
        return listed

    async def _workflows(self) -> set[Key]:
        kept = {workflow.key: workflow for workflow in self._cache.workflows()}
        items = list_each_metadata(self._client, WORKFLOWS, self._scope.workflows())
        listed = {key_of(item): version_of(item) async for item in items}
        stale = {
            key
            for key, workflow in kept.items()
            if key not in listed or is_later(listed[key], workflow.resource_version)
        }
        unseen = {run.key for run in self._cache.runs() if run.key in listed and run.key not in kept}
        for key in stale:
            # Without a record, the decision reads the Workflow from the API server.
            self._cache.drop_workflow(key)
        for key in stale | unseen:
            self._queue.add(key)
        return stale | unseen

    async def _runs(self) -> set[Key]:
        kept = {run.key: run for run in self._cache.runs()}
        items = list_each_metadata(self._client, PIPELINE_RUNS, self._scope.runs(fields=UNFINISHED))
        listed = {key_of(item): version_of(item) async for item in items}
        changed = {
            key
            for key in kept.keys() | listed.keys()
            if key not in kept or key not in listed or is_later(listed[key], kept[key].resource_version)
        }
        for key in changed:
            body = await self._scope.get_run(self._client, key)
            self._take_in(key, body)
            self._queue.add(key)
        return changed

    def _take_in(self, key: Key, body: Json | None) -> None:
        """Put a run into the cache. One that cannot be read is left to its reconcile, and harms no other."""
        try:
            if body is None:
                self._cache.drop_run(key)
            else:
                self._cache.put_run(run_record(body))
        except Exception:
            logger.exception("resync: PipelineRun %s cannot be read", key)
            self._cache.drop_run(key)
