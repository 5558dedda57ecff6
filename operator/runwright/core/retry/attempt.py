"""When a failed run is tried again: RetryRun of run.proto, as the counter `spec.retries`.

One more than `status.retries` asks for one attempt more, however far the counter has jumped. It begins with one write: the
Workflow is set back and numbered in the same update (`core/retry/reset.py`), or created anew where it has gone.
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
"""When to look again at a Workflow that somebody else has set going; its watch tells sooner."""

COLLECTED_SOON = timedelta(seconds=1)
"""When to look again at a Workflow that is being deleted."""


def is_retry_due(run: RunRecord) -> bool:
    """Whether the run asks for an attempt that its status does not tell of. Only what has failed is tried again."""
    return run.status.phase in (Phase.FAILED, Phase.ERROR) and run.retries > (run.status.retries or 0)


def decide_retry(run: RunRecord, seen: Seen, now: datetime, memory: Memory) -> Decision:
    """A failed run for which one more attempt is asked."""
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
    """A failed run is to be tried again, and a Workflow of its name is there."""
    if workflow.owner_uid != run.uid:
        return stall_finished_run(run, foreign_refusal(run, workflow), now, memory)
    if workflow.deleting:
        return Decision(requeue_after=COLLECTED_SOON)
    if is_new_attempt(run, workflow):
        return mirror_attempt(run, workflow, now, memory)
    if not workflow.finished:
        # Somebody else has set it going again: it has no number of an attempt, so its end is waited for.
        return Decision(requeue_after=OTHERS_END)
    if workflow.phase not in (Phase.FAILED, Phase.ERROR):
        # It came to a good end by that: there is nothing left to retry.
        return mirror_attempt(run, workflow, now, memory)
    return decide_after_refusal(run, now, memory, RetryWorkflow(workflow))


def mirror_attempt(run: RunRecord, workflow: WorkflowRecord, now: datetime, memory: Memory) -> Decision:
    """The attempt's Workflow is there: from here on the run tells of it."""
    status = mirror_workflow(run, workflow, now)
    conditions = [condition for condition in status.conditions or () if condition.type != ARCHIVED]
    begun_status = status.model_copy(update={"retries": run.retries, "conditions": conditions, "storage_state": None})
    return decide_mirror(run, workflow, begun_status, now, memory)
