"""Does a Workflow belong to a run, and to which attempt?"""

from __future__ import annotations

from runwright.core.records import Refusal, RunRecord, WorkflowRecord
from runwright.core.status.conditions import PREVIOUS_WORKFLOW, WORKFLOW_NAME_TAKEN

STRAY = "the run already has another Workflow"


def is_stray(run: RunRecord, workflow: WorkflowRecord) -> bool:
    """Whether the run controls the Workflow, but its status names another one.

    An operator that was paused between its last read and its create can create such a second Workflow, after the first one
    was mirrored and deleted. Kubernetes has no transaction over two objects to prevent it.
    """
    known = run.status.workflow
    if known is None or workflow.owner_uid != run.uid or workflow.uid == known.uid:
        return False
    return workflow.restored_from != known.uid and not is_new_attempt(run, workflow)


def is_new_attempt(run: RunRecord, workflow: WorkflowRecord) -> bool:
    """Whether the Workflow is of a later attempt than the run's status."""
    return workflow.attempt is not None and workflow.attempt > (run.status.retries or 0)


def is_previous_attempt(run: RunRecord, workflow: WorkflowRecord) -> bool:
    """Whether the Workflow is of an earlier attempt than the run's status: the cache is behind."""
    return workflow.attempt is not None and workflow.attempt < (run.status.retries or 0)


def foreign_refusal(run: RunRecord, workflow: WorkflowRecord) -> Refusal:
    """The refusal of a run if a Workflow with its name exists that it does not control."""
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
