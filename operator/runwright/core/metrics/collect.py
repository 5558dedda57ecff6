"""Adds the metrics that were collected from a run's nodes to the run's status.

Metrics are collected once, when a node ends. The end of the run is written together with the last of them. After a crash
they are collected again; only the first report of a metric counts, so there are no duplicates.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from runwright.api.pipelinerun import PipelineRunStatus
from runwright.core.metrics.reports import Report, ReportStatus, add_reports
from runwright.core.records import RunRecord, WorkflowRecord
from runwright.core.status.conditions import MESSAGE_LIMIT, METRICS_COLLECTED, METRICS_REFUSED, set_condition
from runwright.core.status.sizes import shorten

STILL_READING = timedelta(seconds=5)
"""Requeue delay of a finished run while its metrics are collected, in case the collector does not enqueue it."""


@dataclass(frozen=True, slots=True)
class Collected:
    """The metrics collected from a run so far."""

    nodes: frozenset[str] = frozenset()
    """The nodes that were processed, with or without success."""
    reports: tuple[Report, ...] = ()
    problems: tuple[str, ...] = ()
    """Messages about nodes without readable metrics."""


NOTHING_COLLECTED = Collected()


def uncollected_nodes(workflow: WorkflowRecord, collected: Collected) -> frozenset[str]:
    """The nodes with a metrics output that was not collected yet."""
    return frozenset(workflow.metric_nodes) - collected.nodes


def add_metrics(run: RunRecord, status: PipelineRunStatus, collected: Collected, now: datetime) -> PipelineRunStatus:
    """The status with the collected metrics; the condition MetricsCollected=False reports refused ones."""
    if collected == NOTHING_COLLECTED:
        return status
    metrics, results = add_reports(status.metrics or (), collected.reports)
    refused = [
        f"node {result.node_id}: {result.message}"
        for result in results
        if result.status is ReportStatus.INVALID_ARGUMENT
    ]
    conditions, problems = status.conditions, [*collected.problems, *refused]
    if problems:
        message = shorten("; ".join(problems), MESSAGE_LIMIT)
        conditions = set_condition(
            conditions, METRICS_COLLECTED, "False", METRICS_REFUSED, message, now=now, generation=run.generation
        )
    return status.model_copy(update={"metrics": metrics or None, "conditions": conditions})
