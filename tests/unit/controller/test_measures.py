"""Metrics of the operator, with bounded label values."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from runwright import __version__
from runwright.api.pipelinerun import Condition, PipelineRunStatus
from runwright.api.retentionpolicy import RetentionPolicySpec
from runwright.api.states import Phase
from runwright.controller.cache import RunCache
from runwright.controller.finished import FinishedRuns
from runwright.controller.measures import Measures
from runwright.controller.queue import WorkQueue
from runwright.controller.series import RunSeries
from runwright.core.records import RunRecord
from runwright.kube.errors import ApiError
from runwright.kube.objects import Key
from tests.unit.controller.records import KEY, NOW, run, workflow

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(measures: Measures) -> Samples:
    """Every sample by name and labels. Fails on a duplicate series, which Prometheus would drop."""
    found: Samples = {}
    for family in text_string_to_metric_families(generate_latest(measures.registry).decode()):
        for one in family.samples:
            series = one.name, frozenset(one.labels.items())
            assert series not in found
            found[series] = one.value
    return found


def value(measures: Measures, name: str, **labels: str) -> float | None:
    return samples(measures).get((name, frozenset(labels.items())))


def at(
    phase: Phase | None, began: datetime | None = None, ended: datetime | None = None, reason: str = ""
) -> RunRecord:
    conditions = None
    if reason:
        conditions = [
            Condition(
                type="Succeeded",
                status="False",
                reason=reason,
                message="",
                last_transition_time=NOW,
                observed_generation=1,
            )
        ]
    status = PipelineRunStatus(phase=phase, started_at=began, finished_at=ended, conditions=conditions)
    return replace(run(), status=status)


def seconds(number: float) -> datetime:
    return NOW + timedelta(seconds=number)


def test_run_is_counted_once():
    measures = Measures()
    steps = [
        at(None),
        at(Phase.PENDING),
        at(Phase.RUNNING, seconds(7)),
        at(Phase.RUNNING, seconds(7)),
        at(Phase.FAILED, seconds(7), seconds(97), "Failed"),
        at(Phase.FAILED, seconds(7), seconds(97), "Failed"),
    ]
    for before, after in itertools.pairwise(steps):
        measures.written(before, after, None)
    assert value(measures, "runwright_runs_finished_total", namespace="team", phase="Failed", reason="Failed") == 1
    assert value(measures, "runwright_run_queue_seconds_sum") == 7
    assert value(measures, "runwright_run_queue_seconds_count") == 1
    assert value(measures, "runwright_run_duration_seconds_sum", phase="Failed") == 90
    assert value(measures, "runwright_run_duration_seconds_count", phase="Failed") == 1
    assert value(measures, "runwright_mirror_lag_seconds_count") == 0


def test_retried_run_is_counted_again_without_queue_time():
    measures = Measures()
    failed, again = at(Phase.FAILED, seconds(7), seconds(97), "Failed"), at(Phase.RUNNING, seconds(7))
    measures.written(failed, again, None)
    measures.written(again, at(Phase.SUCCEEDED, seconds(7), seconds(200), "Succeeded"), None)
    assert (
        value(measures, "runwright_runs_finished_total", namespace="team", phase="Succeeded", reason="Succeeded") == 1
    )
    assert value(measures, "runwright_run_queue_seconds_count") == 0


def test_run_without_a_workflow_has_no_duration():
    measures = Measures()
    measures.written(at(Phase.PENDING), at(Phase.FAILED, None, seconds(3), "Terminated"), None)
    assert value(measures, "runwright_runs_finished_total", namespace="team", phase="Failed", reason="Terminated") == 1
    assert value(measures, "runwright_run_duration_seconds_count", phase="Failed") is None


def test_clock_skew_gives_no_negative_duration():
    measures = Measures()
    measures.written(at(Phase.PENDING), at(Phase.SUCCEEDED, seconds(-2), seconds(-3), "Succeeded"), None)
    assert value(measures, "runwright_run_queue_seconds_sum") == 0
    assert value(measures, "runwright_run_duration_seconds_sum", phase="Succeeded") == 0


def test_mirror_lag_is_observed_when_given():
    measures = Measures()
    measures.written(at(Phase.PENDING), at(Phase.RUNNING, seconds(1)), 0.25)
    measures.written(at(Phase.RUNNING, seconds(1)), at(Phase.RUNNING, seconds(1)), None)
    assert value(measures, "runwright_mirror_lag_seconds_count") == 1
    assert value(measures, "runwright_mirror_lag_seconds_sum") == 0.25


async def test_runs_and_queue_are_counted_at_each_scrape():
    measures, cache, queue = Measures(), RunCache(), WorkQueue[Key]()
    ended = FinishedRuns(RunCache())
    measures.register(cache, ended, queue, RunSeries(RunCache(), (), 0))
    for key in (Key("team", "x"), Key("other", "x"), Key("team", "y")):
        ended.put(replace(at(Phase.SUCCEEDED, NOW, NOW), key=key, uid=str(key)), RetentionPolicySpec())
    for name, phase in (("a", None), ("b", Phase.PENDING), ("c", Phase.RUNNING), ("d", Phase.SUCCEEDED)):
        cache.put_run(replace(at(phase), key=Key("team", name), uid=name))
    queue.add(KEY)
    queue.add(Key("team", "a"))
    queue.add_after(Key("team", "b"), 60)
    queue.retry(Key("team", "c"))
    found = samples(measures)
    assert {labels: count for (name, labels), count in found.items() if name == "runwright_runs"} == {
        frozenset({("namespace", "team"), ("phase", "Pending")}): 2,
        frozenset({("namespace", "team"), ("phase", "Running")}): 1,
        frozenset({("namespace", "team"), ("phase", "Succeeded")}): 2,
        frozenset({("namespace", "other"), ("phase", "Succeeded")}): 1,
    }
    assert value(measures, "runwright_workqueue_depth") == 2
    assert value(measures, "runwright_workqueue_delayed") == 2
    assert value(measures, "runwright_workqueue_retries_total") == 1
    await asyncio.sleep(0.02)
    oldest = value(measures, "runwright_workqueue_oldest_seconds")
    assert oldest is not None and 0.01 < oldest < 10
    cache.drop_run(Key("team", "c"))
    assert value(measures, "runwright_runs", namespace="team", phase="Running") is None
    ended.drop(Key("other", "x"))
    assert value(measures, "runwright_runs", namespace="other", phase="Succeeded") is None
    queue.close()


def test_argo_oldest_is_the_age_of_the_oldest_workflow_without_a_phase():
    """Workflows without a phase were not processed by Argo yet. Times ahead of our clock count as zero."""
    measures, cache = Measures(), RunCache()
    measures.register(cache, FinishedRuns(RunCache()), WorkQueue(), RunSeries(RunCache(), (), 0))
    assert value(measures, "runwright_argo_oldest_seconds") == 0
    now = datetime.now(UTC)
    for name, phase, seconds in (("a", "", 60), ("b", "", 600), ("c", "Pending", 6000), ("d", "", -5)):
        made = replace(workflow(uid=name, phase=phase), created_at=now - timedelta(seconds=seconds))
        cache.put_workflow(replace(made, key=Key("team", name)))
    cache.put_workflow(replace(workflow(uid="e", phase=""), key=Key("team", "e")))
    seconds_waited = value(measures, "runwright_argo_oldest_seconds")
    assert seconds_waited is not None and 600 <= seconds_waited < 610
    cache.put_workflow(replace(workflow("2", uid="b"), key=Key("team", "b")))
    seconds_waited = value(measures, "runwright_argo_oldest_seconds")
    assert seconds_waited is not None and 60 <= seconds_waited < 70
    for name in ("a", "d"):
        cache.drop_workflow(Key("team", name))
    assert value(measures, "runwright_argo_oldest_seconds") == 0


async def reconcile(measures: Measures, error: BaseException | None) -> float | None:
    """Reconcile once; raise the error, or return 3.5."""

    async def once(key: Key) -> float | None:
        assert key == KEY
        if error is not None:
            raise error
        return 3.5

    return await measures.timed(once)(KEY)


async def test_successful_reconcile_is_timed():
    measures = Measures()
    assert await reconcile(measures, None) == 3.5
    assert value(measures, "runwright_reconcile_duration_seconds_count", result="success") == 1
    assert not [name for name, _ in samples(measures) if name == "runwright_reconcile_errors_total"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ApiError(409, "Conflict", ""), "Conflict"),
        (ApiError(0, "Unreachable", ""), "Unreachable"),
        (ApiError(500, "Unknown", ""), "Unknown"),
        (ApiError(403, "pod alice/train-7 is not signed", ""), "Other"),
        (ValueError("alice/train-7"), "ValueError"),
        (asyncio.CancelledError(), "CancelledError"),
    ],
)
async def test_reconcile_error_is_counted_by_reason_and_raised(error: BaseException, reason: str):
    measures = Measures()
    with pytest.raises(type(error)) as raised:
        await reconcile(measures, error)
    assert raised.value is error
    assert value(measures, "runwright_reconcile_errors_total", reason=reason) == 1
    assert value(measures, "runwright_reconcile_duration_seconds_count", result="error") == 1
    assert value(measures, "runwright_reconcile_duration_seconds_count", result="success") is None


def test_api_requests_are_counted_by_verb_resource_and_code():
    measures = Measures()
    for code, took in ((200, 0.004), (200, 0.3), (409, 0.1)):
        measures.request("patch", "pipelineruns/status", code, took)
    labels = {"verb": "patch", "resource": "pipelineruns/status"}
    name = "runwright_api_request_duration_seconds"
    assert value(measures, f"{name}_count", code="200", **labels) == 2
    assert value(measures, f"{name}_count", code="409", **labels) == 1
    assert value(measures, f"{name}_bucket", code="200", le="0.005", **labels) == 1


@pytest.mark.parametrize(
    ("tell", "name", "expected"),
    [
        (lambda m: m.snapshot_size.observe(5000), "runwright_snapshot_size_bytes_sum", 5000),
    ],
)
def test_public_metrics_are_exposed(tell: Callable[[Measures], None], name: str, expected: float):
    measures = Measures()
    assert value(measures, name) == 0
    tell(measures)
    assert value(measures, name) == expected


def test_build_info_and_process_metrics_are_exposed():
    measures = Measures()
    assert value(measures, "runwright_build_info", version=__version__) == 1
    resident = value(measures, "process_resident_memory_bytes")
    assert resident is not None and resident > 1e6


def test_no_label_has_the_name_of_a_run():
    """Whatever runs there are, the labels are these: each from a set that is finite, or a namespace."""
    measures = Measures()
    for number in range(50):
        key = Key("team", f"run-{number}")
        ended = replace(at(Phase.FAILED, seconds(1), seconds(number), "Failed"), key=key, uid=str(number))
        measures.written(replace(ended, status=PipelineRunStatus()), ended, 0.1)
        measures.request("get", "pipelineruns", 200, 0.1)
    series = samples(measures)
    assert {name for _, labels in series for name, _ in labels} == {
        *("namespace", "phase", "reason", "verb", "resource", "code", "version", "le", "shard"),
    }
    assert not re.search("run-[0-9]", generate_latest(measures.registry).decode())
    assert len(series) < 200


def test_each_measures_object_counts_separately():
    one, other = Measures(), Measures()
    one.snapshot_size.observe(5000)
    assert value(other, "runwright_snapshot_size_bytes_count") == 0
