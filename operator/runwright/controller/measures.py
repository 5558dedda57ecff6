"""The operator's metrics, with Prometheus' naming and units. docs/metrics.md lists them.

No label names a run: the number of series is bounded by namespaces, phases, reasons, and the kinds of request.
"""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from runwright import __version__
from runwright.api.states import Phase
from runwright.controller.cache import RunCache
from runwright.controller.finished import FinishedRuns
from runwright.controller.queue import WorkQueue
from runwright.controller.series import RunSeries
from runwright.controller.workers import Reconcile
from runwright.core.records import RunRecord
from runwright.core.status.conditions import SUCCEEDED, find_condition
from runwright.kube.errors import ApiError
from runwright.kube.objects import Key
from runwright.kube.probes import REQUEST_BUCKETS, refused_counter

RUNS_LAST = (1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21_600, 43_200, 86_400)
"""Seconds: from a run of one step to one that takes a day."""

SIZES = (1e3, 4e3, 16e3, 64e3, 256e3, 1e6, 1.4e6)

# fmt: off
REASONS = frozenset({
    "Unauthorized", "Forbidden", "NotFound", "AlreadyExists", "Conflict", "Gone", "Invalid", "ServerTimeout",
    "StorageReadError", "Timeout", "TooManyRequests", "BadRequest", "MethodNotAllowed", "NotAcceptable",
    "RequestEntityTooLarge", "UnsupportedMediaType", "InternalError", "Expired", "ServiceUnavailable", "Unknown",
    "Unreachable", "TooManyReads", "Busy",
})
# fmt: on
"""Reasons of ApiErrors that get a series: those of Kubernetes (1.34, `StatusReason`), and the operator's own.

Others are counted as Other: an admission webhook may set any text.
"""


class Measures:
    """The metrics of one operator process, in a registry of its own."""

    def __init__(self, shard: str = "", leads: Callable[[], bool] = lambda: True) -> None:
        """`leads` returns whether this process is the leader."""
        # Series of creation times would double the number of series, and Prometheus 2 does not use them.
        disable_created_metrics()
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._finished = Counter(
            "runwright_runs_finished",
            "Finished runs, one for each attempt.",
            ("namespace", "phase", "reason"),
            registry=self.registry,
        )
        self._duration = Histogram(
            "runwright_run_duration_seconds",
            "From the start of a run's Workflow to the end of the run.",
            ("phase",),
            buckets=RUNS_LAST,
            registry=self.registry,
        )
        self._queued = Histogram(
            "runwright_run_queue_seconds",
            "From the creation of a run to the start of its Workflow, in whole seconds as Kubernetes keeps them.",
            buckets=RUNS_LAST,
            registry=self.registry,
        )
        self._lag = Histogram(
            "runwright_mirror_lag_seconds",
            "From the watch event of a Workflow's new phase to the write of that phase to its run.",
            buckets=REQUEST_BUCKETS,
            registry=self.registry,
        )
        self._reconciles = Histogram(
            "runwright_reconcile_duration_seconds",
            "Duration of one reconcile of a run.",
            ("result",),
            buckets=REQUEST_BUCKETS,
            registry=self.registry,
        )
        self._errors = Counter(
            "runwright_reconcile_errors",
            "Failed reconciles, which are retried; conflicts are normal.",
            ("reason",),
            registry=self.registry,
        )
        self._refused = refused_counter(self.registry)
        leader = Gauge(
            "runwright_leader",
            "1 while this process reconciles the runs: it holds the Lease, or runs without leader election.",
            ("shard",),
            registry=self.registry,
        )
        leader.labels(shard).set_function(lambda: int(leads()))
        self._requests = Histogram(
            "runwright_api_request_duration_seconds",
            "Requests to the API server, without watches, until the reply begins; code 0 without a reply.",
            ("verb", "resource", "code"),
            buckets=REQUEST_BUCKETS,
            registry=self.registry,
        )
        self._request_series: dict[tuple[str, str, int], Histogram] = {}
        self.snapshot_size = Histogram(
            "runwright_snapshot_size_bytes",
            "Size of the compressed Workflow in a new WorkflowSnapshot.",
            buckets=SIZES,
            registry=self.registry,
        )
        build = Gauge("runwright_build_info", "1, with the version as a label.", ("version",), registry=self.registry)
        build.labels(__version__).set(1)

    def register(
        self, cache: RunCache, finished: FinishedRuns, queue: WorkQueue[Key], series: RunSeries
    ) -> Callable[[], None]:
        """Register the collectors of one term; returns a function that unregisters them."""
        present = StateCollector(cache, finished, queue)
        for collector in (present, series):
            self.registry.register(collector)

        def unregister() -> None:
            for collector in (present, series):
                self.registry.unregister(collector)

        return unregister

    def written(self, before: RunRecord, after: RunRecord, lag: float | None) -> None:
        """Count a write of a run's status; `lag` is its delay in seconds after the Workflow's phase change, if it has one."""
        if lag is not None:
            self._lag.observe(lag)
        status = after.status
        if status.started_at is not None and before.status.started_at is None:
            self._queued.observe(max(0.0, (status.started_at - after.created_at).total_seconds()))
        if not after.finished or before.finished or status.phase is None:
            return
        verdict = find_condition(status.conditions, SUCCEEDED)
        self._finished.labels(after.key.namespace, status.phase.value, verdict.reason if verdict else "").inc()
        if status.started_at is not None and status.finished_at is not None:
            seconds = (status.finished_at - status.started_at).total_seconds()
            self._duration.labels(status.phase.value).observe(max(0.0, seconds))

    def request(self, verb: str, resource: str, code: int, seconds: float) -> None:
        """Count a request to the API server."""
        kind = verb, resource, code
        series = self._request_series.get(kind)
        if series is None:
            series = self._request_series[kind] = self._requests.labels(verb, resource, str(code))
        series.observe(seconds)

    def object_refused(self, reason: str) -> None:
        """Count an object of a tenant that is beyond a bound, such as TooDeep; `reason` is one of a finite set."""
        self._refused.labels(reason).inc()

    def timed(self, reconcile: Reconcile) -> Reconcile:
        """Wrap a function to count its time and errors."""

        async def measured(key: Key) -> float | None:
            began, result = time.perf_counter(), "error"
            try:
                again = await reconcile(key)
                result = "success"
            except BaseException as error:
                self._errors.labels(reason_of(error)).inc()
                raise
            finally:
                self._reconciles.labels(result).observe(time.perf_counter() - began)
            return again

        return measured


def reason_of(error: BaseException) -> str:
    """Reason of an error as a label value, from a finite set."""
    if not isinstance(error, ApiError):
        return type(error).__name__
    return error.reason if error.reason in REASONS else "Other"


class StateCollector(Collector):
    """Collects present counts: runs by namespace and phase, and the queue."""

    def __init__(self, cache: RunCache, finished: FinishedRuns, queue: WorkQueue[Key]) -> None:
        self._cache = cache
        self._finished = finished
        self._queue = queue

    @override
    def collect(self) -> Iterable[Metric]:
        runs = GaugeMetricFamily("runwright_runs", "Runs that are not archived.", labels=("namespace", "phase"))
        live = [(run.key.namespace, run.status.phase) for run in self._cache.runs() if not run.finished]
        # A run without a status counts as Pending: one series has one sample.
        phases = ((namespace, (phase or Phase.PENDING).value) for namespace, phase in (*live, *self._finished.phases()))
        for labels, count in Tally(phases).items():
            runs.add_metric(labels, count)
        yield runs
        yield GaugeMetricFamily("runwright_workqueue_depth", "Runs that wait for a worker.", value=len(self._queue))
        yield GaugeMetricFamily(
            "runwright_workqueue_oldest_seconds",
            "Time that the oldest waiting run has waited for a worker.",
            value=self._queue.oldest,
        )
        since = self._cache.oldest_unstarted()
        yield GaugeMetricFamily(
            "runwright_argo_oldest_seconds",
            "Age of the oldest Workflow that Argo has not processed yet.",
            value=max(0.0, (datetime.now(UTC) - since).total_seconds()) if since else 0.0,
        )
        yield GaugeMetricFamily(
            "runwright_workqueue_delayed", "Runs that are enqueued after a delay.", value=self._queue.delayed
        )
        yield CounterMetricFamily(
            "runwright_workqueue_retries", "Retries of failed reconciles.", value=self._queue.retries
        )
