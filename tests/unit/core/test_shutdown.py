"""Which shutdown is set on a Workflow, and the reason of its end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runwright.api.states import Phase, Shutdown
from runwright.core.records import RunRecord, WorkflowRecord
from runwright.core.shutdown import shutdown_due, succeeded_reason
from runwright.core.status.mirror import mirrored_phase
from tests.unit.core.strategies import KEY, NOW

RUN = RunRecord(key=KEY, uid="u", resource_version="1", generation=1, created_at=NOW)
WORKFLOW = WorkflowRecord(key=KEY, uid="w", resource_version="1", phase="Running")


@pytest.mark.parametrize(
    ("asked", "current", "due"),
    [
        (None, "", None),
        (None, "Terminate", None),
        (Shutdown.STOP, "", Shutdown.STOP),
        (Shutdown.STOP, "Stop", None),
        (Shutdown.STOP, "Terminate", None),
        (Shutdown.TERMINATE, "", Shutdown.TERMINATE),
        (Shutdown.TERMINATE, "Stop", Shutdown.TERMINATE),
        (Shutdown.TERMINATE, "Terminate", None),
        (Shutdown.STOP, "a word of a later Argo", Shutdown.STOP),
    ],
)
def test_a_stronger_shutdown_replaces_a_weaker_one_only(
    asked: Shutdown | None, current: str, due: Shutdown | None
) -> None:
    assert shutdown_due(replace(RUN, shutdown=asked), replace(WORKFLOW, shutdown=current)) == due


@pytest.mark.parametrize("phase", ["Succeeded", "Failed", "Error"])
def test_a_finished_workflow_gets_no_shutdown(phase: str) -> None:
    assert shutdown_due(replace(RUN, shutdown=Shutdown.TERMINATE), replace(WORKFLOW, phase=phase)) is None


@pytest.mark.parametrize("how", ["Stop", "Terminate"])
def test_the_reason_says_that_it_was_shut_down(how: str) -> None:
    ending = replace(WORKFLOW, shutdown=how)
    assert [succeeded_reason(ending, phase) for phase in Phase] == [
        "Terminating",
        "Terminating",
        "Succeeded",
        "Skipped",
        "Terminated",
        "Terminated",
    ]


def test_the_reason_is_the_phase_otherwise() -> None:
    assert [succeeded_reason(WORKFLOW, phase) for phase in Phase] == [phase.value for phase in Phase]


def test_a_workflow_that_was_shut_down_has_failed_whatever_argo_calls_it() -> None:
    """Argo 3.7 ends a Workflow as Error where a Terminate killed the exit handler that a Stop had let run."""
    assert mirrored_phase(replace(WORKFLOW, phase="Error", shutdown="Terminate")) is Phase.FAILED
    assert mirrored_phase(replace(WORKFLOW, phase="Error")) is Phase.ERROR
