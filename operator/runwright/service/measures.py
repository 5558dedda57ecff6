"""Metrics of the run service, with Prometheus' naming and units. docs/metrics.md lists them."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Gauge, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from runwright import __version__
from runwright.kube.probes import REQUEST_BUCKETS, refused_counter
from runwright.service.experiment_rows import ExperimentRow
from runwright.service.index import Index
from runwright.service.rows import RunRow


class ServiceMeasures:
    """The metrics of one process of the run service, in a registry of its own."""

    def __init__(self) -> None:
        disable_created_metrics()
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._calls = Histogram(
            "runwright_serve_call_duration_seconds",
            "Calls of the run service, REST and gRPC, until the reply is made; code is gRPC's.",
            ("method", "code"),
            buckets=REQUEST_BUCKETS,
            registry=self.registry,
        )
        self._requests = Histogram(
            "runwright_api_request_duration_seconds",
            "Requests to the API server, without the watches, until the reply begins; code 0 where there was none.",
            ("verb", "resource", "code"),
            buckets=REQUEST_BUCKETS,
            registry=self.registry,
        )
        self._refused = refused_counter(self.registry)
        build = Gauge("runwright_build_info", "1, with the version as a label.", ("version",), registry=self.registry)
        build.labels(__version__).set(1)

    def register(self, runs: Index[RunRow], experiments: Index[ExperimentRow]) -> None:
        """Register the collector of the indexes."""
        self.registry.register(IndexCollector(runs, experiments))

    def call(self, method: str, code: str, seconds: float) -> None:
        """Record a call that ended; `method` is one of the contract's."""
        self._calls.labels(method, code).observe(seconds)

    def request(self, verb: str, resource: str, code: int, seconds: float) -> None:
        """Record a request to the API server; code 0 where there was no reply."""
        self._requests.labels(verb, resource, str(code)).observe(seconds)

    def object_refused(self, reason: str) -> None:
        """Count an object of a tenant that is beyond a bound, such as TooDeep; `reason` is one of a finite set."""
        self._refused.labels(reason).inc()


class IndexCollector(Collector):
    """Metrics of the indexes that lists are answered from, collected at each scrape."""

    def __init__(self, runs: Index[RunRow], experiments: Index[ExperimentRow]) -> None:
        self._runs, self._experiments = runs, experiments

    @override
    def collect(self) -> Iterable[Metric]:
        rows = GaugeMetricFamily(
            "runwright_serve_index_rows", "Objects that lists are answered from.", labels=("kind",)
        )
        synced = GaugeMetricFamily(
            "runwright_serve_index_synced",
            "1 while lists are answered; 0 while the index is not in sync with the API server.",
            labels=("kind",),
        )
        for kind, index in (("pipelineruns", self._runs), ("pipelineexperiments", self._experiments)):
            rows.add_metric([kind], len(index))
            synced.add_metric([kind], int(index.synced))
        yield rows
        yield synced
