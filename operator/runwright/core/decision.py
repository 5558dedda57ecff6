"""The result of a decision: at most one action, or the status to write, and when to decide again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from runwright.api.pipelinerun import PipelineRunStatus
from runwright.api.states import Phase, Shutdown
from runwright.core.metrics.collect import NOTHING_COLLECTED, STILL_READING, Collected, add_metrics, uncollected_nodes
from runwright.core.records import Refusal, RunRecord, WorkflowRecord
from runwright.core.status.conditions import (
    ARGO_NOT_INSTALLED,
    METRICS_COLLECTED,
    NAMESPACE_TERMINATING,
    NODES_MIRRORED,
    PREVIOUS_WORKFLOW,
    STALLED,
    SUCCEEDED,
    find_condition,
    set_condition,
)
from runwright.core.status.mirror import write_urgency

FIRST_WRITE_DELAY = timedelta(seconds=2)
"""Delay of the first status, if it is only Pending: Argo starts a Workflow within milliseconds, so one write is saved.

Counted from creationTimestamp, which has whole seconds: the effective delay is one to two seconds.
"""

NOT_THE_TENANTS = (ARGO_NOT_INSTALLED, PREVIOUS_WORKFLOW, NAMESPACE_TERMINATING)
"""Reasons of Stalled=True for which no object of a tenant is the cause."""

MIN_RETRY = timedelta(seconds=1)
MAX_RETRY = timedelta(seconds=60)
"""Bounds of the back-off after a refused creation that can succeed without an edit of the run."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What this process remembers of a run. It saves reads and writes only: the result is the same without it."""

    written_at: datetime | None = None
    """When this process last wrote the run's status."""
    refused_at: datetime | None = None
    """When a creation was last refused."""
    refused_generation: int = 0
    """The run's generation at that refusal."""
    refusal_heals: bool = True
    """Whether that refusal can end without an edit of the run."""
    collected: Collected = NOTHING_COLLECTED
    """The metrics collected from the run's nodes so far."""
    collecting: bool = False
    """Whether a collection is in progress."""


NO_MEMORY = Memory()


@dataclass(frozen=True, slots=True)
class ReadAgain:
    """Read the run and then its Workflow from the API server; then decide again."""


@dataclass(frozen=True, slots=True)
class CreateWorkflow:
    """Read the run from the API server and create its Workflow; then decide again with the result."""


@dataclass(frozen=True, slots=True)
class DeleteWorkflow:
    """Delete exactly this Workflow; then decide again."""

    workflow: WorkflowRecord
    why: str
    """Reason for the log."""


@dataclass(frozen=True, slots=True)
class ShutDownWorkflow:
    """Set `spec.shutdown` of this Workflow; then decide again with the updated Workflow."""

    workflow: WorkflowRecord
    how: Shutdown


@dataclass(frozen=True, slots=True)
class CollectMetrics:
    """Start to collect the metrics of these nodes. The run is enqueued again when that is done."""

    workflow: WorkflowRecord
    nodes: frozenset[str]


@dataclass(frozen=True, slots=True)
class RetryWorkflow:
    """Reset this failed Workflow to where it failed, as the requested attempt; then decide again."""

    workflow: WorkflowRecord


@dataclass(frozen=True, slots=True)
class RecreateWorkflow:
    """Create the Workflow of the requested attempt: from the run's snapshot, or else from its spec."""


@dataclass(frozen=True, slots=True)
class SaveSnapshot:
    """Save a snapshot of this finished Workflow, unless it exists; then decide again."""

    workflow: WorkflowRecord


@dataclass(frozen=True, slots=True)
class FindSnapshot:
    """Check whether a snapshot of the run's deleted Workflow exists; then decide again."""


@dataclass(frozen=True, slots=True)
class RestoreWorkflow:
    """Create the finished Workflow from the run's snapshot; then decide again."""


@dataclass(frozen=True, slots=True)
class SetLabels:
    """Set these labels of the run, if its resourceVersion is unchanged; then decide again. None removes a label."""

    labels: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class DeleteRun:
    """Delete the run, if its resourceVersion is unchanged. The garbage collector deletes what it owns."""


Action = (
    ReadAgain
    | CreateWorkflow
    | DeleteWorkflow
    | ShutDownWorkflow
    | CollectMetrics
    | RetryWorkflow
    | RecreateWorkflow
    | SaveSnapshot
    | FindSnapshot
    | RestoreWorkflow
    | SetLabels
    | DeleteRun
)


@dataclass(frozen=True, slots=True)
class Notice:
    """A Kubernetes Event to post about the run, after its status is written."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str
    refused: bool = False
    """Whether it reports that an object of a tenant is invalid, or beyond a bound. Files are counted where they are read."""


def event_name(run: RunRecord, notice: Notice) -> str:
    """Name of the notice's Event: a digest of its content.

    So the API server refuses a repeated Event, also after a restart of the operator.
    """
    said = f"{run.uid}/{run.generation}/{notice.reason}/{notice.message}"
    return f"{run.key.name}.{hashlib.sha256(said.encode()).hexdigest()[:16]}"


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do about a run: one action, after which the operator decides again; or a status to write and a requeue time."""

    action: Action | None = None
    status: PipelineRunStatus | None = None
    """The status to write; None if it is unchanged or can wait."""
    notices: tuple[Notice, ...] = ()
    requeue_after: timedelta | None = None


NOTHING = Decision()

AT_ONCE = timedelta(0)
"""As `requeue_after` beside a status: decide again as soon as the status is written."""


def decide_mirror(
    run: RunRecord, workflow: WorkflowRecord, status: PipelineRunStatus, now: datetime, memory: Memory
) -> Decision:
    """Decide how to write a status that mirrors a Workflow, with the metrics of its nodes.

    The status of a finished run is written with its last metrics, so that clients that wait for the end find them.
    """
    if nodes := uncollected_nodes(workflow, memory.collected):
        if not memory.collecting:
            return Decision(action=CollectMetrics(workflow, nodes))
        if workflow.finished:
            return Decision(requeue_after=STILL_READING)
    return decide_write(run, add_metrics(run, status, memory.collected, now), now, memory)


def decide_write(run: RunRecord, status: PipelineRunStatus, now: datetime, memory: Memory) -> Decision:
    """Write the status if it has changed and its delay has passed; otherwise requeue the run."""
    haste = write_urgency(run.status, status)
    if haste is None:
        return NOTHING
    due = memory.written_at + haste.value if memory.written_at else now
    if run.status.phase is None and status.phase is Phase.PENDING and not find_condition(status.conditions, STALLED):
        due = run.created_at + FIRST_WRITE_DELAY
    wait = due - now
    # A wait beyond the maximum means that the clock was set back.
    if timedelta(0) < wait <= (haste.value or FIRST_WRITE_DELAY):
        return Decision(requeue_after=wait)
    return Decision(status=status, notices=status_notices(run.status, status))


def decide_after_refusal(run: RunRecord, now: datetime, memory: Memory, action: Action) -> Decision:
    """Return `action`, or wait for its back-off if it was refused for this generation of the run.

    A refusal that the status does not report was not written; only another attempt gives its reason.
    """
    stalled = find_condition(run.status.conditions, STALLED)
    current = stalled is not None and stalled.status == "True" and stalled.observed_generation == run.generation
    if stalled is None or not current or memory.refused_at is None or memory.refused_generation != run.generation:
        return Decision(action=action)
    if not memory.refusal_heals:
        return NOTHING
    delay = refusal_backoff(stalled.last_transition_time, memory.refused_at)
    wait = memory.refused_at + delay - now
    # A wait beyond the delay means that the clock was set back.
    return Decision(requeue_after=wait) if timedelta(0) < wait <= delay else Decision(action=action)


def refusal_backoff(since: datetime, now: datetime) -> timedelta:
    """Back-off of a creation that has been refused since `since`: half of that time, between MIN_RETRY and MAX_RETRY."""
    return min(MAX_RETRY, max(MIN_RETRY, (now - since) / 2))


def stall_finished_run(run: RunRecord, refusal: Refusal, now: datetime, memory: Memory) -> Decision:
    """Report in the condition Stalled why a request of a finished run cannot be carried out; requeue if that can heal."""
    conditions = set_condition(
        run.status.conditions, STALLED, "True", refusal.reason, refusal.message, now=now, generation=run.generation
    )
    status = run.status.model_copy(update={"observed_generation": run.generation, "conditions": conditions})
    decision = decide_write(run, status, now, memory)
    stalled = find_condition(conditions, STALLED)
    if not refusal.heals or stalled is None:
        return decision
    wait = refusal_backoff(stalled.last_transition_time, now)
    return Decision(status=decision.status, notices=decision.notices, requeue_after=wait)


def status_notices(old: PipelineRunStatus, new: PipelineRunStatus) -> tuple[Notice, ...]:
    """Events for the change from one status to the next: the run failed, stalled, or lacks metrics or nodes."""
    found: list[Notice] = []
    for kind, bad in ((SUCCEEDED, "False"), (STALLED, "True"), (METRICS_COLLECTED, "False"), (NODES_MIRRORED, "False")):
        before, after = find_condition(old.conditions, kind), find_condition(new.conditions, kind)
        if after is None or after.status != bad:
            continue
        if before is None or (before.status, before.reason) != (after.status, after.reason):
            refused = kind in (STALLED, NODES_MIRRORED) and after.reason not in NOT_THE_TENANTS
            found.append(Notice("Warning", after.reason, after.message, refused))
    return tuple(found)
