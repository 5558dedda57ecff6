"""Retries a failed run: RetryRun of run.proto, as the counter `spec.retries`.

`spec.retries` above `status.retries` requests one attempt, however large the difference. The attempt starts with one write:
an update that resets and numbers the Workflow (`core/retry/reset.py`), or a creation if the Workflow was deleted.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from runwright.api.states import Phase
from runwright.core.decision import (
    Decision,
    Memory,
    ReadAgain,
    RecreateWorkflow,
    RetryWorkflow,
    decide_after_refusal,
    decide_mirror,
    stall_finished_run,
)
from runwright.core.records import Absent, Kept, Refusal, RunRecord, Seen, WorkflowRecord
from runwright.core.status.conditions import ARCHIVED
from runwright.core.status.mirror import mirror_workflow
from runwright.core.workflow.ownership import foreign_refusal, is_new_attempt

OTHERS_END = timedelta(seconds=10)
"""Requeue delay while a Workflow that another client has started again is running; a watch event comes sooner."""

COLLECTED_SOON = timedelta(seconds=1)
"""Requeue delay while a Workflow is being deleted."""


def is_retry_due(run: RunRecord) -> bool:
    """Whether a failed run requests an attempt that has not started."""
    return run.status.phase in (Phase.FAILED, Phase.ERROR) and run.retries > (run.status.retries or 0)


def decide_retry(run: RunRecord, seen: Seen, now: datetime, memory: Memory) -> Decision:
    """Decide about a failed run that requests an attempt."""
    match seen:
        case Refusal():
            return stall_finished_run(run, seen, now, memory)
        case WorkflowRecord() | Kept():
            return decide_workflow_retry(run, seen.workflow if isinstance(seen, Kept) else seen, now, memory)
        case Absent():
            return decide_after_refusal(run, now, memory, RecreateWorkflow())
        case _:
            return Decision(action=ReadAgain())


def decide_workflow_retry(run: RunRecord, workflow: WorkflowRecord, now: datetime, memory: Memory) -> Decision:
    """Decide how to retry a failed run when a Workflow with its name exists."""
    if workflow.owner_uid != run.uid:
        return stall_finished_run(run, foreign_refusal(run, workflow), now, memory)
    if workflow.deleting:
        return Decision(requeue_after=COLLECTED_SOON)
    if is_new_attempt(run, workflow):
        return mirror_attempt(run, workflow, now, memory)
    if not workflow.finished:
        # Another client has started it again, without the number of an attempt. Wait for its end.
        return Decision(requeue_after=OTHERS_END)
    if workflow.phase not in (Phase.FAILED, Phase.ERROR):
        # It succeeded then: there is nothing left to retry.
        return mirror_attempt(run, workflow, now, memory)
    return decide_after_refusal(run, now, memory, RetryWorkflow(workflow))


def mirror_attempt(run: RunRecord, workflow: WorkflowRecord, now: datetime, memory: Memory) -> Decision:
    """Start to mirror the Workflow of the attempt."""
    status = mirror_workflow(run, workflow, now)
    conditions = [condition for condition in status.conditions or () if condition.type != ARCHIVED]
    begun_status = status.model_copy(update={"retries": run.retries, "conditions": conditions, "storage_state": None})
    return decide_mirror(run, workflow, begun_status, now, memory)
