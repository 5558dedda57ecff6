"""Each row of the decision by example, and properties that hold for any records."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given

from runwright.api.pipelinerun import Condition, NodeStatus, PipelineRunStatus, WorkflowReference
from runwright.api.states import Phase, Shutdown
from runwright.core.decision import (
    FIRST_WRITE_DELAY,
    MAX_RETRY,
    MIN_RETRY,
    NOTHING,
    CreateWorkflow,
    Decision,
    DeleteRun,
    DeleteWorkflow,
    Memory,
    ReadAgain,
    RecreateWorkflow,
    RetryWorkflow,
    SaveSnapshot,
    SetLabels,
    ShutDownWorkflow,
    refusal_backoff,
)
from runwright.core.reconcile import OUTDATED, reconcile
from runwright.core.records import Absent, Kept, NotSeen, Refusal, RunRecord, Seen, WorkflowRecord
from runwright.core.retention.periods import RetentionTerms
from runwright.core.retry.attempt import is_retry_due
from runwright.core.status.conditions import STALLED, SUCCEEDED, find_condition
from runwright.core.status.mirror import mirror_workflow
from runwright.core.workflow.ownership import STRAY
from tests.unit.core.strategies import (
    KEY,
    MEMORIES,
    NOW,
    RUN_UID,
    RUNS,
    SEEN,
    TERMS,
    TIMES,
    WORKFLOW_UID,
)

REFERENCE = WorkflowReference(name=KEY.name, uid=WORKFLOW_UID)
LONG_AGO = NOW - timedelta(hours=1)


def run(phase: Phase | None = None, *, generation: int = 1, **status: Any) -> RunRecord:
    return RunRecord(
        key=KEY,
        uid=RUN_UID,
        resource_version="7",
        generation=generation,
        created_at=LONG_AGO,
        status=PipelineRunStatus(phase=phase, **status),
        source_digest="" if status.get("workflow") else "digest-a",
    )


def workflow(phase: str = "", **fields: Any) -> WorkflowRecord:
    defaults: dict[str, Any] = {
        "key": KEY,
        "uid": WORKFLOW_UID,
        "resource_version": "9",
        "owner_uid": RUN_UID,
        "owner_name": KEY.name,
        "generation": 1,
        "source_digest": "digest-a",
        "phase": phase,
    }
    return WorkflowRecord(**(defaults | fields))


def stalled(reason: str, generation: int = 1, since: datetime = LONG_AGO) -> list[Condition]:
    reported: dict[str, Any] = {"reason": reason, "last_transition_time": since, "observed_generation": generation}
    return [Condition(type=SUCCEEDED, status="Unknown", **reported), Condition(type=STALLED, status="True", **reported)]


def recorded(phase: str, **fields: Any) -> RunRecord:
    """A run whose status is what its Workflow in this phase makes of it."""
    before = run()
    return replace(before, status=mirror_workflow(before, workflow(phase, **fields), NOW), source_digest="")


def verdict(decision: Decision, kind: str = SUCCEEDED) -> tuple[str, str]:
    condition = find_condition(decision.status.conditions, kind) if decision.status else None
    assert condition is not None, decision
    return condition.status, condition.reason


class TestNoWorkflow:
    def test_a_new_run_gets_a_workflow(self) -> None:
        assert reconcile(run(), NotSeen(), NOW) == Decision(action=CreateWorkflow())

    def test_a_run_without_an_existing_workflow_gets_one(self) -> None:
        assert reconcile(run(Phase.PENDING), Absent(), NOW) == Decision(action=CreateWorkflow())

    def test_a_workflow_that_is_not_cached_is_read_first(self) -> None:
        assert reconcile(run(Phase.RUNNING, workflow=REFERENCE), NotSeen(), NOW) == Decision(action=ReadAgain())

    def test_a_deleted_workflow_ends_the_run(self) -> None:
        decision = reconcile(run(Phase.RUNNING, workflow=REFERENCE, started_at=LONG_AGO), Absent(), NOW)
        assert decision.status is not None
        assert decision.status.phase is Phase.ERROR
        assert verdict(decision) == ("False", "WorkflowDeleted")
        assert decision.status.finished_at == NOW
        assert decision.status.duration == "1h0m"
        assert decision.status.message is not None and "while the run was Running" in decision.status.message
        assert [notice.reason for notice in decision.notices] == ["WorkflowDeleted"]

    def test_a_foreign_workflow_in_its_place_ends_the_run(self) -> None:
        decision = reconcile(run(Phase.RUNNING, workflow=REFERENCE), workflow(owner_uid="", uid="other"), NOW)
        assert verdict(decision) == ("False", "WorkflowDeleted")


class TestRefusedCreation:
    REMEMBERED = Memory(refused_at=NOW - timedelta(seconds=2), refused_generation=1, refusal_heals=False)

    def test_the_refusal_is_reported(self) -> None:
        decision = reconcile(run(), Refusal("SourceInvalid", "spec.workflow: expected one"), NOW)
        assert decision.status is not None
        assert decision.status.phase is Phase.PENDING
        assert verdict(decision) == ("Unknown", "SourceInvalid")
        assert verdict(decision, STALLED) == ("True", "SourceInvalid")
        assert decision.status.message == "spec.workflow: expected one"
        assert decision.requeue_after is None
        assert [(notice.type, notice.reason) for notice in decision.notices] == [("Warning", "SourceInvalid")]

    def test_a_refusal_that_can_heal_is_tried_again(self) -> None:
        assert reconcile(run(), Refusal("ConfigMapNotFound", "", heals=True), NOW).requeue_after == MIN_RETRY

    def test_a_refusal_that_cannot_heal_waits_for_an_edit(self) -> None:
        reported = run(Phase.PENDING, conditions=stalled("SourceInvalid"))
        assert reconcile(reported, NotSeen(), NOW, self.REMEMBERED) == NOTHING

    def test_an_edit_is_tried(self) -> None:
        reported = run(Phase.PENDING, conditions=stalled("SourceInvalid"), generation=2)
        assert reconcile(reported, NotSeen(), NOW, self.REMEMBERED) == Decision(action=CreateWorkflow())

    def test_a_refusal_without_a_written_status_is_tried_again(self) -> None:
        assert reconcile(run(), NotSeen(), NOW, self.REMEMBERED) == Decision(action=CreateWorkflow())

    def test_after_a_restart_it_is_tried_once(self) -> None:
        reported = run(Phase.PENDING, conditions=stalled("SourceInvalid"))
        assert reconcile(reported, NotSeen(), NOW) == Decision(action=CreateWorkflow())

    def test_the_back_off_grows_with_each_refusal(self) -> None:
        memory = replace(self.REMEMBERED, refusal_heals=True)
        reported = run(Phase.PENDING, conditions=stalled("ConfigMapNotFound", since=NOW - timedelta(seconds=22)))
        decision = reconcile(reported, NotSeen(), NOW, memory)
        assert decision == Decision(requeue_after=timedelta(seconds=8)), "half of the 20 s, of which 2 s have passed"
        assert reconcile(reported, NotSeen(), NOW + timedelta(seconds=8), memory) == Decision(action=CreateWorkflow())

    def test_a_clock_that_is_set_back_causes_no_long_back_off(self) -> None:
        memory = replace(self.REMEMBERED, refusal_heals=True)
        reported = run(Phase.PENDING, conditions=stalled("ConfigMapNotFound"))
        assert reconcile(reported, NotSeen(), NOW - timedelta(hours=3), memory) == Decision(action=CreateWorkflow())

    @pytest.mark.parametrize(("since", "wait"), [(0, 1), (10, 5), (100, 50), (1000, 60), (-100, 1)])
    def test_the_wait_is_half_the_time_in_bounds(self, since: int, wait: int) -> None:
        assert refusal_backoff(NOW - timedelta(seconds=since), NOW) == timedelta(seconds=wait)


class TestForeignWorkflow:
    def test_a_foreign_workflow_stalls_the_run_and_is_not_changed(self) -> None:
        decision = reconcile(run(), workflow("Running", owner_uid="", owner_name=""), NOW)
        assert verdict(decision, STALLED) == ("True", "WorkflowNameTaken")
        assert decision.action is None
        assert decision.requeue_after == MIN_RETRY

    def test_a_workflow_of_an_earlier_run_stalls_the_run(self) -> None:
        decision = reconcile(run(), workflow("Running", owner_uid="earlier"), NOW)
        assert verdict(decision, STALLED) == ("True", "PreviousWorkflow")
        assert decision.requeue_after == MIN_RETRY


class TestRefusedByArgo:
    REFUSED = workflow("Error", message="invalid spec: templates.main is missing")

    def test_argos_message_is_reported_and_the_run_waits(self) -> None:
        decision = reconcile(run(), self.REFUSED, NOW)
        assert decision.status is not None
        assert (decision.status.phase, decision.status.workflow) == (Phase.PENDING, None)
        assert verdict(decision, STALLED) == ("True", "WorkflowRefused")
        assert decision.status.message == self.REFUSED.message
        assert decision.requeue_after is None, "never in a loop"

    def test_after_an_edit_it_is_replaced(self) -> None:
        reported = run(Phase.PENDING, conditions=stalled("WorkflowRefused"), generation=2)
        assert reconcile(reported, self.REFUSED, NOW) == Decision(action=DeleteWorkflow(self.REFUSED, OUTDATED))

    def test_without_the_refused_workflow_nothing_is_tried(self) -> None:
        reported = run(Phase.PENDING, conditions=stalled("WorkflowRefused"))
        assert reconcile(reported, NotSeen(), NOW) == NOTHING

    def test_with_nodes_it_is_a_run_that_failed(self) -> None:
        ran = replace(self.REFUSED, nodes=(NodeStatus(id="train", name="train", type="Pod", phase="Error"),))
        assert verdict(reconcile(run(), ran, NOW)) == ("False", "Error")


class TestEditBeforeItIsRecorded:
    @pytest.mark.parametrize("phase", ["", "Pending", "Running"])
    def test_a_workflow_of_the_old_spec_is_replaced(self, phase: str) -> None:
        old = workflow(phase, source_digest="digest-b")
        assert reconcile(run(generation=2), old, NOW) == Decision(action=DeleteWorkflow(old, OUTDATED))

    def test_an_outdated_workflow_that_has_ended_is_mirrored(self) -> None:
        old = workflow("Succeeded", source_digest="digest-b")
        assert verdict(reconcile(run(generation=2), old, NOW)) == ("True", "Succeeded")

    def test_an_edit_of_other_fields_keeps_the_workflow(self) -> None:
        assert verdict(reconcile(run(generation=2), workflow("Running"), NOW)) == ("Unknown", "Running")


class TestMirroring:
    @pytest.mark.parametrize(
        ("argo", "phase", "status"),
        [
            ("Pending", Phase.PENDING, "Unknown"),
            ("Running", Phase.RUNNING, "Unknown"),
            ("Succeeded", Phase.SUCCEEDED, "True"),
            ("Failed", Phase.FAILED, "False"),
            ("Error", Phase.ERROR, "False"),
        ],
    )
    def test_argos_phase_is_the_runs(self, argo: str, phase: Phase, status: str) -> None:
        decision = reconcile(run(), workflow(argo), NOW)
        assert decision.status is not None
        assert decision.status.phase is phase
        assert decision.status.workflow == REFERENCE
        assert verdict(decision) == (status, argo)

    def test_the_first_pending_status_is_delayed(self) -> None:
        young = replace(run(), created_at=NOW)
        assert reconcile(young, workflow(), NOW) == Decision(requeue_after=FIRST_WRITE_DELAY)
        assert reconcile(young, workflow(), NOW + FIRST_WRITE_DELAY).status is not None
        assert reconcile(young, workflow("Running"), NOW).status is not None, "what Argo reports is written at once"

    def test_nothing_is_written_twice(self) -> None:
        assert reconcile(recorded("Running", progress="1/2"), workflow("Running", progress="1/2"), NOW) == NOTHING

    def test_progress_waits_two_seconds_after_the_last_write(self) -> None:
        memory = Memory(written_at=NOW)
        later = workflow("Running", progress="2/2")
        before = recorded("Running", progress="1/2")
        assert reconcile(before, later, NOW, memory) == Decision(requeue_after=timedelta(seconds=2))
        decision = reconcile(before, later, NOW + timedelta(seconds=2), memory)
        assert decision.status is not None and decision.status.progress == "2/2"

    def test_a_phase_is_written_at_once(self) -> None:
        decision = reconcile(recorded("Running"), workflow("Failed"), NOW, Memory(written_at=NOW))
        assert decision.status is not None and decision.status.phase is Phase.FAILED
        assert [notice.reason for notice in decision.notices] == ["Failed"]

    def test_a_clock_that_is_set_back_does_not_delay_progress(self) -> None:
        memory = Memory(written_at=NOW + timedelta(hours=1))
        assert reconcile(recorded("Running"), workflow("Running", progress="1/2"), NOW, memory).status is not None

    def test_clear_stalled_sets_the_condition_to_false(self) -> None:
        decision = reconcile(run(Phase.PENDING, conditions=stalled("ConfigMapNotFound")), workflow("Running"), NOW)
        assert verdict(decision, STALLED) == ("False", "Cleared")
        assert decision.notices == ()


class TestFinishedRun:
    @pytest.mark.parametrize("phase", [phase for phase in Phase if phase.finished])
    @pytest.mark.parametrize(
        "seen", [NotSeen(), Absent(), workflow("Running"), workflow(owner_uid=""), Refusal("A", "")]
    )
    def test_a_finished_run_keeps_its_status(self, phase: Phase, seen: Seen) -> None:
        assert reconcile(run(phase, observed_generation=1, workflow=REFERENCE), seen, NOW) == NOTHING

    def test_only_the_generation_follows_an_edit(self) -> None:
        ended = run(Phase.SUCCEEDED, observed_generation=1, workflow=REFERENCE, generation=2)
        decision = reconcile(ended, NotSeen(), NOW)
        assert decision.status == ended.status.model_copy(update={"observed_generation": 2})

    def test_a_stray_workflow_of_a_finished_run_is_deleted(self) -> None:
        second = workflow("Running", uid="second")
        ended = run(Phase.SUCCEEDED, observed_generation=1, workflow=REFERENCE)
        assert reconcile(ended, second, NOW) == Decision(action=DeleteWorkflow(second, STRAY))


class TestStray:
    def test_a_stray_workflow_of_a_running_run_is_deleted(self) -> None:
        second = workflow("Running", uid="second")
        assert reconcile(run(Phase.RUNNING, workflow=REFERENCE), second, NOW) == Decision(
            action=DeleteWorkflow(second, STRAY)
        )


def shut_down(before: RunRecord, how: Shutdown = Shutdown.TERMINATE) -> RunRecord:
    return replace(before, shutdown=how)


class TestShutdown:
    @pytest.mark.parametrize("how", list(Shutdown))
    @pytest.mark.parametrize("phase", ["", "Pending", "Running"])
    def test_the_shutdown_is_set_on_its_workflow(self, how: Shutdown, phase: str) -> None:
        running = workflow(phase)
        reported = Decision(action=ShutDownWorkflow(running, how))
        assert reconcile(shut_down(run(Phase.RUNNING, workflow=REFERENCE), how), running, NOW) == reported

    def test_a_workflow_with_a_shutdown_makes_the_run_terminating(self) -> None:
        ending = workflow("Running", shutdown="Terminate")
        decision = reconcile(shut_down(recorded("Running")), ending, NOW)
        assert decision.status is not None and decision.status.phase is Phase.RUNNING
        assert verdict(decision) == ("Unknown", "Terminating")
        assert reconcile(replace(shut_down(recorded("Running")), status=decision.status), ending, NOW) == NOTHING

    def test_the_end_is_failed_and_terminated(self) -> None:
        ended = workflow("Failed", shutdown="Stop", message="Stopped with strategy 'Stop'")
        decision = reconcile(shut_down(recorded("Running"), Shutdown.STOP), ended, NOW)
        assert decision.status is not None and decision.status.phase is Phase.FAILED
        assert verdict(decision) == ("False", "Terminated")

    def test_a_workflow_that_ended_before_the_shutdown_keeps_its_phase(self) -> None:
        for phase in ("Succeeded", "Failed"):
            decision = reconcile(shut_down(recorded("Running")), workflow(phase), NOW)
            assert verdict(decision) == ("True" if phase == "Succeeded" else "False", phase)

    @pytest.mark.parametrize("before", [run(), run(Phase.PENDING, conditions=stalled("ConfigMapNotFound"))])
    def test_before_there_is_a_workflow_it_is_looked_for_and_none_is_created(self, before: RunRecord) -> None:
        assert reconcile(shut_down(before), NotSeen(), NOW) == Decision(action=ReadAgain())
        decision = reconcile(shut_down(before), Absent(), NOW)
        assert decision.status is not None and decision.status.phase is Phase.FAILED
        assert verdict(decision) == ("False", "Terminated")
        assert decision.status.message is not None and "nothing has run" in decision.status.message
        stall = find_condition(decision.status.conditions, STALLED)
        assert stall is None or stall.status == "False"

    def test_a_workflow_that_argo_refused_ends_too(self) -> None:
        refused = workflow("Failed", message="invalid spec: no templates")
        decision = reconcile(shut_down(run(Phase.PENDING, conditions=stalled("WorkflowRefused"))), refused, NOW)
        assert verdict(decision) == ("False", "Terminated")

    @pytest.mark.parametrize("seen", [Absent(), workflow(owner_uid="other")])
    def test_a_workflow_that_was_deleted_meanwhile_has_ended(self, seen: Seen) -> None:
        decision = reconcile(shut_down(run(Phase.RUNNING, workflow=REFERENCE)), seen, NOW)
        assert verdict(decision) == ("False", "Terminated")
        assert decision.status is not None and "was deleted" in (decision.status.message or "")

    def test_a_workflow_that_another_client_shut_down_is_terminated_too(self) -> None:
        ended = workflow("Failed", shutdown="Terminate")
        assert verdict(reconcile(recorded("Running"), ended, NOW)) == ("False", "Terminated")


@pytest.mark.parametrize("seen", [NotSeen(), Absent(), workflow("Failed"), Refusal("A", "")])
def test_a_run_that_is_being_deleted_needs_nothing(seen: Seen) -> None:
    assert reconcile(replace(run(Phase.RUNNING), deleting=True), seen, NOW) == NOTHING


# ------------------------------------------------------------------------------------------------------ for any records


@given(RUNS, SEEN, TIMES, MEMORIES, TERMS)
def test_it_is_total_and_pure(run: RunRecord, seen: Seen, now: datetime, memory: Memory, terms: RetentionTerms) -> None:
    before = run.status.model_copy(deep=True)
    decision = reconcile(run, seen, now, memory, terms)
    assert decision == reconcile(run, seen, now, memory, terms)
    assert run.status == before, "what was given is not changed"
    assert decision.action is None or decision.status is None, "at most one action, after which it is decided again"
    assert decision.status is None or decision.status != run.status, "what etcd says already is not written"
    assert not decision.notices or decision.status is not None
    if decision.requeue_after is not None and decision.status is None:
        assert timedelta(0) < decision.requeue_after
        assert run.finished or decision.requeue_after <= MAX_RETRY


SETTLED = ("observed_generation", "storage_state", "conditions", "nodes", "nodes_omitted", "workflow")
"""What of a finished run's status may change without a retry."""


@given(RUNS, SEEN, TIMES, MEMORIES, TERMS)
def test_a_finished_run_keeps_its_result(
    run: RunRecord, seen: Seen, now: datetime, memory: Memory, terms: RetentionTerms
) -> None:
    decision = reconcile(run, seen, now, memory, terms)
    if not run.finished:
        return
    assert not isinstance(decision.action, CreateWorkflow)
    if decision.status is None or is_retry_due(run):
        return
    kept = run.status.model_dump(exclude=set(SETTLED))
    assert decision.status.model_dump(exclude=set(SETTLED)) == kept
    if decision.status.storage_state is run.status.storage_state:
        reported: dict[str, Any] = {"observed_generation": run.generation}
        if isinstance(seen, Refusal):
            # It cannot be brought back now, and says why.
            reported["conditions"] = decision.status.conditions
        assert decision.status == run.status.model_copy(update=reported)


@given(RUNS, SEEN, TIMES, MEMORIES, TERMS)
def test_only_a_requested_retry_starts_an_attempt(
    run: RunRecord, seen: Seen, now: datetime, memory: Memory, terms: RetentionTerms
) -> None:
    decision = reconcile(run, seen, now, memory, terms)
    if isinstance(decision.action, RetryWorkflow | RecreateWorkflow):
        assert run.status.phase in (Phase.FAILED, Phase.ERROR)
        assert run.retries > (run.status.retries or 0)
        assert not run.archived
    if run.finished and decision.status and decision.status.phase in (Phase.PENDING, Phase.RUNNING):
        assert run.retries > (run.status.retries or 0)
        assert decision.status.retries == run.retries


@given(RUNS, SEEN, TIMES, MEMORIES, TERMS)
def test_only_the_runs_own_workflow_is_deleted(
    run: RunRecord, seen: Seen, now: datetime, memory: Memory, terms: RetentionTerms
) -> None:
    decision = reconcile(run, seen, now, memory, terms)
    if isinstance(decision.action, DeleteWorkflow):
        gone = decision.action.workflow
        assert gone is (seen.workflow if isinstance(seen, Kept) else seen)
        assert gone.owner_uid == run.uid
        if run.status.workflow and run.status.workflow.uid == gone.uid:
            assert run.finished and isinstance(seen, Kept) and not seen.problem, "not before its snapshot was made"
    if isinstance(decision.action, DeleteRun | SetLabels | SaveSnapshot):
        assert run.finished, "nothing is taken from a run that has not ended"
    if isinstance(decision.action, CreateWorkflow):
        assert run.status.workflow is None, "a run that had a Workflow is never started again"
