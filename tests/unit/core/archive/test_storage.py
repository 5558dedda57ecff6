"""The status of an archived and of an unarchived run. test_lifecycle.py tests when each step is decided."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from runwright.api.pipelinerun import NodeStatus, PipelineRunStatus, WorkflowReference
from runwright.api.states import Phase, StorageState
from runwright.core.archive.storage import POLL
from runwright.core.decision import AT_ONCE, MIN_RETRY, Decision, DeleteRun, Memory, SetLabels
from runwright.core.reconcile import reconcile
from runwright.core.records import Absent, Kept, Refusal, RunRecord, Seen, WorkflowRecord
from runwright.core.retention.periods import RetentionTerms
from runwright.core.retry.attempt import COLLECTED_SOON
from runwright.core.status.conditions import ARCHIVED, STALLED, find_condition
from runwright.kube.objects import Key
from tests.unit.core.strategies import NOW

KEY = Key("team", "train")
NODE = NodeStatus(id="train", name="train", type="Pod", phase="Succeeded")
OWN = WorkflowReference(name="train", uid="wf-1")
WORKFLOW = WorkflowRecord(KEY, "wf-1", "9", owner_uid="run-uid", attempt=0, phase="Succeeded", nodes=(NODE,))


def run(*, archived: bool, state: StorageState | None = None) -> RunRecord:
    status = PipelineRunStatus(
        observed_generation=1,
        phase=Phase.SUCCEEDED,
        finished_at=NOW,
        workflow=OWN,
        nodes=None if state else [NODE],
        storage_state=state,
    )
    return RunRecord(KEY, "run-uid", "7", 1, NOW, status, archived=archived)


def archive(seen: Seen) -> PipelineRunStatus:
    decision = reconcile(run(archived=True), seen, NOW)
    assert decision.status is not None
    assert decision.requeue_after == AT_ONCE, "the Workflow is still to go"
    return decision.status


@pytest.mark.parametrize(
    ("seen", "reason", "nodes"),
    [
        (Kept(WORKFLOW), "WorkflowKept", None),
        (Kept(WORKFLOW, "too large"), "WorkflowTooLarge", [NODE]),
        (Absent(snapshot=True), "WorkflowKept", None),
        (Absent(snapshot=False), "NoWorkflow", [NODE]),
    ],
)
def test_nodes_are_removed_from_the_status_only_with_a_snapshot(
    seen: Seen, reason: str, nodes: list[NodeStatus] | None
) -> None:
    status = archive(seen)
    reported = find_condition(status.conditions, ARCHIVED)
    assert reported is not None and (reported.status, reported.reason) == ("True", reason)
    assert reported.message
    assert (status.storage_state, status.nodes) == (StorageState.ARCHIVED, nodes)
    assert (status.phase, status.finished_at, status.workflow) == (Phase.SUCCEEDED, NOW, OWN)


def test_an_unarchived_run_has_its_nodes_and_its_new_workflow() -> None:
    back = replace(WORKFLOW, uid="wf-2", restored_from="wf-1")
    status = reconcile(run(archived=False, state=StorageState.ARCHIVED), back, NOW).status
    assert status is not None
    assert (status.storage_state, status.nodes) == (StorageState.AVAILABLE, [NODE])
    assert status.workflow == WorkflowReference(name="train", uid="wf-2")
    reported = find_condition(status.conditions, ARCHIVED)
    assert reported is not None and (reported.status, reported.reason) == ("False", "Unarchived")


def test_a_run_without_a_snapshot_or_with_a_foreign_workflow_reports_why() -> None:
    archived = run(archived=False, state=StorageState.ARCHIVED)
    foreign = replace(WORKFLOW, uid="other", owner_uid="")
    for seen, said in ((Absent(snapshot=False), "no WorkflowSnapshot"), (foreign, "not controlled by this run")):
        status = reconcile(archived, seen, NOW).status
        reported = find_condition(status.conditions if status else (), ARCHIVED)
        assert reported is not None and said in reported.message


def test_the_label_with_the_day_of_deletion_follows_the_retention() -> None:
    archived = run(archived=True, state=StorageState.ARCHIVED)
    terms = RetentionTerms(delete_after=timedelta(days=7))
    label = ("runwright.dev/delete-on", "2026-12-01")
    assert reconcile(archived, Absent(), NOW, terms=terms) == Decision(action=SetLabels((label,)))
    labelled = replace(archived, delete_on="2026-12-01")
    assert reconcile(labelled, Absent(), NOW, terms=terms) == Decision(requeue_after=timedelta(days=7))
    assert reconcile(labelled, Absent(), NOW, terms=RetentionTerms()) == Decision(action=SetLabels(((label[0], None),)))
    assert reconcile(labelled, Absent(), NOW + timedelta(days=7), terms=terms) == Decision(action=DeleteRun())


def test_a_workflow_that_another_client_restarted_is_waited_for() -> None:
    again = replace(WORKFLOW, phase="Running")
    assert reconcile(run(archived=True), again, NOW) == Decision(requeue_after=POLL)


def test_a_refused_restore_stalls_the_run_and_is_tried_again() -> None:
    archived = run(archived=False, state=StorageState.ARCHIVED)
    decision = reconcile(archived, Refusal("Forbidden", "exceeded quota", heals=True), NOW)
    assert decision.status is not None and decision.requeue_after == MIN_RETRY
    assert decision.status.storage_state is StorageState.ARCHIVED
    stalled = find_condition(decision.status.conditions, STALLED)
    assert stalled is not None and (stalled.status, stalled.message) == ("True", "exceeded quota")
    there = reconcile(replace(archived, status=decision.status), replace(WORKFLOW, restored_from="wf-1"), NOW).status
    stalled = find_condition(there.conditions if there else (), STALLED)
    assert stalled is not None and stalled.status == "False"


@pytest.mark.parametrize("seen", [replace(WORKFLOW, deleting=True), Kept(replace(WORKFLOW, deleting=True))])
def test_a_run_is_unarchived_once_its_workflow_is_deleted(seen: Seen) -> None:
    decision = reconcile(run(archived=False, state=StorageState.ARCHIVED), seen, NOW)
    assert decision == Decision(requeue_after=COLLECTED_SOON)


def test_a_running_attempt_is_mirrored_before_its_run_is_archived() -> None:
    before = run(archived=True)
    failed = replace(before, status=before.status.model_copy(update={"phase": Phase.FAILED}), retries=1)
    status = reconcile(failed, replace(WORKFLOW, phase="Running", attempt=1), NOW).status
    assert status is not None and (status.phase, status.retries) == (Phase.RUNNING, 1)


def test_a_delayed_write_requeues_the_run() -> None:
    memory = Memory(written_at=NOW + timedelta(seconds=1))
    decision = reconcile(run(archived=True), Absent(snapshot=False), NOW, memory)
    assert (decision.status, decision.requeue_after) == (None, timedelta(seconds=1))
