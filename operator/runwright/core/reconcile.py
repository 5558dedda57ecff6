"""The decision: from a run and what is known of its Workflow to what is to be written and done.

Total and pure: every record gives a decision, the same one every time. `docs/lifecycle.md` has it as a table.
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
"""When to look again at a Workflow that is told as it was before the present attempt: its event is under way."""

OUTDATED = "the run was edited since, before its Workflow was on record"


def reconcile(
    run: RunRecord, seen: Seen, now: datetime, memory: Memory = NO_MEMORY, terms: RetentionTerms = NO_TERMS
) -> Decision:
    """Decide about one run.

    A deleted run needs nothing: the garbage collector takes its Workflow by the owner reference.
    """
    if run.deleting:
        return NOTHING
    if run.imported and run.status.phase is None:
        # Its status is about to be written, and may tell that it has ended.
        return NOTHING
    if run.finished:
        return decide_finished(run, seen, now, memory, terms)
    if isinstance(seen, Kept):
        seen = seen.workflow
    match seen:
        case NotSeen() | Refusal() if run.shutdown:
            # A run that is to end needs no Workflow; but one may have been created before a crash.
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
    """No Workflow is at hand: one that the run has had is looked for, else one is created, unless that was refused."""
    if run.status.workflow:
        return Decision(action=ReadAgain())
    stalled = find_condition(run.status.conditions, STALLED)
    current = stalled is not None and stalled.status == "True" and stalled.observed_generation == run.generation
    if stalled is not None and current and stalled.reason == WORKFLOW_REFUSED:
        return NOTHING
    return decide_after_refusal(run, now, memory, CreateWorkflow())


def decide_with_workflow(run: RunRecord, workflow: WorkflowRecord, now: datetime, memory: Memory) -> Decision:
    """A Workflow of the run's name exists."""
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
    """Whether what the Workflow was made from has been edited since.

    That is allowed until the run's status names the Workflow, and what the run says then holds: so a second
    `kubectl apply` right after the first one runs what it applied, and not what it replaced.
    """
    known = run.source_digest and workflow.source_digest and run.status.workflow is None
    return bool(known) and run.source_digest != workflow.source_digest


def stall_run(run: RunRecord, refusal: Refusal, now: datetime, memory: Memory) -> Decision:
    """The run has no Workflow that can run: say why, and come back where it may heal."""
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
    """How a run ends whose own Workflow is certainly not there; None where it is still to have one."""
    if run.shutdown:
        return end_terminated(run, now, memory)
    return end_deleted_workflow(run, now, memory) if run.status.workflow else None


def end_deleted_workflow(run: RunRecord, now: datetime, memory: Memory) -> Decision:
    """The Workflow that the run had is gone before its end was seen: the run ends, and is never started anew."""
    name = run.status.workflow.name if run.status.workflow else run.key.name
    phase = (run.status.phase or Phase.PENDING).value
    message = (
        f"Workflow {run.key.namespace}/{name} was deleted while the run was {phase}; what it did after that is not "
        "known. To run it again from its beginning, raise spec.retries by one"
    )
    return end_without_workflow(run, Phase.ERROR, WORKFLOW_DELETED, message, now, memory)


def end_terminated(run: RunRecord, now: datetime, memory: Memory) -> Decision:
    """The run is to be shut down and has no Workflow: it ends without one, or what it had has been deleted meanwhile."""
    message = NOT_STARTED
    if run.status.workflow:
        message = f"Workflow {run.key.namespace}/{run.status.workflow.name} was deleted while it was being shut down"
    return end_without_workflow(run, Phase.FAILED, TERMINATED, message, now, memory)


def end_without_workflow(
    run: RunRecord, phase: Phase, reason: str, message: str, now: datetime, memory: Memory
) -> Decision:
    """The run ends without a Workflow that could tell how."""
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
