"""The decision: what to write and do for a run, from its record and what is known about its Workflow.

Total and pure: every input gives a decision, and equal inputs give equal decisions. `docs/lifecycle.md` shows it as a table.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from runwright.api.states import Phase
from runwright.core.decision import (
    NO_MEMORY,
    NOTHING,
    CreateWorkflow,
    Decision,
    DeleteWorkflow,
    Memory,
    ReadAgain,
    ShutDownWorkflow,
    decide_after_refusal,
    decide_mirror,
    decide_write,
    refusal_backoff,
)
from runwright.core.finished import decide_finished
from runwright.core.records import Absent, Kept, NotSeen, Refusal, RunRecord, Seen, WorkflowRecord
from runwright.core.retention.periods import NO_TERMS, RetentionTerms
from runwright.core.shutdown import NOT_STARTED, TERMINATED, shutdown_due
from runwright.core.status.conditions import (
    MESSAGE_LIMIT,
    STALLED,
    SUCCEEDED,
    WORKFLOW_DELETED,
    WORKFLOW_REFUSED,
    clear_stalled,
    find_condition,
    set_condition,
)
from runwright.core.status.mirror import base_status, format_duration, is_refused_by_argo, mirror_workflow
from runwright.core.status.sizes import shorten
from runwright.core.workflow.ownership import STRAY, foreign_refusal, is_previous_attempt, is_stray

WATCH_LAG = timedelta(seconds=10)
"""Requeue delay if the cached Workflow is from before the current attempt: its watch event has not arrived."""

OUTDATED = "the run was edited after its Workflow was built and before its status named the Workflow"


def reconcile(
    run: RunRecord, seen: Seen, now: datetime, memory: Memory = NO_MEMORY, terms: RetentionTerms = NO_TERMS
) -> Decision:
    """Decide about one run.

    A run that is being deleted needs nothing: the garbage collector deletes its Workflow through the owner reference.
    """
    if run.deleting:
        return NOTHING
    if run.imported and run.status.phase is None:
        # The import writes its status next, which may say that the run has ended.
        return NOTHING
    if run.finished:
        return decide_finished(run, seen, now, memory, terms)
    if isinstance(seen, Kept):
        seen = seen.workflow
    match seen:
        case NotSeen() | Refusal() if run.shutdown:
            # A run that is to end needs no Workflow, but one may have been created before a crash.
            return Decision(action=ReadAgain())
        case Refusal() if run.status.workflow:
            return Decision(action=ReadAgain())
        case NotSeen():
            return read_or_create(run, now, memory)
        case Absent():
            return decide_without_workflow(run, now, memory) or read_or_create(run, now, memory)
        case Refusal():
            return stall_run(run, seen, now, memory)
        case WorkflowRecord():
            return decide_with_workflow(run, seen, now, memory)


def read_or_create(run: RunRecord, now: datetime, memory: Memory) -> Decision:
    """Without a known Workflow: read it again if the run's status names one; otherwise create it, unless that was refused."""
    if run.status.workflow:
        return Decision(action=ReadAgain())
    stalled = find_condition(run.status.conditions, STALLED)
    current = stalled is not None and stalled.status == "True" and stalled.observed_generation == run.generation
    if stalled is not None and current and stalled.reason == WORKFLOW_REFUSED:
        return NOTHING
    return decide_after_refusal(run, now, memory, CreateWorkflow())


def decide_with_workflow(run: RunRecord, workflow: WorkflowRecord, now: datetime, memory: Memory) -> Decision:
    """Decide about a run when a Workflow with its name exists."""
    if workflow.owner_uid != run.uid:
        return decide_without_workflow(run, now, memory) or stall_run(run, foreign_refusal(run, workflow), now, memory)
    if is_stray(run, workflow):
        return Decision(action=DeleteWorkflow(workflow, STRAY))
    if is_previous_attempt(run, workflow):
        return Decision(requeue_after=WATCH_LAG)
    if is_refused_by_argo(workflow):
        if run.shutdown:
            return end_terminated(run, now, memory)
        if run.status.workflow is None and 0 < workflow.generation < run.generation:
            return Decision(action=DeleteWorkflow(workflow, OUTDATED))
        return stall_run(run, Refusal(WORKFLOW_REFUSED, workflow.message), now, memory)
    if is_outdated(run, workflow) and not workflow.finished:
        return Decision(action=DeleteWorkflow(workflow, OUTDATED))
    if how := shutdown_due(run, workflow):
        return Decision(action=ShutDownWorkflow(workflow, how))
    return decide_mirror(run, workflow, mirror_workflow(run, workflow, now), now, memory)


def is_outdated(run: RunRecord, workflow: WorkflowRecord) -> bool:
    """Whether the run's source fields were edited after the Workflow was built.

    Edits are allowed until the run's status names the Workflow, and the last edit counts: a second `kubectl apply` right
    after the first one runs what the second one applied.
    """
    known = run.source_digest and workflow.source_digest and run.status.workflow is None
    return bool(known) and run.source_digest != workflow.source_digest


def stall_run(run: RunRecord, refusal: Refusal, now: datetime, memory: Memory) -> Decision:
    """Report why the run has no Workflow that can run; requeue if that can heal."""
    conditions = set_condition(
        run.status.conditions, SUCCEEDED, "Unknown", refusal.reason, refusal.message, now=now, generation=run.generation
    )
    conditions = set_condition(
        conditions, STALLED, "True", refusal.reason, refusal.message, now=now, generation=run.generation
    )
    status = base_status(run).model_copy(
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
    decision = decide_write(run, status, now, memory)
    if not refusal.heals:
        return decision
    stalled = find_condition(conditions, STALLED)
    since = stalled.last_transition_time if stalled else now
    return Decision(status=decision.status, notices=decision.notices, requeue_after=refusal_backoff(since, now))


def decide_without_workflow(run: RunRecord, now: datetime, memory: Memory) -> Decision | None:
    """End a run that has a shutdown or a deleted Workflow; None if its Workflow is still to be created."""
    if run.shutdown:
        return end_terminated(run, now, memory)
    return end_deleted_workflow(run, now, memory) if run.status.workflow else None


def end_deleted_workflow(run: RunRecord, now: datetime, memory: Memory) -> Decision:
    """End a run after its Workflow was deleted before its end was seen. The operator never starts it again by itself."""
    name = run.status.workflow.name if run.status.workflow else run.key.name
    phase = (run.status.phase or Phase.PENDING).value
    message = (
        f"Workflow {run.key.namespace}/{name} was deleted while the run was {phase}; what it did after that is not "
        "known. To run it again from the beginning, raise spec.retries by one"
    )
    return end_without_workflow(run, Phase.ERROR, WORKFLOW_DELETED, message, now, memory)


def end_terminated(run: RunRecord, now: datetime, memory: Memory) -> Decision:
    """End a run with a shutdown and without a Workflow: none was created, or it was deleted meanwhile."""
    message = NOT_STARTED
    if run.status.workflow:
        message = f"Workflow {run.key.namespace}/{run.status.workflow.name} was deleted while it was being shut down"
    return end_without_workflow(run, Phase.FAILED, TERMINATED, message, now, memory)


def end_without_workflow(
    run: RunRecord, phase: Phase, reason: str, message: str, now: datetime, memory: Memory
) -> Decision:
    """End a run without mirroring a Workflow."""
    conditions = set_condition(
        run.status.conditions, SUCCEEDED, "False", reason, message, now=now, generation=run.generation
    )
    conditions = clear_stalled(conditions, now=now, generation=run.generation)
    status = base_status(run).model_copy(
        update={
            "phase": phase,
            "message": message,
            "finished_at": now.replace(microsecond=0),
            "duration": format_duration(run.status.started_at, now),
            "conditions": conditions,
        }
    )
    return decide_write(run, status, now, memory)
