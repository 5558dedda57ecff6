"""What a decision is: at most one action, else the status to be written, and when to come back."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from runwright.api.pipelinerun import PipelineRunStatus
from runwright.api.states import Phase, Shutdown
from runwright.core.metrics.collect import NOTHING_COLLECTED, STILL_READING, Collected, add_metrics, uncollected_nodes
from runwright.core.records import Refusal, RunRecord, WorkflowRecord
from runwright.core.status.conditions import METRICS_COLLECTED, STALLED, SUCCEEDED, find_condition, set_condition
from runwright.core.status.mirror import write_urgency

FIRST_WRITE_DELAY = timedelta(seconds=2)
"""How long the first, merely Pending status waits: Argo takes a Workflow up within milliseconds, which saves a write.

Counted from creationTimestamp, which has whole seconds: in truth it waits one to two.
"""

MIN_RETRY = timedelta(seconds=1)
MAX_RETRY = timedelta(seconds=60)
"""Bounds of the wait before a refused creation that may heal is tried again."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What the operator remembers of a run beyond etcd. It only spares reads and writes: without it, all ends the same."""

    written_at: datetime | None = None
    """When this process last wrote the run's status."""
    refused_at: datetime | None = None
    """When a creation was last refused."""
    refused_generation: int = 0
    """The generation that was refused."""
    refusal_heals: bool = True
    """Whether that refusal can go away without an edit of the run."""
    collected: Collected = NOTHING_COLLECTED
    """The metrics that were read of the run's nodes."""
    collecting: bool = False
    """Whether more are being read now."""


NO_MEMORY = Memory()


@dataclass(frozen=True, slots=True)
class ReadAgain:
    """Read the run and then its Workflow from the API server and decide again."""


@dataclass(frozen=True, slots=True)
class CreateWorkflow:
    """Read the run from the API server, create its Workflow, and decide again with what came of it."""


@dataclass(frozen=True, slots=True)
class DeleteWorkflow:
    """Delete exactly this Workflow and decide again."""

    workflow: WorkflowRecord
    why: str
    """For the log: what makes it superfluous."""


@dataclass(frozen=True, slots=True)
class ShutDownWorkflow:
    """Tell Argo to end this Workflow early, and decide again with what the API server made of that."""

    workflow: WorkflowRecord
    how: Shutdown


@dataclass(frozen=True, slots=True)
class CollectMetrics:
    """Begin to read the metrics that these nodes have left. The run is looked at again when that is done."""

    workflow: WorkflowRecord
    nodes: frozenset[str]


@dataclass(frozen=True, slots=True)
class RetryWorkflow:
    """Set this failed Workflow back to where it failed, as the attempt that the run asks for, and decide again."""

    workflow: WorkflowRecord


@dataclass(frozen=True, slots=True)
class RecreateWorkflow:
    """Begin the attempt that the run asks for without a Workflow: from its snapshot, else from the run's spec."""


@dataclass(frozen=True, slots=True)
class SaveSnapshot:
    """See to it that there is a snapshot of this finished Workflow, and decide again."""

    workflow: WorkflowRecord


@dataclass(frozen=True, slots=True)
class FindSnapshot:
    """Look whether there is a snapshot of the run's Workflow, which is gone, and decide again."""


@dataclass(frozen=True, slots=True)
class RestoreWorkflow:
    """Create the run's Workflow from its snapshot, finished as it was, and decide again."""


@dataclass(frozen=True, slots=True)
class SetLabels:
    """Set these labels of the run, if it is still as it was read, and decide again; None takes one away."""

    labels: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class DeleteRun:
    """Delete the run, if it is still as it was read; what it owns goes with it."""


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
    """A Kubernetes Event to be posted about the run, once its status says the same."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


def event_name(run: RunRecord, notice: Notice) -> str:
    """Name of the notice's Event, made from what it says.

    So the API server drops a repetition, and an operator that was restarted says nothing twice.
    """
    said = f"{run.uid}/{run.generation}/{notice.reason}/{notice.message}"
    return f"{run.key.name}.{hashlib.sha256(said.encode()).hexdigest()[:16]}"


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do about a run: at most one action, after which it is decided anew; else what to write and when to return."""

    action: Action | None = None
    status: PipelineRunStatus | None = None
    """To be written; None where etcd says it already or it may wait."""
    notices: tuple[Notice, ...] = ()
    requeue_after: timedelta | None = None


NOTHING = Decision()

AT_ONCE = timedelta(0)
"""As `requeue_after` of a status: decide again as soon as it is written."""


def decide_mirror(
    run: RunRecord, workflow: WorkflowRecord, status: PipelineRunStatus, now: datetime, memory: Memory
) -> Decision:
    """Write what a Workflow makes of the run's status, with the metrics that its nodes have left.

    The end is told with the last of them: whoever waits for it finds them.
    """
    if nodes := uncollected_nodes(workflow, memory.collected):
        if not memory.collecting:
            return Decision(action=CollectMetrics(workflow, nodes))
        if workflow.finished:
            return Decision(requeue_after=STILL_READING)
    return decide_write(run, add_metrics(run, status, memory.collected, now), now, memory)


def decide_write(run: RunRecord, status: PipelineRunStatus, now: datetime, memory: Memory) -> Decision:
    """Write the status if it says something new and its time has come; else come back when it has."""
    haste = write_urgency(run.status, status)
    if haste is None:
        return NOTHING
    due = memory.written_at + haste.value if memory.written_at else now
    if run.status.phase is None and status.phase is Phase.PENDING and not find_condition(status.conditions, STALLED):
        due = run.created_at + FIRST_WRITE_DELAY
    wait = due - now
    # A longer wait than there can be means that the clock has stepped back.
    if timedelta(0) < wait <= (haste.value or FIRST_WRITE_DELAY):
        return Decision(requeue_after=wait)
    return Decision(status=status, notices=status_notices(run.status, status))


def decide_after_refusal(run: RunRecord, now: datetime, memory: Memory, action: Action) -> Decision:
    """Try again what was refused, when it is time; at once what was not, or is not known to have been.

    A refusal that the status does not tell was not written: only another try gives its reason again.
    """
    stalled = find_condition(run.status.conditions, STALLED)
    current = stalled is not None and stalled.status == "True" and stalled.observed_generation == run.generation
    if stalled is None or not current or memory.refused_at is None or memory.refused_generation != run.generation:
        return Decision(action=action)
    if not memory.refusal_heals:
        return NOTHING
    delay = refusal_backoff(stalled.last_transition_time, memory.refused_at)
    wait = memory.refused_at + delay - now
    # A longer wait than the delay means that the clock has stepped back.
    return Decision(requeue_after=wait) if timedelta(0) < wait <= delay else Decision(action=action)


def refusal_backoff(since: datetime, now: datetime) -> timedelta:
    """Wait before the next try of a creation that has been refused since then: half as long again, in bounds."""
    return min(MAX_RETRY, max(MIN_RETRY, (now - since) / 2))


def stall_finished_run(run: RunRecord, refusal: Refusal, now: datetime, memory: Memory) -> Decision:
    """What a finished run asks for cannot be done now: it stays as it ended and says why; tried again where that may heal."""
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
    """What a person should notice in the step from one status to the next: that a run failed, or waits for somebody."""
    told: list[Notice] = []
    for kind, bad in ((SUCCEEDED, "False"), (STALLED, "True"), (METRICS_COLLECTED, "False")):
        before, after = find_condition(old.conditions, kind), find_condition(new.conditions, kind)
        if after is None or after.status != bad:
            continue
        if before is None or (before.status, before.reason) != (after.status, after.reason):
            told.append(Notice("Warning", after.reason, after.message))
    return tuple(told)
