"""Archives and unarchives a finished run, as its label `runwright.dev/storage-state` requests.

ArchiveRun and UnarchiveRun of run.proto. The operator does not watch an archived run; the Workflow is saved in a
WorkflowSnapshot and deleted. Unarchiving restores the finished Workflow, without pods.
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
"""Requeue delay while the Workflow of an archived run is running: the run is not watched."""

DROPPED = "its retention period has expired, and its snapshot exists"


def exclude_foreign(run: RunRecord, seen: Seen) -> Seen:
    """Replaces a Workflow that another object controls with Absent."""
    return Absent() if isinstance(seen, WorkflowRecord) and seen.owner_uid != run.uid else seen


def decide_archive(run: RunRecord, seen: Seen, now: datetime, memory: Memory, terms: RetentionTerms) -> Decision:
    """Decide about a finished run that is labeled Archived."""
    if run.status.storage_state is StorageState.ARCHIVED:
        return decide_archived(run, exclude_foreign(run, seen), now, terms)
    match exclude_foreign(run, seen):
        case WorkflowRecord() as workflow:
            # Wait for a Workflow that another client has started again.
            return Decision(action=SaveSnapshot(workflow)) if workflow.finished else Decision(requeue_after=POLL)
        case Absent(snapshot=None):
            return Decision(action=FindSnapshot())
        case Kept(problem=problem) if problem:
            return write_and_continue(run, archived_status(run, TOO_LARGE, problem, shrink=False, now=now), now, memory)
        case Kept() | Absent(snapshot=True):
            message = "the WorkflowSnapshot with the run's name contains the Workflow"
            return write_and_continue(run, archived_status(run, KEPT, message, shrink=True, now=now), now, memory)
        case Absent():
            message = "the run's Workflow no longer exists; only its status is kept"
            return write_and_continue(
                run, archived_status(run, NOTHING_TO_KEEP, message, shrink=False, now=now), now, memory
            )
        case _:
            return Decision(action=ReadAgain())


def decide_archived(run: RunRecord, seen: Seen, now: datetime, terms: RetentionTerms) -> Decision:
    """Decide about an archived run: delete its Workflow and the run itself when their retention periods end."""
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
    """The next step to delete a finished Workflow: save its snapshot, then delete it; None if nothing is left to do."""
    match seen:
        case WorkflowRecord() as workflow if workflow.finished:
            return Decision(action=SaveSnapshot(workflow))
        case Kept(workflow, problem) if not problem:
            return Decision(action=DeleteWorkflow(workflow, DROPPED))
        case _:
            return None


def decide_unarchive(run: RunRecord, seen: Seen, now: datetime, memory: Memory) -> Decision:
    """Decide about an archived run that is no longer labeled Archived."""
    match seen:
        case WorkflowRecord() if seen.owner_uid != run.uid:
            message = f"Workflow {seen.key} is not controlled by this run, so the run's own Workflow was not restored"
            return decide_write(run, available_status(run, None, message, now), now, memory)
        case Kept(workflow=workflow) | (WorkflowRecord() as workflow) if workflow.deleting:
            # Argo's finalizer keeps it while artifacts are deleted; then the name is free.
            return Decision(requeue_after=COLLECTED_SOON)
        case Kept(workflow=workflow) | (WorkflowRecord() as workflow):
            return decide_write(run, available_status(run, workflow, "", now), now, memory)
        case Absent(snapshot=False):
            message = "the run has no WorkflowSnapshot; only its status is kept"
            return decide_write(run, available_status(run, None, message, now), now, memory)
        case Absent():
            return decide_after_refusal(run, now, memory, RestoreWorkflow())
        case Refusal():
            return stall_finished_run(run, seen, now, memory)
        case _:
            return Decision(action=ReadAgain())


def write_and_continue(run: RunRecord, status: PipelineRunStatus, now: datetime, memory: Memory) -> Decision:
    """Write the status, then decide again at once: the Workflow still has to be deleted."""
    decision = decide_write(run, status, now, memory)
    return replace(decision, requeue_after=AT_ONCE) if decision.status else decision


def archived_status(run: RunRecord, reason: str, message: str, *, shrink: bool, now: datetime) -> PipelineRunStatus:
    """The status of an archived run; with `shrink`, without nodes, because the snapshot has them."""
    conditions = set_condition(
        run.status.conditions, ARCHIVED, "True", reason, message, now=now, generation=run.generation
    )
    nodes = {"nodes": None, "nodes_omitted": None} if shrink else {}
    return run.status.model_copy(update={"storage_state": StorageState.ARCHIVED, "conditions": conditions, **nodes})


def available_status(run: RunRecord, workflow: WorkflowRecord | None, message: str, now: datetime) -> PipelineRunStatus:
    """The status of an unarchived run, with the nodes of its Workflow if there is one."""
    conditions = set_condition(
        run.status.conditions, ARCHIVED, "False", UNARCHIVED, message, now=now, generation=run.generation
    )
    conditions = clear_stalled(conditions, now=now, generation=run.generation)
    mirrored = (
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
            **mirrored,
        }
    )
