"""Whose a Workflow of a run's name is, and which attempt's."""

from __future__ import annotations

from runwright.core.records import Refusal, RunRecord, WorkflowRecord
from runwright.core.status.conditions import PREVIOUS_WORKFLOW, WORKFLOW_NAME_TAKEN

STRAY = "the run has another one"


def is_stray(run: RunRecord, workflow: WorkflowRecord) -> bool:
    """Whether the Workflow is the run's, and yet not the one that the run has.

    That is one too many: an operator that was paused between its last look and its create made it, after the first
    one had been seen and was deleted. Kubernetes has no transaction over two objects that could have prevented it.
    """
    known = run.status.workflow
    if known is None or workflow.owner_uid != run.uid or workflow.uid == known.uid:
        return False
    return workflow.restored_from != known.uid and not is_new_attempt(run, workflow)


def is_new_attempt(run: RunRecord, workflow: WorkflowRecord) -> bool:
    """Whether the Workflow is that of an attempt which the run's status does not tell of yet."""
    return workflow.attempt is not None and workflow.attempt > (run.status.retries or 0)


def is_previous_attempt(run: RunRecord, workflow: WorkflowRecord) -> bool:
    """Whether the Workflow is told as it was before the attempt that the run's status tells of."""
    return workflow.attempt is not None and workflow.attempt < (run.status.retries or 0)


def foreign_refusal(run: RunRecord, workflow: WorkflowRecord) -> Refusal:
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
