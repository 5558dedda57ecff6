"""The metrics that runs reported, as series of Prometheus, while the runs exist and are not archived."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from runwright.controller.cache import RunCache
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

MIN_SHARED = 64
"""Shared tuples that are never swept."""


class RunSeries(Collector):
    """Collects the series from the states of available runs."""

    def __init__(self, cache: RunCache, labels: tuple[ChosenLabel, ...], limit: int) -> None:
        """At most `limit` series are exposed; with 0, nothing is held."""
        self._cache = cache
        self._labels = labels
        self._limit = limit
        self._shared: dict[tuple[Labels, ...], tuple[Labels, ...]] = {}
        """Names of metrics and nodes, which many runs have in common."""
        self._swept_at = MIN_SHARED

    def read(self, run: Json) -> Sample | None:
        """The sample of a run; None for one without metrics."""
        return sample_metrics(run, self._labels) if self._limit else None

    def put(self, key: Key, found: Sample | None) -> None:
        """Update the run's sample."""
        if found is None:
            self.drop(key)
            return
        names = self._share(found.names)
        self._cache.state(key).sample = Sample(found.created_at, found.uid, found.labels, names, found.values)

    def _share(self, names: tuple[Labels, ...]) -> tuple[Labels, ...]:
        """An equal tuple that another run has, or this one. Tuples that no run has any more are dropped in time."""
        if len(self._shared) > self._swept_at:
            live = {state.sample.names for _, state in self._cache.states() if state.sample is not None}
            self._shared = {one: one for one in live}
            self._swept_at = 2 * len(live) + MIN_SHARED
        return self._shared.setdefault(names, names)

    def drop(self, key: Key) -> None:
        """Drop the sample of a run that is gone or archived."""
        state = self._cache.find(key)
        if state is not None and state.sample is not None:
            state.sample = None
            self._cache.prune(key)

    @override
    def collect(self) -> Iterable[Metric]:
        if not self._limit:
            return
        samples = {key: state.sample for key, state in self._cache.states() if state.sample is not None}
        series, beyond = select_series(sort_samples(samples), self._limit)
        of_run = [label.name for label in self._labels if label.of_run is not None]
        of_metric = [METRIC, *(label.name for label in self._labels if label.of_run is None)]
        exposed = GaugeMetricFamily(
            "runwright_run_metric",
            "Value that a run reported under the name in the label metric; of runs with equal labels, the newest.",
            labels=[*of_run, *of_metric],
        )
        for labels, value in series.items():
            exposed.add_metric(labels, value)
        yield exposed
        yield GaugeMetricFamily(
            "runwright_run_metrics_left_out",
            "Series of runwright_run_metric of the oldest runs, left out because of the limit.",
            value=beyond,
        )
