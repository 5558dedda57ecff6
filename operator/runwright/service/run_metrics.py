"""ReportRunMetrics: writes reported metrics into the status of a run."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from runwright.core.metrics.reports import Report, ReportStatus, Result, add_reports
from runwright.core.run_record import run_record
from runwright.kube.edit import edit_until_accepted
from runwright.kube.errors import ApiError
from runwright.kube.objects import Key
from runwright.service.contract.run_pb2 import ReportRunMetricsResponse, RunMetric
from runwright.service.errors import Code, ServiceError, invalid_argument
from runwright.service.runs import EDIT_ATTEMPTS, Runs, StoredRun

logger = logging.getLogger(__name__)

MAX_METRICS_PER_CALL = 1000
"""Metrics in one call. A metric beyond the run's own limit is refused by itself; a call beyond this limit as a whole."""

ReportResult = ReportRunMetricsResponse.ReportRunMetricResult


class MetricReports:
    """Adds reported metrics to runs. Of two reports of one metric at the same time, exactly one is accepted."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    async def report(self, id: str, key: Key, metrics: Sequence[RunMetric]) -> ReportRunMetricsResponse:
        """Add metrics to the run; returns a result for each, in order.

        Raises ServiceError where the call is too large or the run does not exist, and ApiError where it cannot be read.
        """
        if len(metrics) > MAX_METRICS_PER_CALL:
            raise invalid_argument(f"metrics: expected {MAX_METRICS_PER_CALL} at most, found {len(metrics)}")
        reports = [
            Report(one.node_id, one.name, one.number_value, "UNSPECIFIED" if one.format == 0 else one.format)
            for one in metrics
        ]
        results: list[Result] | None = None

        async def write(run: StoredRun) -> None:
            nonlocal results
            record = run_record(run.body)
            held = record.status.metrics or []
            after, results = add_reports(held, reports)
            if len(after) == len(held):
                return
            status = {"metrics": [one.model_dump(mode="json", by_alias=True) for one in after]}
            patch = {"metadata": {"resourceVersion": record.resource_version}, "status": status}
            await self._runs.edit(run, patch, "status")

        try:
            await edit_until_accepted(lambda: self._runs.read(id, key), write, EDIT_ATTEMPTS)
        except (ApiError, ServiceError) as error:
            if results is None or (isinstance(error, ServiceError) and error.code == Code.NOT_FOUND):
                raise
            logger.warning("metrics of PipelineRun %s cannot be written: %s", key, error)
            results = [to_internal_error(one) if one.status is ReportStatus.OK else one for one in results]
        return metrics_response(results or [])


def to_internal_error(result: Result) -> Result:
    """The result of a valid metric that could not be written."""
    return Result(result.name, result.node_id, ReportStatus.INTERNAL_ERROR, "Internal Server Error")


def metrics_response(results: Sequence[Result]) -> ReportRunMetricsResponse:
    """The reply with these results."""
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
