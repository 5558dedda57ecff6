"""Keeps Kopf, and with it the watch streams, running."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

import kopf

from runwright.api.resources import PIPELINE_RUNS, WORKFLOWS
from runwright.controller.handlers import operator_settings
from runwright.core.shard import Shard
from runwright.kube.errors import ApiError
from runwright.kube.http_client import HttpClient
from runwright.kube.signals import pass_on, stop_on_signals

logger = logging.getLogger(__name__)

MAX_BACKOFF = 10.0
"""Longest time, in seconds, between two starts of Kopf."""

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
        restarted: Callable[[], object] = lambda: None,
    ) -> None:
        """`restarted` is called before each restart after an unexpected end."""
        self._registry = registry
        self._namespaces = namespaces
        self._shard = shard
        self._missing_kinds = missing_kinds
        self._restarted = restarted
        self._ready = asyncio.Event()

    @property
    def running(self) -> bool:
        """Whether Kopf has started and not ended."""
        return self._ready.is_set()

    async def run(self, stop: asyncio.Event, signalled: asyncio.Event | None = None) -> None:
        """Watch until `stop` is set. A signal sets `signalled`, and `stop` where that is None."""
        failures = 0
        while not stop.is_set():
            end = asyncio.Event()
            helpers = [asyncio.create_task(pass_on(stop, end))]
            if self._namespaces:
                helpers.append(asyncio.create_task(self._await_kinds(end)))
            started = asyncio.get_running_loop().time()
            try:
                await self._kopf(signalled or stop, end)
                problem = "Kopf ended by itself"
            except Exception as error:
                problem = f"{type(error).__name__}: {error}"
            finally:
                self._ready.clear()
                for helper in helpers:
                    helper.cancel()
                await asyncio.gather(*helpers, return_exceptions=True)
            if end.is_set():
                continue
            failures = failures + 1 if asyncio.get_running_loop().time() - started < 60 else 1
            seconds = min(MAX_BACKOFF, 0.5 * 2**failures)
            logger.error("the watches ended (%s); starting them again in %.0f s", problem, seconds)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), seconds)
            self._restarted()

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

    async def _await_kinds(self, end: asyncio.Event) -> None:
        """Set `end` when the set of missing kinds changes; return at once if none is missing."""
        first: tuple[str, ...] | None = None
        while first != ():
            with suppress(ApiError):
                missing = await self._missing_kinds()
                if first is None:
                    first = missing
                    if missing:
                        logger.warning("waiting for %s to be installed in the cluster", ", ".join(missing))
                elif missing != first:
                    logger.info("the cluster serves other kinds now; restarting the watches")
                    end.set()
            with suppress(TimeoutError):
                await asyncio.wait_for(end.wait(), POLL_SECONDS)
                return


async def missing_kinds(client: HttpClient) -> tuple[str, ...]:
    """List the watched kinds that the API server does not serve, as `plural.group`."""
    return tuple([str(resource) for resource in (PIPELINE_RUNS, WORKFLOWS) if not await client.discover(resource)])
