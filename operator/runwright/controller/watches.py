"""Keeps Kopf, and with it the watch streams, running."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from functools import partial

import kopf

from runwright.api.resources import PIPELINE_RUNS, WORKFLOWS
from runwright.controller.handlers import operator_settings
from runwright.core.shard import Shard
from runwright.kube.errors import error_line
from runwright.kube.http_client import HttpClient
from runwright.kube.signals import pass_on, stop_on_signals
from runwright.kube.supervise import Backoff, Supervisor, TransientError

logger = logging.getLogger(__name__)

BACKOFF = Backoff(1.0, 10.0)
"""Pauses between two starts of Kopf."""

LIMIT_SECONDS = 60.0
"""How long a check for missing kinds may take."""

POLL_SECONDS = 5.0
"""Seconds between two checks whether a missing kind is served."""


class Watches:
    """Kopf, started again when it ends.

    Kopf (1.45.2) ends after some errors, such as a 5xx reply to a list while the API server starts. A restart lists all
    objects again. Without the right to watch CRDs, as in a namespaced operator, Kopf does not detect a kind that is
    installed later: it is restarted then.
    """

    def __init__(
        self,
        registry: kopf.OperatorRegistry,
        namespaces: tuple[str, ...],
        shard: Shard,
        missing_kinds: Callable[[], Awaitable[tuple[str, ...]]],
        supervisor: Supervisor,
    ) -> None:
        self._registry = registry
        self._namespaces = namespaces
        self._shard = shard
        self._missing_kinds = missing_kinds
        self._supervisor = supervisor
        self._missing: tuple[str, ...] | None = None
        self._ready = asyncio.Event()

    @property
    def running(self) -> bool:
        """Whether Kopf has started and not ended."""
        return self._ready.is_set()

    async def run(self, stop: asyncio.Event, signalled: asyncio.Event | None = None) -> None:
        """Watch until `stop` is set. A signal sets `signalled`, and `stop` where that is None."""
        step = partial(self._watch, stop, signalled or stop)
        await self._supervisor.until_done("watches", step, stop=stop, backoff=BACKOFF)

    async def _watch(self, stop: asyncio.Event, signalled: asyncio.Event) -> float | None:
        """Run Kopf once; returns None after `stop`, and 0 if the cluster serves other kinds now. Raises TransientError."""
        end = asyncio.Event()
        async with self._supervisor.group() as helpers:
            helpers.start("shutdown", partial(pass_on, stop, end))
            if self._namespaces:
                helpers.start("kinds", partial(self._check_kinds, end), limit=LIMIT_SECONDS)
            try:
                await self._kopf(signalled, end)
                problem = "Kopf ended by itself"
            except Exception as error:
                problem = f"Kopf ended: {error_line(error)}"
            finally:
                self._ready.clear()
                self._missing = None
        if not end.is_set():
            raise TransientError(problem)
        return None if stop.is_set() else 0.0

    async def _kopf(self, signalled: asyncio.Event, end: asyncio.Event) -> None:
        # Kopf cancels every task that it does not know when it ends. What was created just now has begun after this, so
        # that the tasks which it is made of are known too.
        await asyncio.sleep(0)
        others = asyncio.all_tasks()
        tasks = await kopf.spawn_tasks(
            registry=self._registry,
            settings=operator_settings(bool(self._namespaces), self._shard),
            standalone=True,
            clusterwide=not self._namespaces,
            namespaces=self._namespaces,
            stop_flag=end,
            ready_flag=self._ready,
        )
        # Kopf replaces the signal handlers, and would end alone.
        stop_on_signals(signalled)
        await kopf.run_tasks(tasks, ignored=others)

    async def _check_kinds(self, end: asyncio.Event) -> float:
        """Set `end` when the set of missing kinds changes; returns the seconds until the next check."""
        missing = await self._missing_kinds()
        if self._missing is None and missing:
            logger.warning("waiting for %s to be installed in the cluster", ", ".join(missing))
        elif self._missing not in (None, missing):
            logger.info("the cluster serves other kinds now; restarting the watches")
            end.set()
        self._missing = missing
        return POLL_SECONDS if missing and not end.is_set() else math.inf


async def missing_kinds(client: HttpClient) -> tuple[str, ...]:
    """List the watched kinds that the API server does not serve, as `plural.group`."""
    return tuple([str(resource) for resource in (PIPELINE_RUNS, WORKFLOWS) if not await client.discover(resource)])
