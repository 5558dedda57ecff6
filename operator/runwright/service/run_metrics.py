"""ReportRunMetrics: reports of clients, into the status of the run that etcd has."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence

from runwright.core.metrics.reports import Report, ReportStatus, Result, add_reports
from runwright.core.run_record import run_record
from runwright.kube.errors import ApiError
from runwright.service.contract.run_pb2 import ReportRunMetricsResponse, RunMetric
from runwright.service.errors import ServiceError, invalid_argument
from runwright.service.runs import EDIT_ATTEMPTS, Runs, StoredRun

logger = logging.getLogger(__name__)

MAX_OF_A_CALL = 1000
"""Metrics of one call: what is beyond a run's own limit is refused one by one, what is beyond this as a whole."""

ReportResult = ReportRunMetricsResponse.ReportRunMetricResult


class MetricReports:
    """Puts reported metrics into runs; of two who report the same one at a time, one is the first."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    async def report(self, found: StoredRun, metrics: Sequence[RunMetric]) -> ReportRunMetricsResponse:
        """What became of each metric, in their order. Raises ServiceError where the run is gone or the call is too large."""
        if len(metrics) > MAX_OF_A_CALL:
            raise invalid_argument(f"metrics: expected {MAX_OF_A_CALL} at most, found {len(metrics)}")
        reports = [
            Report(one.node_id, one.name, one.number_value, "UNSPECIFIED" if one.format == 0 else one.format)
            for one in metrics
        ]
        results: list[Result] = []
        for tried in range(EDIT_ATTEMPTS):
            record = run_record(found.body)
            held = record.status.metrics or []
            after, results = add_reports(held, reports)
            if len(after) == len(held):
                return metrics_response(results)
            status = {"metrics": [one.model_dump(mode="json", by_alias=True) for one in after]}
            version = {"resourceVersion": record.resource_version}
            try:
                await self._runs.edit(found, {"metadata": version, "status": status}, "status")
                return metrics_response(results)
            except (ApiError, ServiceError) as error:
                if not isinstance(error, ApiError) or error.code != 409:
                    logger.warning("metrics of PipelineRun %s cannot be written: %s", found.key, error)
                    break
            await asyncio.sleep(random.uniform(0, 0.02 * 2**tried))
            found = await self._runs.read(found.id, found.key)
        return metrics_response([to_internal_error(one) if one.status is ReportStatus.OK else one for one in results])


def to_internal_error(result: Result) -> Result:
    """A metric that was good, and could not be written."""
    return Result(result.name, result.node_id, ReportStatus.INTERNAL_ERROR, "Internal Server Error")


def metrics_response(results: Sequence[Result]) -> ReportRunMetricsResponse:
    """The results in the words of the contract."""
    return ReportRunMetricsResponse(
        results=[
            ReportResult(
                metric_name=one.name,
                metric_node_id=one.node_id,
                status=ReportResult.Status.Value(one.status.value),
                message=one.message,
            )
            for one in results
        ]
    )
