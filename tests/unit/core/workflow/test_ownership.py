"""Whether a Workflow with a run's name belongs to the run, and to which attempt."""

from __future__ import annotations

from typing import Any

import pytest

from runwright.api.pipelinerun import PipelineRunStatus, WorkflowReference
from runwright.core.records import RunRecord, WorkflowRecord
from runwright.core.workflow.ownership import foreign_refusal, is_new_attempt, is_previous_attempt, is_stray
from tests.unit.core.strategies import KEY, NOW


def run(uid: str | None = "w", retries: int | None = None) -> RunRecord:
    reference = WorkflowReference(name=KEY.name, uid=uid) if uid else None
    return RunRecord(KEY, "run-uid", "7", 1, NOW, PipelineRunStatus(workflow=reference, retries=retries))


def workflow(uid: str = "w", **fields: Any) -> WorkflowRecord:
    return WorkflowRecord(KEY, uid, "9", owner_uid=fields.pop("owner_uid", "run-uid"), **fields)


@pytest.mark.parametrize(
    ("record", "found", "stray"),
    [
        (run(), workflow(), False),
        (run(), workflow("second"), True),
        (run(None), workflow("second"), False),
        (run(), workflow("second", owner_uid="other"), False),
        (run(), workflow("second", restored_from="w"), False),
        (run(), workflow("second", restored_from="older"), True),
        (run(), workflow("second", attempt=1), False),
        (run(retries=1), workflow("second", attempt=1), True),
    ],
)
def test_a_workflow_of_the_run_is_stray_if_the_status_names_another_one(
    record: RunRecord, found: WorkflowRecord, stray: bool
) -> None:
    assert is_stray(record, found) is stray


@pytest.mark.parametrize(
    ("retries", "attempt", "new", "previous"),
    [
        (None, None, False, False),
        (None, 0, False, False),
        (None, 1, True, False),
        (1, 1, False, False),
        (1, 2, True, False),
        (1, 0, False, True),
        (1, None, False, False),
    ],
)
def test_the_attempt_of_a_workflow_is_compared_with_the_status(
    retries: int | None, attempt: int | None, new: bool, previous: bool
) -> None:
    assert is_new_attempt(run(retries=retries), workflow(attempt=attempt)) is new
    assert is_previous_attempt(run(retries=retries), workflow(attempt=attempt)) is previous


def test_a_workflow_of_an_earlier_run_is_waited_for() -> None:
    refusal = foreign_refusal(run(), workflow(owner_uid="earlier", owner_name=KEY.name))
    assert (refusal.reason, refusal.heals) == ("PreviousWorkflow", True)
    assert "an earlier PipelineRun of this name" in refusal.message


def test_a_workflow_of_somebody_else_takes_the_name() -> None:
    refusal = foreign_refusal(run(), workflow(owner_uid="", owner_name=""))
    assert (refusal.reason, refusal.heals) == ("WorkflowNameTaken", True)
    assert "delete that Workflow, or give the run another name" in refusal.message
