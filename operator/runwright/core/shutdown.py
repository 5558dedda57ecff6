"""Terminating a run: TerminateRun of run.proto as the field `spec.shutdown`, carried out by Argo's `spec.shutdown`.

`Stop` ends what runs and then runs exit handlers; `Terminate` ends everything (Argo 3.7). A step that waits in a suspend
node ends too. Before the run has a Workflow, either ends the run without one; after its end the CRD refuses both.
"""

from __future__ import annotations

from runwright.api.states import Phase, Shutdown
from runwright.core.records import RunRecord, WorkflowRecord

TERMINATED = "Terminated"
"""Reason of Succeeded=False for a run that was shut down, by either word."""

TERMINATING = "Terminating"
"""Reason of Succeeded=Unknown while what runs is being ended."""

STRENGTH = {"": 0, Shutdown.STOP: 1, Shutdown.TERMINATE: 2}

NOT_STARTED = "the run was shut down before its Workflow was created; nothing has run"


def shutdown_due(run: RunRecord, workflow: WorkflowRecord) -> Shutdown | None:
    """The shutdown that the run asks for and its Workflow was not told of; None where there is none.

    A Workflow that was told to terminate, by `argo terminate` say, is not told to stop.
    """
    if run.shutdown is None or workflow.finished:
        return None
    return run.shutdown if STRENGTH[run.shutdown] > STRENGTH.get(workflow.shutdown, 0) else None


def succeeded_reason(workflow: WorkflowRecord, phase: Phase) -> str:
    """The reason of the condition Succeeded: the phase, but for a Workflow that is or was being shut down.

    A Workflow that succeeded all the same, since it was at its end, is Succeeded.
    """
    if workflow.shutdown and phase in (Phase.FAILED, Phase.ERROR):
        return TERMINATED
    return TERMINATING if workflow.shutdown and not phase.finished else phase.value
