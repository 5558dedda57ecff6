"""The run's status at a retry. test_lifecycle.py tests when each step is decided."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from runwright.api.pipelinerun import Condition, PipelineRunStatus, WorkflowReference
from runwright.api.states import Phase, StorageState
from runwright.core.decision import MIN_RETRY, NOTHING, Decision, DeleteRun, Memory, RecreateWorkflow, RetryWorkflow
from runwright.core.reconcile import reconcile
from runwright.core.records import Absent, Refusal, RunRecord, WorkflowRecord
from runwright.core.retention.periods import RetentionTerms
from runwright.core.retry.attempt import is_retry_due
from runwright.core.status.conditions import ARCHIVED, STALLED, SUCCEEDED, find_condition
from runwright.kube.objects import Key
from tests.unit.core.strategies import NOW

KEY = Key("team", "train")
WORKFLOW = WorkflowRecord(KEY, "wf-1", "9", owner_uid="run-uid", owner_name="train", attempt=0, phase="Failed")


def failed(asked: int = 1, **status: Any) -> RunRecord:
    reported = Condition(type=SUCCEEDED, status="False", reason="Failed", last_transition_time=NOW)
    fields: dict[str, Any] = {
        "observed_generation": 1,
        "phase": Phase.FAILED,
        "message": "child failed",
        "finished_at": NOW,
        "duration": "5s",
        "retries": 0,
        "workflow": WorkflowReference(name="train", uid="wf-1"),
        "conditions": [reported],
    }
    return RunRecord(KEY, "run-uid", "7", 2, NOW, PipelineRunStatus(**(fields | status)), retries=asked)


@pytest.mark.parametrize(
    ("phase", "done", "asked", "due"),
    [
        (Phase.FAILED, 0, 1, True),
        (Phase.ERROR, None, 1, True),
        (Phase.FAILED, 1, 5, True),
        (Phase.FAILED, 1, 1, False),
        (Phase.SUCCEEDED, 0, 1, False),
        (Phase.RUNNING, 0, 1, False),
    ],
)
def test_it_is_due_when_the_counter_is_ahead_of_what_has_failed(
    phase: Phase, done: int | None, asked: int, *, due: bool
) -> None:
    assert is_retry_due(failed(asked, phase=phase, retries=done)) is due


def test_an_attempt_is_mirrored_as_soon_as_its_workflow_exists() -> None:
    unarchived = Condition(type=ARCHIVED, status="False", reason="Unarchived", last_transition_time=NOW)
    stalled = Condition(type=STALLED, status="True", reason="Forbidden", last_transition_time=NOW)
    before = failed(conditions=[unarchived, stalled], storage_state=StorageState.AVAILABLE)
    status = reconcile(before, replace(WORKFLOW, attempt=1, phase="Running", started_at=NOW), NOW).status
    assert status is not None
    assert (status.phase, status.retries, status.finished_at, status.duration) == (Phase.RUNNING, 1, None, None)
    assert find_condition(status.conditions, ARCHIVED) is None, "its retention starts again"
    reported = find_condition(status.conditions, STALLED)
    assert reported is not None and reported.status == "False"


def test_a_counter_raised_by_several_requests_one_attempt() -> None:
    status = reconcile(failed(7), replace(WORKFLOW, attempt=7, phase="Running"), NOW).status
    assert status is not None and status.retries == 7
    assert not is_retry_due(replace(failed(7), status=status))


def test_a_first_attempt_has_the_number_that_the_run_was_created_with() -> None:
    new = replace(failed(3), status=PipelineRunStatus(), created_at=NOW - timedelta(hours=1))
    status = reconcile(new, replace(WORKFLOW, attempt=3), NOW).status
    assert status is not None and (status.phase, status.retries) == (Phase.FAILED, 3)
    assert not is_retry_due(replace(new, status=status))


def test_a_refused_retry_is_reported_and_the_run_stays_failed() -> None:
    decision = reconcile(failed(), Refusal("Forbidden", "exceeded quota", heals=True), NOW)
    assert decision.status is not None and decision.requeue_after == MIN_RETRY
    assert decision.status.phase is Phase.FAILED and decision.status.finished_at == NOW
    reported = find_condition(decision.status.conditions, STALLED)
    assert reported is not None and (reported.status, reported.reason, reported.message) == (
        "True",
        "Forbidden",
        "exceeded quota",
    )
    assert [notice.reason for notice in decision.notices] == ["Forbidden"]


def test_a_refused_retry_is_tried_again_if_it_heals_or_after_an_edit() -> None:
    run = failed()
    reported = reconcile(run, Refusal("RetryImpossible", "nodes are offloaded"), NOW)
    assert reported.status is not None and reported.requeue_after is None
    run = replace(run, status=reported.status)
    refused = Memory(refused_at=NOW, refused_generation=2, refusal_heals=False)
    assert reconcile(run, WORKFLOW, NOW, refused) == NOTHING
    assert reconcile(replace(run, generation=3), WORKFLOW, NOW, refused) == Decision(action=RetryWorkflow(WORKFLOW))
    heals = replace(refused, refusal_heals=True)
    assert reconcile(run, Absent(), NOW, heals) == Decision(requeue_after=MIN_RETRY)
    assert reconcile(run, Absent(), NOW + MIN_RETRY, heals) == Decision(action=RecreateWorkflow())


def test_a_running_workflow_is_waited_for() -> None:
    decision = reconcile(failed(), replace(WORKFLOW, deleting=True), NOW)
    assert decision.action is None and decision.requeue_after == timedelta(seconds=1)


def test_a_run_with_a_refused_retry_is_still_retained() -> None:
    refused = Memory(refused_at=NOW, refused_generation=2, refusal_heals=False)
    reported = reconcile(failed(), Refusal("RetryImpossible", "nodes are offloaded"), NOW)
    assert reported.status is not None
    run = replace(failed(), status=reported.status)
    assert reconcile(run, WORKFLOW, NOW, refused, RetentionTerms(delete_after=timedelta(0))) == Decision(
        action=DeleteRun()
    )
