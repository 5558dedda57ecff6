"""Archiving: what the label `runwright.dev/storage-state` asks for, and how it is carried out.

ArchiveRun and UnarchiveRun of run.proto. Archived, a run is out of the operator's watch; its Workflow is in a
WorkflowSnapshot, and goes. Brought back, it has its Workflow again, finished as it was, without pods.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from runwright.api.labels import DELETE_ON_LABEL
from runwright.api.pipelinerun import PipelineRunStatus, WorkflowReference
from runwright.api.states import StorageState
from runwright.core.decision import (
    AT_ONCE,
    Decision,
    DeleteRun,
    DeleteWorkflow,
    FindSnapshot,
    Memory,
    ReadAgain,
    RestoreWorkflow,
    SaveSnapshot,
    SetLabels,
    decide_after_refusal,
    decide_write,
    stall_finished_run,
)
from runwright.core.records import Absent, Kept, Refusal, RunRecord, Seen, WorkflowRecord
from runwright.core.retention.periods import RetentionTerms, due_times, has_passed, utc_day
from runwright.core.retry.attempt import COLLECTED_SOON
from runwright.core.status.conditions import (
    ARCHIVED,
    KEPT,
    NOTHING_TO_KEEP,
    TOO_LARGE,
    UNARCHIVED,
    clear_stalled,
    set_condition,
)

POLL = timedelta(seconds=10)
"""How often an archived run that has not ended is looked at: its watch is gone, edits of it are not told."""

DROPPED = "its snapshot was made, and it is to be kept no longer"


def exclude_foreign(run: RunRecord, seen: Seen) -> Seen:
    """What is seen, with a Workflow that another object controls taken for none."""
    return Absent() if isinstance(seen, WorkflowRecord) and seen.owner_uid != run.uid else seen


def decide_archive(run: RunRecord, seen: Seen, now: datetime, memory: Memory, terms: RetentionTerms) -> Decision:
    """A finished run that is labelled Archived."""
    if run.status.storage_state is StorageState.ARCHIVED:
        return decide_archived(run, exclude_foreign(run, seen), now, terms)
    match exclude_foreign(run, seen):
        case WorkflowRecord() as workflow:
            # One that runs again by another hand than ours is waited for.
            return Decision(action=SaveSnapshot(workflow)) if workflow.finished else Decision(requeue_after=POLL)
        case Absent(snapshot=None):
            return Decision(action=FindSnapshot())
        case Kept(problem=problem) if problem:
            return write_and_continue(run, archived_status(run, TOO_LARGE, problem, shrink=False, now=now), now, memory)
        case Kept() | Absent(snapshot=True):
            message = "a WorkflowSnapshot of the run's name holds the Workflow"
            return write_and_continue(run, archived_status(run, KEPT, message, shrink=True, now=now), now, memory)
        case Absent():
            message = "the run had no Workflow any more; its status is what is left"
            return write_and_continue(
                run, archived_status(run, NOTHING_TO_KEEP, message, shrink=False, now=now), now, memory
            )
        case _:
            return Decision(action=ReadAgain())


def decide_archived(run: RunRecord, seen: Seen, now: datetime, terms: RetentionTerms) -> Decision:
    """An archived run: its Workflow goes when it is kept no longer, and the run itself on the day that its label says."""
    times = due_times(run, terms)
    if has_passed(times.delete_at, now):
        return Decision(action=DeleteRun())
    if run.delete_on != (day := utc_day(times.delete_at)):
        return Decision(action=SetLabels(((DELETE_ON_LABEL, day or None),)))
    waits = [times.delete_at - now] if times.delete_at else []
    if isinstance(seen, WorkflowRecord) and not seen.finished:
        return Decision(requeue_after=POLL)
    if step := drop_workflow(seen):
        if times.drop_at is None or has_passed(times.drop_at, now):
            return step
        waits.append(times.drop_at - now)
    return Decision(requeue_after=min(waits, default=None))


def drop_workflow(seen: Seen) -> Decision | None:
    """The next step of letting go of a Workflow that is to be kept no longer; None where there is none to take."""
    match seen:
        case WorkflowRecord() as workflow if workflow.finished:
            return Decision(action=SaveSnapshot(workflow))
        case Kept(workflow, problem) if not problem:
            return Decision(action=DeleteWorkflow(workflow, DROPPED))
        case _:
            return None


def decide_unarchive(run: RunRecord, seen: Seen, now: datetime, memory: Memory) -> Decision:
    """A finished run that was archived and is labelled so no longer."""
    match seen:
        case WorkflowRecord() if seen.owner_uid != run.uid:
            message = f"Workflow {seen.key} is not controlled by this run, so the run's own was not put back"
            return decide_write(run, available_status(run, None, message, now), now, memory)
        case Kept(workflow=workflow) | (WorkflowRecord() as workflow) if workflow.deleting:
            # Argo holds it while it collects artifacts; the name is free when it is gone.
            return Decision(requeue_after=COLLECTED_SOON)
        case Kept(workflow=workflow) | (WorkflowRecord() as workflow):
            return decide_write(run, available_status(run, workflow, "", now), now, memory)
        case Absent(snapshot=False):
            message = "no WorkflowSnapshot of the run was found; its status is what is left"
            return decide_write(run, available_status(run, None, message, now), now, memory)
        case Absent():
            return decide_after_refusal(run, now, memory, RestoreWorkflow())
        case Refusal():
            return stall_finished_run(run, seen, now, memory)
        case _:
            return Decision(action=ReadAgain())


def write_and_continue(run: RunRecord, status: PipelineRunStatus, now: datetime, memory: Memory) -> Decision:
    """Write, and go on at once when it is written: the Workflow is still to go."""
    decision = decide_write(run, status, now, memory)
    return replace(decision, requeue_after=AT_ONCE) if decision.status else decision


def archived_status(run: RunRecord, reason: str, message: str, *, shrink: bool, now: datetime) -> PipelineRunStatus:
    """The status of an archived run: without its nodes, where the snapshot has them."""
    conditions = set_condition(
        run.status.conditions, ARCHIVED, "True", reason, message, now=now, generation=run.generation
    )
    nodes = {"nodes": None, "nodes_omitted": None} if shrink else {}
    return run.status.model_copy(update={"storage_state": StorageState.ARCHIVED, "conditions": conditions, **nodes})


def available_status(run: RunRecord, workflow: WorkflowRecord | None, message: str, now: datetime) -> PipelineRunStatus:
    """The status of a run that was brought back, with what its Workflow tells, where there is one."""
    conditions = set_condition(
        run.status.conditions, ARCHIVED, "False", UNARCHIVED, message, now=now, generation=run.generation
    )
    conditions = clear_stalled(conditions, now=now, generation=run.generation)
    told = (
        {
            "workflow": WorkflowReference(name=workflow.key.name, uid=workflow.uid),
            "nodes": list(workflow.nodes) or None,
            "nodes_omitted": workflow.nodes_omitted or None,
        }
        if workflow
        else {}
    )
    return run.status.model_copy(
        update={
            "observed_generation": run.generation,
            "storage_state": StorageState.AVAILABLE,
            "conditions": conditions,
            **told,
        }
    )
