"""When a failed run is tried again: RetryRun of run.proto, as the counter `spec.retries`.

One more than `status.retries` asks for one attempt more, however far the counter has jumped. It begins with one write: the
Workflow is set back and numbered in the same update (`core/retry/reset.py`), or created anew where it has gone.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from runwright.api.states import Phase
from runwright.core.decision import Decision, Look, Memory, Restart, Retry, after_refusal, stall_finished, tell
from runwright.core.records import Absent, Kept, Refusal, RunRecord, Seen, WorkflowRecord
from runwright.core.status.conditions import ARCHIVED
from runwright.core.status.mirror import mirror
from runwright.core.workflow.ownership import begun, foreign

OTHERS_END = timedelta(seconds=10)
"""When to look again at a Workflow that somebody else has set going; its watch tells sooner."""

COLLECTED_SOON = timedelta(seconds=1)
"""When to look again at a Workflow that is being deleted."""


def retry_due(run: RunRecord) -> bool:
    """Whether the run asks for an attempt that its status does not tell of. Only what has failed is tried again."""
    return run.status.phase in (Phase.FAILED, Phase.ERROR) and run.retries > (run.status.retries or 0)


def retry(run: RunRecord, seen: Seen, now: datetime, memory: Memory) -> Decision:
    """A failed run for which one more attempt is asked."""
    match seen:
        case Refusal():
            return stall_finished(run, seen, now, memory)
        case WorkflowRecord() | Kept():
            return retry_workflow(run, seen.workflow if isinstance(seen, Kept) else seen, now, memory)
        case Absent():
            return after_refusal(run, now, memory, Restart())
        case _:
            return Decision(action=Look())


def retry_workflow(run: RunRecord, workflow: WorkflowRecord, now: datetime, memory: Memory) -> Decision:
    """A failed run is to be tried again, and a Workflow of its name is there."""
    if workflow.owner_uid != run.uid:
        return stall_finished(run, foreign(run, workflow), now, memory)
    if workflow.deleting:
        return Decision(requeue_after=COLLECTED_SOON)
    if begun(run, workflow):
        return begin(run, workflow, now, memory)
    if not workflow.finished:
        # Somebody else has set it going again: it has no number of an attempt, so its end is waited for.
        return Decision(requeue_after=OTHERS_END)
    if workflow.phase not in (Phase.FAILED, Phase.ERROR):
        # It came to a good end by that: there is nothing left to retry.
        return begin(run, workflow, now, memory)
    return after_refusal(run, now, memory, Retry(workflow))


def begin(run: RunRecord, workflow: WorkflowRecord, now: datetime, memory: Memory) -> Decision:
    """The attempt's Workflow is there: from here on the run tells of it."""
    status = mirror(run, workflow, now)
    conditions = [condition for condition in status.conditions or () if condition.type != ARCHIVED]
    begun_status = status.model_copy(update={"retries": run.retries, "conditions": conditions, "storage_state": None})
    return tell(run, workflow, begun_status, now, memory)
