"""The decision: from a run and what is known of its Workflow to what is to be written and done.

Total and pure: every record gives a decision, the same one every time. `docs/architecture.md` has it as a table.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from runwright.api.pipelinerun import Phase, PipelineRunStatus, Shutdown
from runwright.core.conditions import (
    CLEARED,
    MESSAGE_LIMIT,
    PREVIOUS_WORKFLOW,
    STALLED,
    SUCCEEDED,
    WORKFLOW_DELETED,
    WORKFLOW_NAME_TAKEN,
    WORKFLOW_REFUSED,
    find,
    set_condition,
)
from runwright.core.mirror import begin_status, duration, mirror, refused_by_argo, urgency
from runwright.core.records import Absent, NotSeen, Refusal, RunRecord, Seen, WorkflowRecord
from runwright.core.shutdown import NOT_STARTED, TERMINATED, shutdown_due
from runwright.core.sizes import shorten

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


@dataclass(frozen=True, slots=True)
class Look:
    """Read the run and then its Workflow from the API server and decide again."""


@dataclass(frozen=True, slots=True)
class Create:
    """Read the run from the API server, create its Workflow, and decide again with what came of it."""


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete exactly this Workflow and decide again: it is made from an outdated spec, or the run has another one."""

    workflow: WorkflowRecord


@dataclass(frozen=True, slots=True)
class ShutDown:
    """Tell Argo to end this Workflow early, and decide again with what the API server made of that."""

    workflow: WorkflowRecord
    how: Shutdown


Action = Look | Create | Delete | ShutDown


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


def reconcile(run: RunRecord, seen: Seen, now: datetime, memory: Memory = Memory()) -> Decision:
    """Decide about one run.

    A deleted run needs nothing: the garbage collector takes its Workflow by the owner reference. A finished run keeps
    its status, whatever happens to its Workflow.
    """
    if run.deleting:
        return NOTHING
    if run.finished:
        if isinstance(seen, WorkflowRecord) and stray(run, seen):
            return Decision(action=Delete(seen))
        return write(run, run.status.model_copy(update={"observed_generation": run.generation}), now, memory)
    match seen:
        case NotSeen() | Refusal() if run.shutdown:
            # A run that is to end needs no Workflow; but one may have been created before a crash.
            return Decision(action=Look())
        case NotSeen():
            return look_or_create(run, now, memory)
        case Absent():
            return without_workflow(run, now, memory) or look_or_create(run, now, memory)
        case Refusal():
            return stall(run, seen, now, memory)
        case WorkflowRecord():
            return with_workflow(run, seen, now, memory)


def look_or_create(run: RunRecord, now: datetime, memory: Memory) -> Decision:
    """No Workflow is at hand: one that the run has had is looked for, else one is created, unless that was refused."""
    if run.status.workflow:
        return Decision(action=Look())
    stalled = find(run.status.conditions, STALLED)
    current = stalled is not None and stalled.status == "True" and stalled.observed_generation == run.generation
    if stalled is not None and current and stalled.reason == WORKFLOW_REFUSED:
        return NOTHING
    # A refusal that the status does not tell was not written: only another try gives its reason again.
    if stalled is None or not current or memory.refused_at is None or memory.refused_generation != run.generation:
        return Decision(action=Create())
    if not memory.refusal_heals:
        return NOTHING
    delay = retry_delay(stalled.last_transition_time, memory.refused_at)
    wait = memory.refused_at + delay - now
    # A longer wait than the delay means that the clock has stepped back.
    return Decision(requeue_after=wait) if timedelta(0) < wait <= delay else Decision(action=Create())


def retry_delay(since: datetime, now: datetime) -> timedelta:
    """Wait before the next try of a creation that has been refused since then: half as long again, in bounds."""
    return min(MAX_RETRY, max(MIN_RETRY, (now - since) / 2))


def with_workflow(run: RunRecord, workflow: WorkflowRecord, now: datetime, memory: Memory) -> Decision:
    """A Workflow of the run's name exists."""
    if workflow.owner_uid != run.uid:
        return without_workflow(run, now, memory) or stall(run, foreign(run, workflow), now, memory)
    if stray(run, workflow):
        return Decision(action=Delete(workflow))
    if refused_by_argo(workflow):
        if run.shutdown:
            return terminated(run, now, memory)
        if run.status.workflow is None and 0 < workflow.generation < run.generation:
            return Decision(action=Delete(workflow))
        return stall(run, Refusal(WORKFLOW_REFUSED, workflow.message), now, memory)
    if outdated(run, workflow) and not workflow.finished:
        return Decision(action=Delete(workflow))
    if how := shutdown_due(run, workflow):
        return Decision(action=ShutDown(workflow, how))
    return write(run, mirror(run, workflow, now), now, memory)


def outdated(run: RunRecord, workflow: WorkflowRecord) -> bool:
    """Whether what the Workflow was made from has been edited since.

    That is allowed until the run's status names the Workflow, and what the run says then holds: so a second
    `kubectl apply` right after the first one runs what it applied, and not what it replaced.
    """
    known = run.source_digest and workflow.source_digest
    return bool(known) and run.source_digest != workflow.source_digest


def stray(run: RunRecord, workflow: WorkflowRecord) -> bool:
    """Whether the Workflow is the run's, and yet not the one that the run has.

    That is one too many: an operator that was paused between its last look and its create made it, after the first
    one had been seen and was deleted. Kubernetes has no transaction over two objects that could have prevented it.
    """
    known = run.status.workflow
    return known is not None and workflow.owner_uid == run.uid and workflow.uid != known.uid


def foreign(run: RunRecord, workflow: WorkflowRecord) -> Refusal:
    """Why a Workflow that has the run's name, and not the run as its controller, stands in the way."""
    if workflow.owner_name == run.key.name:
        return Refusal(
            PREVIOUS_WORKFLOW,
            f"Workflow {workflow.key} belongs to an earlier PipelineRun of this name and is being collected; "
            "the run starts when it is gone",
            heals=True,
        )
    return Refusal(
        WORKFLOW_NAME_TAKEN,
        f"Workflow {workflow.key} exists and is not controlled by this PipelineRun: delete that Workflow, or give the "
        "run another name",
        heals=True,
    )


def stall(run: RunRecord, refusal: Refusal, now: datetime, memory: Memory) -> Decision:
    """The run has no Workflow that can run: say why, and come back where it may heal."""
    conditions = set_condition(
        run.status.conditions, SUCCEEDED, "Unknown", refusal.reason, refusal.message, now=now, generation=run.generation
    )
    conditions = set_condition(
        conditions, STALLED, "True", refusal.reason, refusal.message, now=now, generation=run.generation
    )
    status = begin_status(run).model_copy(
        update={
            "phase": Phase.PENDING,
            "message": shorten(refusal.message, MESSAGE_LIMIT),
            "workflow": None,
            "started_at": None,
            "progress": None,
            "nodes": None,
            "nodes_omitted": None,
            "outputs": None,
            "conditions": conditions,
        }
    )
    decision = write(run, status, now, memory)
    if not refusal.heals:
        return decision
    stalled = find(conditions, STALLED)
    since = stalled.last_transition_time if stalled else now
    return Decision(status=decision.status, notices=decision.notices, requeue_after=retry_delay(since, now))


def without_workflow(run: RunRecord, now: datetime, memory: Memory) -> Decision | None:
    """How a run ends whose own Workflow is certainly not there; None where it is still to have one."""
    if run.shutdown:
        return terminated(run, now, memory)
    return workflow_deleted(run, now, memory) if run.status.workflow else None


def workflow_deleted(run: RunRecord, now: datetime, memory: Memory) -> Decision:
    """The Workflow that the run had is gone before its end was seen: the run ends, and is never started anew."""
    name = run.status.workflow.name if run.status.workflow else run.key.name
    phase = (run.status.phase or Phase.PENDING).value
    message = (
        f"Workflow {run.key.namespace}/{name} was deleted while the run was {phase}; what it did after that is not "
        "known. To run it again, create a new PipelineRun"
    )
    return end(run, Phase.ERROR, WORKFLOW_DELETED, message, now, memory)


def terminated(run: RunRecord, now: datetime, memory: Memory) -> Decision:
    """The run is to be shut down and has no Workflow: it ends without one, or what it had has been deleted meanwhile."""
    message = NOT_STARTED
    if run.status.workflow:
        message = f"Workflow {run.key.namespace}/{run.status.workflow.name} was deleted while it was being shut down"
    return end(run, Phase.FAILED, TERMINATED, message, now, memory)


def end(run: RunRecord, phase: Phase, reason: str, message: str, now: datetime, memory: Memory) -> Decision:
    """The run ends without a Workflow that could tell how."""
    conditions = set_condition(
        run.status.conditions, SUCCEEDED, "False", reason, message, now=now, generation=run.generation
    )
    if find(conditions, STALLED):
        conditions = set_condition(conditions, STALLED, "False", CLEARED, "", now=now, generation=run.generation)
    status = begin_status(run).model_copy(
        update={
            "phase": phase,
            "message": message,
            "finished_at": now.replace(microsecond=0),
            "duration": duration(run.status.started_at, now),
            "conditions": conditions,
        }
    )
    return write(run, status, now, memory)


def write(run: RunRecord, status: PipelineRunStatus, now: datetime, memory: Memory) -> Decision:
    """Write the status if it says something new and its time has come; else come back when it has."""
    haste = urgency(run.status, status)
    if haste is None:
        return NOTHING
    due = memory.written_at + haste.value if memory.written_at else now
    if run.status.phase is None and status.phase is Phase.PENDING and not find(status.conditions, STALLED):
        due = run.created_at + FIRST_WRITE_DELAY
    wait = due - now
    # A longer wait than there can be means that the clock has stepped back.
    if timedelta(0) < wait <= (haste.value or FIRST_WRITE_DELAY):
        return Decision(requeue_after=wait)
    return Decision(status=status, notices=notices(run.status, status))


def notices(old: PipelineRunStatus, new: PipelineRunStatus) -> tuple[Notice, ...]:
    """What a person should notice in the step from one status to the next: that a run failed, or waits for somebody."""
    told: list[Notice] = []
    for kind, bad in ((SUCCEEDED, "False"), (STALLED, "True")):
        before, after = find(old.conditions, kind), find(new.conditions, kind)
        if after is None or after.status != bad:
            continue
        if before is None or (before.status, before.reason) != (after.status, after.reason):
            told.append(Notice("Warning", after.reason, after.message))
    return tuple(told)
