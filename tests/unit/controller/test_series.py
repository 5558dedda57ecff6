"""Series of run metrics follow the cached runs."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from runwright.controller.cache import RunCache
from runwright.controller.series import MIN_SHARED, RunSeries
from runwright.core.metrics.series import parse_labels
from runwright.kube.objects import Key
from tests.unit.controller.bench import Bench
from tests.unit.controller.records import KEY, run_body


def reporting(version: str = "1", **metrics: float):
    body = run_body(version)
    metrics_list = [{"name": name, "nodeID": "n", "value": value} for name, value in metrics.items()]
    return body | {"status": {**body.get("status", {}), "metrics": metrics_list}}


def exposition(series: RunSeries) -> list[str]:
    registry = CollectorRegistry()
    registry.register(series)
    return [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]


async def test_series_follow_the_watch_events() -> None:
    bench = Bench()
    bench.intake.pipelinerun("ADDED", run_body("1"))
    assert exposition(bench.series) == ["runwright_run_metrics_left_out 0.0"]
    bench.intake.pipelinerun("MODIFIED", reporting("2", accuracy=0.5, loss=2))
    one = f'metric="{{}}",namespace="{KEY.namespace}",node="n",run="{KEY.name}"'
    assert [sorted(line.partition("}")[0].partition("{")[2].split(",")) for line in exposition(bench.series)[:2]] == [
        one.format(name).split(",") for name in ("accuracy", "loss")
    ]
    assert [line.split()[-1] for line in exposition(bench.series)] == ["0.5", "2.0", "0.0"]
    bench.intake.pipelinerun("DELETED", reporting("3", accuracy=0.5))
    assert exposition(bench.series) == ["runwright_run_metrics_left_out 0.0"]


def test_limit_zero_stores_and_exposes_nothing() -> None:
    series = RunSeries(RunCache(), parse_labels(("run",)), 0)
    series.put(KEY, series.read(reporting(accuracy=1)))
    assert exposition(series) == []
    assert not list(series._cache.states())


def test_series_beyond_the_limit_are_counted() -> None:
    series = RunSeries(RunCache(), parse_labels(("run",)), 1)
    series.put(KEY, series.read(reporting(a=1, b=2)))
    assert exposition(series) == [
        f'runwright_run_metric{{metric="a",run="{KEY.name}"}} 1.0',
        "runwright_run_metrics_left_out 1.0",
    ]


def test_edits_of_a_run_leave_nothing_behind() -> None:
    """A run that reports other names with each edit: names that no run has any more are dropped."""
    series = RunSeries(RunCache(), parse_labels(("run",)), 1000)
    for number in range(5000):
        series.put(KEY, series.read(reporting(str(number), **{f"metric{number}": 1.0})))
    assert len(series._shared) <= 2 * MIN_SHARED + 2
    assert len(exposition(series)) == 2


def test_equal_names_are_shared() -> None:
    cache = RunCache()
    series = RunSeries(cache, parse_labels(("run",)), 1000)
    for number in range(500):
        series.put(Key("ns", f"run-{number}"), series.read(reporting("1", **{f"metric{number % 200}": 1.0})))
    names = [state.sample.names for _, state in cache.states() if state.sample is not None]
    assert len({id(one) for one in names}) == 200
