"""The decision: from a run and what is known of its Workflow to what is to be written and done.

Total and pure: every record gives a decision, the same one every time. `docs/lifecycle.md` has it as a table.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from runwright.api.states import Phase
from runwright.core.decision import (
    NO_MEMORY,
    NOTHING,
    Create,
    Decision,
    Delete,
    Look,
    Memory,
    ShutDown,
    after_refusal,
    retry_delay,
    tell,
    write,
)
from runwright.core.finished import finished
from runwright.core.records import Absent, Kept, NotSeen, Refusal, RunRecord, Seen, WorkflowRecord
from runwright.core.retention.periods import NO_TERMS, Terms
from runwright.core.shutdown import NOT_STARTED, TERMINATED, shutdown_due
from runwright.core.status.conditions import (
    MESSAGE_LIMIT,
    STALLED,
    SUCCEEDED,
    WORKFLOW_DELETED,
    WORKFLOW_REFUSED,
    cleared,
    find,
    set_condition,
)
from runwright.core.status.mirror import begin_status, duration, mirror, refused_by_argo
from runwright.core.status.sizes import shorten
from runwright.core.workflow.ownership import STRAY, behind, foreign, stray

WATCH_LAG = timedelta(seconds=10)
"""When to look again at a Workflow that is told as it was before the present attempt: its event is under way."""

OUTDATED = "the run was edited since, before its Workflow was on record"


def reconcile(
    run: RunRecord, seen: Seen, now: datetime, memory: Memory = NO_MEMORY, terms: Terms = NO_TERMS
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
        return finished(run, seen, now, memory, terms)
    if isinstance(seen, Kept):
        seen = seen.workflow
    match seen:
        case NotSeen() | Refusal() if run.shutdown:
            # A run that is to end needs no Workflow; but one may have been created before a crash.
            return Decision(action=Look())
        case Refusal() if run.status.workflow:
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
    return after_refusal(run, now, memory, Create())


def with_workflow(run: RunRecord, workflow: WorkflowRecord, now: datetime, memory: Memory) -> Decision:
    """A Workflow of the run's name exists."""
    if workflow.owner_uid != run.uid:
        return without_workflow(run, now, memory) or stall(run, foreign(run, workflow), now, memory)
    if stray(run, workflow):
        return Decision(action=Delete(workflow, STRAY))
    if behind(run, workflow):
        return Decision(requeue_after=WATCH_LAG)
    if refused_by_argo(workflow):
        if run.shutdown:
            return terminated(run, now, memory)
        if run.status.workflow is None and 0 < workflow.generation < run.generation:
            return Decision(action=Delete(workflow, OUTDATED))
        return stall(run, Refusal(WORKFLOW_REFUSED, workflow.message), now, memory)
    if outdated(run, workflow) and not workflow.finished:
        return Decision(action=Delete(workflow, OUTDATED))
    if how := shutdown_due(run, workflow):
        return Decision(action=ShutDown(workflow, how))
    return tell(run, workflow, mirror(run, workflow, now), now, memory)


def outdated(run: RunRecord, workflow: WorkflowRecord) -> bool:
    """Whether what the Workflow was made from has been edited since.

    That is allowed until the run's status names the Workflow, and what the run says then holds: so a second
    `kubectl apply` right after the first one runs what it applied, and not what it replaced.
    """
    known = run.source_digest and workflow.source_digest and run.status.workflow is None
    return bool(known) and run.source_digest != workflow.source_digest


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
        "known. To run it again from its beginning, raise spec.retries by one"
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
    conditions = cleared(conditions, now=now, generation=run.generation)
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
