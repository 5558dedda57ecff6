"""Metrics that the nodes of a run have left, from their being read to the run's status.

They are read once, when a node ends, and the end of the run is told together with the last of them. After a crash they
are read again: the first report of a metric holds, so nothing is doubled.
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
"""When to look again at a run that has ended and whose metrics are being read, should nobody tell that they are."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What was read so far."""

    nodes: frozenset[str] = frozenset()
    """The nodes whose metrics were read, or cannot be."""
    reports: tuple[Report, ...] = ()
    problems: tuple[str, ...] = ()
    """What could not be read: which node, and why."""


NOTHING_COLLECTED = Collected()


def uncollected_nodes(workflow: WorkflowRecord, collected: Collected) -> frozenset[str]:
    """The nodes that have left metrics which nobody has read yet."""
    return frozenset(workflow.metric_nodes) - collected.nodes


def add_metrics(run: RunRecord, status: PipelineRunStatus, collected: Collected, now: datetime) -> PipelineRunStatus:
    """The status with what was read; what could not be taken is told by a condition, which is there only then."""
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
