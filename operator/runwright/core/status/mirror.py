"""Mirrors a Workflow in the status of its run, and decides how soon a changed status is written."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum

from runwright.api.pipelinerun import NodeStatus, PipelineRunStatus, WorkflowReference
from runwright.api.states import Phase
from runwright.core.records import RunRecord, WorkflowRecord
from runwright.core.shutdown import succeeded_reason
from runwright.core.status.conditions import (
    MESSAGE_LIMIT,
    NODES_MIRRORED,
    NODES_UNREADABLE,
    SUCCEEDED,
    ConditionStatus,
    clear_stalled,
    set_condition,
)
from runwright.core.status.sizes import shorten

REFUSED_PREFIX = "invalid spec: "
"""Prefix of Argo 3.7's message for a Workflow that failed validation (operator.go, setExecWorkflow)."""

SUCCEEDED_STATUS: dict[Phase, ConditionStatus] = {
    Phase.PENDING: "Unknown",
    Phase.RUNNING: "Unknown",
    Phase.SUCCEEDED: "True",
    Phase.SKIPPED: "True",
    Phase.FAILED: "False",
    Phase.ERROR: "False",
}


def is_refused_by_argo(workflow: WorkflowRecord) -> bool:
    """Whether the Workflow failed Argo's validation, before any node ran."""
    return workflow.finished and not workflow.nodes and workflow.message.startswith(REFUSED_PREFIX)


def mirrored_phase(workflow: WorkflowRecord) -> Phase:
    """The run's phase: the Workflow's, or Pending if that is empty or unknown.

    Failed for a Workflow with a shutdown: Argo (3.7) can report Error if the exit handler was killed.
    """
    if workflow.shutdown and workflow.phase == Phase.ERROR:
        return Phase.FAILED
    return Phase(workflow.phase) if workflow.phase in list(Phase) else Phase.PENDING


def base_status(run: RunRecord) -> PipelineRunStatus:
    """The run's status with the fields that do not depend on its Workflow."""
    return run.status.model_copy(
        update={
            "observed_generation": run.generation,
            "scheduled_at": run.status.scheduled_at or run.created_at,
            "retries": run.retries if run.status.retries is None else run.status.retries,
        }
    )


def mirror_workflow(run: RunRecord, workflow: WorkflowRecord, now: datetime) -> PipelineRunStatus:
    """The status of a run with this Workflow. It reports observed state only."""
    phase = mirrored_phase(workflow)
    conditions = set_condition(
        run.status.conditions,
        SUCCEEDED,
        SUCCEEDED_STATUS[phase],
        succeeded_reason(workflow, phase),
        outcome_message(workflow, phase),
        now=now,
        generation=run.generation,
    )
    conditions = clear_stalled(conditions, now=now, generation=run.generation)
    if workflow.nodes_problem:
        conditions = set_condition(
            conditions,
            NODES_MIRRORED,
            "False",
            NODES_UNREADABLE,
            f"{workflow.nodes_problem}; the run has its phase, but no nodes, outputs and metrics",
            now=now,
            generation=run.generation,
        )
    else:
        conditions = [condition for condition in conditions if condition.type != NODES_MIRRORED]
    finished_at = (workflow.finished_at or now.replace(microsecond=0)) if phase.finished else None
    return base_status(run).model_copy(
        update={
            "phase": phase,
            "message": shorten(workflow.message, MESSAGE_LIMIT) or None,
            "workflow": WorkflowReference(name=workflow.key.name, uid=workflow.uid),
            "started_at": workflow.started_at,
            "finished_at": finished_at,
            "duration": format_duration(workflow.started_at, finished_at),
            "progress": workflow.progress or None,
            "nodes": list(workflow.nodes) or None,
            "nodes_omitted": workflow.nodes_omitted or None,
            "outputs": workflow.outputs,
            "conditions": conditions,
        }
    )


def outcome_message(workflow: WorkflowRecord, phase: Phase) -> str:
    """Message of the condition Succeeded: Argo's message, and for a failed run the node that failed."""
    if phase not in (Phase.FAILED, Phase.ERROR):
        return workflow.message
    node = failed_node(workflow.nodes)
    if node is None or (node.message and node.message in workflow.message):
        return workflow.message
    failure = f"node {node.name} ({node.id}): {node.message or node.phase}"
    return f"{workflow.message}; {failure}" if workflow.message else failure


def failed_node(nodes: tuple[NodeStatus, ...]) -> NodeStatus | None:
    """The first failed node; pods come before groups, which fail because of them."""
    failed = [node for node in nodes if node.phase in ("Failed", "Error")]
    return next((node for node in failed if node.type == "Pod"), failed[0] if failed else None)


def format_duration(start: datetime | None, end: datetime | None) -> str | None:
    """The time between two times, such as `42s`, `1m12s` or `3h5m`; None if one is missing."""
    if start is None or end is None:
        return None
    seconds = max(0, round((end - start).total_seconds()))
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m"
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"


class Urgency(Enum):
    """Minimum time between two writes of a status, by what has changed."""

    NOW = timedelta(0)
    PROGRESS = timedelta(seconds=2)
    DETAIL = timedelta(seconds=10)


def write_urgency(old: PipelineRunStatus, new: PipelineRunStatus) -> Urgency | None:
    """How soon to write the new status; None if it equals the old one.

    Changes of phase, conditions and Workflow are written at once: people and programs wait for them. Progress and node
    changes are coalesced, because every write costs etcd and every watcher.
    """
    if old == new:
        return None
    if any(
        getattr(old, name) != getattr(new, name) for name in ("observed_generation", "phase", "workflow", "retries")
    ):
        return Urgency.NOW
    if condition_verdicts(old) != condition_verdicts(new):
        return Urgency.NOW
    return Urgency.PROGRESS if (old.progress, old.message) != (new.progress, new.message) else Urgency.DETAIL


def condition_verdicts(status: PipelineRunStatus) -> list[tuple[str, str, str]]:
    """Type, status and reason of each condition."""
    return [(c.type, c.status, c.reason) for c in status.conditions or ()]
