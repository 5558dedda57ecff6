"""ReportRunMetrics: each metric has a result of its own."""

from __future__ import annotations

import asyncio

import pytest

from runwright.core.metrics.reports import MAX_OF_A_RUN
from runwright.kube import edit
from runwright.kube.errors import ApiError
from runwright.service.contract.run_pb2 import (
    ReportRunMetricsRequest,
    RunMetric,
)
from runwright.service.errors import Code
from runwright.service.runs import EDIT_ATTEMPTS
from tests.unit.service.bench import Bench
from tests.unit.service.requests import (
    create_run,
)


def metrics(*names: str, value: float = 1.0) -> list[RunMetric]:
    return [RunMetric(name=name, node_id="n", number_value=value) for name in names]


async def report(it: Bench, id: str, *reported: RunMetric) -> list[int]:
    reply = await it.call("RunService/ReportRunMetrics", ReportRunMetricsRequest(run_id=id, metrics=reported))
    assert [one.metric_name for one in reply.results] == [one.name for one in reported]
    return [one.status for one in reply.results]


OK, INVALID, DUPLICATE, INTERNAL = 1, 2, 3, 4


async def test_each_metric_has_its_result_and_the_first_report_is_kept():
    it = Bench()
    id = await create_run(it)
    reported = [*metrics("a", "1bad", "a"), *metrics("nan", value=float("nan")), *metrics("b", value=2)]
    assert await report(it, id, *reported) == [OK, INVALID, DUPLICATE, INVALID, OK]
    assert await report(it, id, *metrics("a", value=9)) == [DUPLICATE]
    held = it.run()["status"]["metrics"]
    assert [(one["name"], one["value"]) for one in held] == [("a", 1.0), ("b", 2.0)]
    assert it.writes.count("patch pipelineruns/status") == 1, "a report without a new metric writes nothing"


async def test_reports_at_the_same_time_are_all_kept_once():
    it = Bench()
    id = await create_run(it)
    results = await asyncio.gather(*(report(it, id, *metrics("same", f"own-{n}")) for n in range(6)))
    assert sorted(one[0] for one in results) == [OK] + [DUPLICATE] * 5
    assert [one[1] for one in results] == [OK] * 6
    assert sorted(one["name"] for one in it.run()["status"]["metrics"]) == sorted(
        ["same", *(f"own-{n}" for n in range(6))]
    )


async def test_a_failed_write_is_an_internal_error_of_each_valid_metric():
    it = Bench()
    id = await create_run(it)

    def fail(call: str) -> None:
        if call == "patch pipelineruns/status":
            raise ApiError(500, "InternalError", "etcd")

    it.client.before = fail
    assert await report(it, id, *metrics("a", "1bad", "b")) == [INTERNAL, INVALID, INTERNAL]
    assert (
        await it.refused(
            "RunService/ReportRunMetrics", ReportRunMetricsRequest(run_id=id, metrics=metrics(*["a"] * 1001))
        )
    ).code == 3


async def test_metrics_beyond_the_limit_of_a_run_are_refused():
    it = Bench()
    id = await create_run(it)
    results = await report(it, id, *metrics(*(f"m{n}" for n in range(MAX_OF_A_RUN + 2))))
    assert results == [OK] * MAX_OF_A_RUN + [INVALID] * 2


async def test_a_conflict_is_decided_again_from_the_run_as_it_is_then():
    it = Bench()
    id = await create_run(it)

    def report_first(call: str) -> None:
        if call == "patch pipelineruns/status":
            it.client.before = lambda call: None
            it.set_status(metrics=[{"name": "a", "nodeID": "n", "value": 5.0}])

    it.client.before = report_first
    assert await report(it, id, *metrics("a", "b")) == [DUPLICATE, OK]
    assert [(one["name"], one["value"]) for one in it.run()["status"]["metrics"]] == [("a", 5.0), ("b", 1.0)]


async def test_conflicts_without_end_are_an_internal_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(edit, "PAUSE_SECONDS", 0.0)
    it = Bench()
    id = await create_run(it)
    it.client.fail("patch pipelineruns/status", *[ApiError(409, "Conflict", "")] * 100)
    assert await report(it, id, *metrics("a")) == [INTERNAL]
    assert it.writes.count("patch pipelineruns/status") == EDIT_ATTEMPTS


async def test_a_run_that_is_deleted_meanwhile_is_not_found():
    it = Bench()
    id = await create_run(it)

    def delete(call: str) -> None:
        if call == "patch pipelineruns/status":
            it.server.delete("PipelineRun", "team", it.run()["metadata"]["name"])

    it.client.before = delete
    request = ReportRunMetricsRequest(run_id=id, metrics=metrics("a"))
    assert (await it.refused("RunService/ReportRunMetrics", request)).code == Code.NOT_FOUND
