"""What is decided about a finished run, by precedence: stray Workflow, archive, retry, unarchive, retention."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from runwright.api.labels import DELETE_ON_LABEL, STORAGE_STATE_LABEL
from runwright.api.pipelinerun import PipelineRunStatus, WorkflowReference
from runwright.api.states import Phase, StorageState
from runwright.core.archive.storage import DROPPED, POLL
from runwright.core.decision import (
    NO_MEMORY,
    NOTHING,
    Decision,
    DeleteRun,
    DeleteWorkflow,
    ReadAgain,
    RestoreWorkflow,
    RetryWorkflow,
    SaveSnapshot,
    SetLabels,
)
from runwright.core.finished import decide_finished, is_attempt_running, is_settled
from runwright.core.records import Absent, Kept, NotSeen, RunRecord, Seen, WorkflowRecord
from runwright.core.retention.periods import NO_TERMS, RetentionTerms
from runwright.core.workflow.ownership import STRAY
from tests.unit.core.strategies import KEY, NOW

HOUR = timedelta(hours=1)
WORKFLOW = WorkflowRecord(KEY, "w", "9", owner_uid="run-uid", attempt=0, phase="Failed")


def run(*, state: StorageState | None = None, **fields: Any) -> RunRecord:
    status = PipelineRunStatus(
        observed_generation=1,
        phase=Phase.FAILED,
        finished_at=NOW - 2 * HOUR,
        workflow=WorkflowReference(name=KEY.name, uid="w"),
        storage_state=state,
    )
    return RunRecord(KEY, "run-uid", "7", 1, NOW - 3 * HOUR, status, **fields)


def decide(record: RunRecord, seen: Seen, terms: RetentionTerms = NO_TERMS) -> Decision:
    return decide_finished(record, seen, NOW, NO_MEMORY, terms)


class TestPrecedence:
    def test_a_stray_workflow_is_deleted_first(self) -> None:
        second = replace(WORKFLOW, uid="second")
        assert decide(run(archived=True, retries=1), second) == Decision(action=DeleteWorkflow(second, STRAY))

    def test_archiving_comes_before_a_retry(self) -> None:
        assert decide(run(archived=True, retries=1), WORKFLOW) == Decision(action=SaveSnapshot(WORKFLOW))

    def test_a_retry_comes_before_unarchiving(self) -> None:
        archived = run(state=StorageState.ARCHIVED, retries=1)
        assert decide(archived, WORKFLOW) == Decision(action=RetryWorkflow(WORKFLOW))

    def test_unarchiving_comes_before_retention(self) -> None:
        archived = run(state=StorageState.ARCHIVED)
        assert decide(archived, Absent(), RetentionTerms(delete_after=HOUR)) == Decision(action=RestoreWorkflow())

    def test_a_run_without_requests_and_retention_needs_nothing(self) -> None:
        assert decide(run(), WORKFLOW) == NOTHING


class TestRetention:
    def test_a_run_past_its_period_is_deleted_or_archived(self) -> None:
        assert decide(run(), WORKFLOW, RetentionTerms(delete_after=HOUR)) == Decision(action=DeleteRun())
        terms = RetentionTerms(archive_after=HOUR, delete_after=24 * HOUR)
        labels = ((STORAGE_STATE_LABEL, "Archived"), (DELETE_ON_LABEL, "2026-11-25"))
        assert decide(run(), WORKFLOW, terms) == Decision(action=SetLabels(labels))

    def test_the_workflow_is_read_before_the_run_is_deleted(self) -> None:
        assert decide(run(), NotSeen(), RetentionTerms(delete_after=HOUR)) == Decision(action=ReadAgain())

    def test_a_workflow_that_was_started_again_postpones_the_deletion(self) -> None:
        again = replace(WORKFLOW, phase="Running")
        assert decide(run(), again, RetentionTerms(delete_after=HOUR)) == Decision(requeue_after=POLL)

    def test_a_workflow_past_its_period_is_saved_and_then_deleted(self) -> None:
        terms = RetentionTerms(keep_workflow=HOUR)
        assert decide(run(), WORKFLOW, terms) == Decision(action=SaveSnapshot(WORKFLOW))
        assert decide(run(), Kept(WORKFLOW), terms) == Decision(action=DeleteWorkflow(WORKFLOW, DROPPED))

    def test_a_run_is_requeued_for_the_next_period(self) -> None:
        terms = RetentionTerms(archive_after=4 * HOUR, delete_after=9 * HOUR, keep_workflow=3 * HOUR)
        assert decide(run(), WORKFLOW, terms) == Decision(requeue_after=HOUR)
        assert decide(run(), Absent(), terms) == Decision(requeue_after=2 * HOUR)


@pytest.mark.parametrize(
    ("record", "settled"),
    [
        (run(), True),
        (run(retries=1), False),
        (run(archived=True), False),
        (run(archived=True, state=StorageState.ARCHIVED), True),
        (run(archived=True, state=StorageState.ARCHIVED, retries=1), True),
        (run(state=StorageState.ARCHIVED), False),
        (run(state=StorageState.AVAILABLE), True),
    ],
)
def test_a_run_is_settled_if_it_waits_for_nothing(record: RunRecord, settled: bool) -> None:
    assert is_settled(record) is settled


def test_an_attempt_is_running_if_its_workflow_has_the_next_number() -> None:
    started = replace(WORKFLOW, attempt=1, phase="Running")
    assert is_attempt_running(run(retries=1), started)
    assert is_attempt_running(run(retries=1), Kept(started))
    assert not is_attempt_running(run(retries=1), WORKFLOW)
    assert not is_attempt_running(run(), started)
    assert not is_attempt_running(run(retries=1, state=StorageState.ARCHIVED), started)
    assert not is_attempt_running(run(retries=1), Absent())
