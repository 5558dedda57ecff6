"""Terminates a run: `spec.shutdown` of the run (TerminateRun of run.proto) sets Argo's `spec.shutdown` of the Workflow.

`Stop` ends the running steps and then runs exit handlers; `Terminate` runs none (Argo 3.7). Both end suspended steps.
Before the run has a Workflow, both end it without one. After its end, the CRD refuses both.
"""

from __future__ import annotations

from runwright.api.states import Phase, Shutdown
from runwright.core.records import RunRecord, WorkflowRecord

TERMINATED = "Terminated"
"""Reason of Succeeded=False for a run that was stopped or terminated."""

TERMINATING = "Terminating"
"""Reason of Succeeded=Unknown while the steps of the run are being ended."""

STRENGTH = {"": 0, Shutdown.STOP: 1, Shutdown.TERMINATE: 2}

NOT_STARTED = "the run was shut down before its Workflow was created; nothing has run"


def shutdown_due(run: RunRecord, workflow: WorkflowRecord) -> Shutdown | None:
    """The shutdown to set on the Workflow; None if there is nothing to set.

    Never replaces Terminate, which `argo terminate` may have set, with Stop.
    """
    if run.shutdown is None or workflow.finished:
        return None
    return run.shutdown if STRENGTH[run.shutdown] > STRENGTH.get(workflow.shutdown, 0) else None


def succeeded_reason(workflow: WorkflowRecord, phase: Phase) -> str:
    """Reason of the condition Succeeded: the phase, or Terminated or Terminating for a Workflow with a shutdown.

    A Workflow that succeeds in spite of a shutdown is Succeeded.
    """
    if workflow.shutdown and phase in (Phase.FAILED, Phase.ERROR):
        return TERMINATED
    return TERMINATING if workflow.shutdown and not phase.finished else phase.value
