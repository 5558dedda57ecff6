"""One term of an operator, from the moment it holds the Lease: its parts, its tasks and its end.

A new term starts with an empty cache: other operators may have written every object in between.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

from runwright.api.resources import PIPELINE_RUNS, WORKFLOWS
from runwright.api.retentionpolicy import RetentionPolicySpec
from runwright.artifacts.reader import AllowedStores, Artifacts
from runwright.controller.cache import RunCache
from runwright.controller.handlers import watch_registry
from runwright.controller.intake import Intake
from runwright.controller.kopf_login import KopfLogin
from runwright.controller.kopf_stream import KopfStream
from runwright.controller.measures import Measures
from runwright.controller.policies import Policies
from runwright.controller.queue import WorkQueue
from runwright.controller.reconciler import Reconciler
from runwright.controller.resync import RESYNC_SECONDS, Resync
from runwright.controller.scope import Scope
from runwright.controller.series import RunSeries
from runwright.controller.sweep import Sweep
from runwright.controller.watch_pace import WatchPace
from runwright.controller.watches import Watches, missing_kinds
from runwright.controller.workers import WORKERS, start_workers
from runwright.core.metrics.series import DEFAULT_LABELS, parse_labels
from runwright.core.shard import EVERYTHING, Shard
from runwright.core.workflow.build import BuildOptions
from runwright.kube.clock import SystemClock
from runwright.kube.errors import ApiError
from runwright.kube.http_client import HttpClient
from runwright.kube.login import Login
from runwright.kube.objects import Key
from runwright.kube.supervise import Supervisor

logger = logging.getLogger(__name__)

DRAIN_SECONDS = 5.0
"""Seconds to wait for running reconciles after a signal."""


@dataclass(frozen=True, slots=True)
class TermOptions:
    """Options of how runs are reconciled."""

    namespaces: tuple[str, ...] = ()
    """Namespaces of the runs; empty for all."""
    shard: Shard = EVERYTHING
    """Runs of these namespaces."""
    default_service_account: str = ""
    default_retention: RetentionPolicySpec = field(default_factory=RetentionPolicySpec)
    """Retention of runs without a period of their own, in namespaces without a policy."""
    stores: AllowedStores = field(default_factory=AllowedStores)
    """Object stores from which metrics may be read."""
    run_metrics_limit: int = 0
    """Maximum number of run-metric series; 0 for none."""
    run_metrics_labels: tuple[str, ...] = DEFAULT_LABELS
    workers: int = WORKERS
    resync_seconds: float = RESYNC_SECONDS


class Term:
    """One term. Call `run` once."""

    def __init__(
        self,
        client: HttpClient,
        options: TermOptions,
        measures: Measures,
        login: Login,
        user_agent: str,
        supervisor: Supervisor,
    ) -> None:
        """Raises ValueError for unknown labels of run metrics."""
        self._options = options
        scope = Scope(options.namespaces, options.shard)
        cache, self._queue, clock = RunCache(), WorkQueue[Key](), SystemClock()
        self._sweep = Sweep(client, scope, cache, self._queue, clock)
        self._resync = Resync(client, scope, cache, self._queue)
        policies = Policies(client, options.default_retention, self._sweep.policy_changed, self._sweep.policy_begins)
        self._reconciler = Reconciler(
            client,
            scope,
            cache,
            clock,
            BuildOptions(options.default_service_account, options.shard.name),
            policies,
            self._queue.add,
            measures,
            Artifacts(client, options.stores),
        )
        self._reconcile = measures.timed(self._reconciler.reconcile)
        series = RunSeries(cache, parse_labels(options.run_metrics_labels), options.run_metrics_limit)
        self._unregister = measures.register(cache, self._reconciler.finished, self._queue, series)
        intake = Intake(cache, self._queue, policies, series, measures.object_refused)
        self._lists = intake.lists
        self._scope, self._client, self._supervisor = scope, client, supervisor
        registry = watch_registry(intake)
        self._pace = WatchPace()
        stream = KopfStream(intake.arrivals, self._lists.add_page)
        KopfLogin(login, user_agent, self._pace, stream).register(registry)
        self._watches = Watches(
            registry,
            options.namespaces,
            options.shard,
            lambda: missing_kinds(client),
            supervisor,
        )

    @property
    def watching(self) -> bool:
        """Whether the watches run, and are not closed as soon as they are opened."""
        return self._watches.running and not self._pace.interrupted

    @property
    def waiting(self) -> int:
        """Runs in the queue."""
        return len(self._queue)

    async def run(self, end: asyncio.Event, signalled: asyncio.Event) -> None:
        """Reconcile runs until `end` is set. A signal sets `signalled`; then running reconciles are finished."""
        try:
            async with self._supervisor.group() as loops:
                start_workers(loops, self._queue, self._reconcile, self._options.workers)
                self._resync.start(loops, self._options.resync_seconds)
                self._sweep.start(loops)
                try:
                    self._lists.expect(await self._initial_lists())
                    await self._watches.run(end, signalled)
                    if signalled.is_set():
                        await self._queue.drain(DRAIN_SECONDS)
                finally:
                    self._queue.close()
                    self._lists.close()
        finally:
            await self._reconciler.collector.close()

    async def _initial_lists(self) -> list[str]:
        """URL paths of the lists with which the watches of runs and Workflows begin: of the kinds that are served now."""
        try:
            missing = await missing_kinds(self._client)
        except ApiError:
            missing = ()
        kinds = [resource for resource in (PIPELINE_RUNS, WORKFLOWS) if str(resource) not in missing]
        namespaces = self._scope.namespaces or ("",)
        return [resource.collection_path(namespace) for resource in kinds for namespace in namespaces]

    def close(self) -> None:
        """Unregister the metrics of this term."""
        self._unregister()
