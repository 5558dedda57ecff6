"""The metrics of runs as series of Prometheus, for as long as the runs are there and not archived."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from runwright.core.metrics.series import (
    METRIC,
    ChosenLabel,
    Labels,
    Sample,
    sample_metrics,
    select_series,
    sort_samples,
)
from runwright.kube.objects import Json, Key


class RunSeries(Collector):
    """What the runs that are available have reported, told whenever somebody asks."""

    def __init__(self, labels: tuple[ChosenLabel, ...], limit: int) -> None:
        """At most `limit` series are told; with 0, nothing is remembered."""
        self._labels = labels
        self._limit = limit
        self._samples: dict[Key, Sample] = {}
        self._shared: dict[tuple[Labels, ...], tuple[Labels, ...]] = {}

    def put(self, key: Key, run: Json) -> None:
        """The run as it is now."""
        found = sample_metrics(run, self._labels) if self._limit else None
        if found is None:
            self._samples.pop(key, None)
            return
        names = self._shared.setdefault(found.names, found.names)
        self._samples[key] = Sample(found.created_at, found.uid, found.labels, names, found.values)

    def drop(self, key: Key) -> None:
        """The run is gone, or archived."""
        self._samples.pop(key, None)
        if not self._samples:
            self._shared.clear()

    @override
    def collect(self) -> Iterable[Metric]:
        if not self._limit:
            return
        series, beyond = select_series(sort_samples(self._samples), self._limit)
        of_run = [label.name for label in self._labels if label.of_run is not None]
        of_metric = [METRIC, *(label.name for label in self._labels if label.of_run is None)]
        told = GaugeMetricFamily(
            "runwright_run_metric",
            "What a run reported by the name in the label metric; of runs with the same labels, the newest.",
            labels=[*of_run, *of_metric],
        )
        for labels, value in series.items():
            told.add_metric(labels, value)
        yield told
        yield GaugeMetricFamily(
            "runwright_run_metrics_left_out",
            "Series of runwright_run_metric that are beyond the limit, of the oldest runs.",
            value=beyond,
        )
