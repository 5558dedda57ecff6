"""When a status is written, when a refused action is tried again, and which Events a status causes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from runwright.api.pipelinerun import Condition, PipelineRunStatus
from runwright.api.states import Phase
from runwright.core.decision import (
    FIRST_WRITE_DELAY,
    MAX_RETRY,
    MIN_RETRY,
    NO_MEMORY,
    NOTHING,
    CollectMetrics,
    CreateWorkflow,
    Decision,
    Memory,
    Notice,
    decide_after_refusal,
    decide_mirror,
    decide_write,
    event_name,
    refusal_backoff,
    stall_finished_run,
    status_notices,
)
from runwright.core.metrics.collect import STILL_READING, Collected
from runwright.core.metrics.reports import Report
from runwright.core.records import Refusal, RunRecord, WorkflowRecord
from runwright.core.status.conditions import (
    METRICS_COLLECTED,
    NODES_MIRRORED,
    STALLED,
    SUCCEEDED,
    ConditionStatus,
    find_condition,
    set_condition,
)
from tests.unit.core.strategies import KEY, NOW

SECOND = timedelta(seconds=1)
RUNNING = PipelineRunStatus(observed_generation=1, phase=Phase.RUNNING)


def run(status: PipelineRunStatus = RUNNING, **fields: Any) -> RunRecord:
    return RunRecord(KEY, "run-uid", "7", fields.pop("generation", 1), NOW - timedelta(hours=1), status, **fields)


def condition(kind: str, status: Any, reason: str = "Because", **fields: Any) -> Condition:
    return Condition(
        type=kind, status=status, reason=reason, last_transition_time=NOW - timedelta(seconds=20), **fields
    )


class TestWrite:
    def test_an_unchanged_status_is_not_written(self) -> None:
        assert decide_write(run(), RUNNING, NOW, NO_MEMORY) == NOTHING

    def test_a_new_phase_is_written_at_once(self) -> None:
        ended = RUNNING.model_copy(update={"phase": Phase.SUCCEEDED})
        assert decide_write(run(), ended, NOW, Memory(written_at=NOW)).status == ended

    @pytest.mark.parametrize(("field", "value", "delay"), [("progress", "1/2", 2), ("nodes_omitted", 3, 10)])
    def test_progress_and_details_wait_after_the_last_write(self, field: str, value: Any, delay: int) -> None:
        status = RUNNING.model_copy(update={field: value})
        memory = Memory(written_at=NOW)
        assert decide_write(run(), status, NOW + SECOND, memory) == Decision(requeue_after=(delay - 1) * SECOND)
        assert decide_write(run(), status, NOW + delay * SECOND, memory).status == status

    def test_the_first_pending_status_waits_for_argo(self) -> None:
        young = replace(run(PipelineRunStatus()), created_at=NOW)
        pending = PipelineRunStatus(phase=Phase.PENDING)
        assert decide_write(young, pending, NOW, NO_MEMORY) == Decision(requeue_after=FIRST_WRITE_DELAY)
        stalled = pending.model_copy(update={"conditions": [condition(STALLED, "True")]})
        assert decide_write(young, stalled, NOW, NO_MEMORY).status == stalled

    def test_a_clock_that_was_set_back_causes_no_long_wait(self) -> None:
        status = RUNNING.model_copy(update={"progress": "1/2"})
        assert decide_write(run(), status, NOW - timedelta(hours=3), Memory(written_at=NOW)).status == status


class TestMirror:
    WORKFLOW = WorkflowRecord(KEY, "w", "9", owner_uid="run-uid", phase="Succeeded", metric_nodes=("a",))
    ENDED = RUNNING.model_copy(update={"phase": Phase.SUCCEEDED})

    def test_uncollected_metrics_are_collected_first(self) -> None:
        decision = decide_mirror(run(), self.WORKFLOW, self.ENDED, NOW, NO_MEMORY)
        assert decision == Decision(action=CollectMetrics(self.WORKFLOW, frozenset({"a"})))

    def test_the_end_waits_for_the_collection(self) -> None:
        decision = decide_mirror(run(), self.WORKFLOW, self.ENDED, NOW, Memory(collecting=True))
        assert decision == Decision(requeue_after=STILL_READING)

    def test_a_running_workflow_is_mirrored_during_the_collection(self) -> None:
        going = replace(self.WORKFLOW, phase="Running")
        status = RUNNING.model_copy(update={"progress": "1/2"})
        assert decide_mirror(run(), going, status, NOW, Memory(collecting=True)).status == status

    def test_the_status_of_the_end_has_the_metrics(self) -> None:
        memory = Memory(collected=Collected(frozenset({"a"}), (Report("a", "loss", 0.5),)))
        status = decide_mirror(run(), self.WORKFLOW, self.ENDED, NOW, memory).status
        assert status is not None and status.metrics is not None
        assert [(metric.name, metric.value) for metric in status.metrics] == [("loss", 0.5)]


class TestAfterRefusal:
    STALLED_RUN = run(RUNNING.model_copy(update={"conditions": [condition(STALLED, "True", observed_generation=1)]}))

    def test_an_action_that_was_not_refused_is_returned(self) -> None:
        assert decide_after_refusal(run(), NOW, NO_MEMORY, CreateWorkflow()) == Decision(action=CreateWorkflow())

    def test_a_refusal_that_heals_waits_for_its_back_off(self) -> None:
        memory = Memory(refused_at=NOW, refused_generation=1)
        assert decide_after_refusal(self.STALLED_RUN, NOW, memory, CreateWorkflow()) == Decision(
            requeue_after=10 * SECOND
        )
        later = decide_after_refusal(self.STALLED_RUN, NOW + 10 * SECOND, memory, CreateWorkflow())
        assert later == Decision(action=CreateWorkflow())

    def test_a_refusal_that_does_not_heal_is_final_for_its_generation(self) -> None:
        memory = Memory(refused_at=NOW, refused_generation=1, refusal_heals=False)
        assert decide_after_refusal(self.STALLED_RUN, NOW, memory, CreateWorkflow()) == NOTHING
        edited = replace(self.STALLED_RUN, generation=2)
        assert decide_after_refusal(edited, NOW, memory, CreateWorkflow()) == Decision(action=CreateWorkflow())


@pytest.mark.parametrize(("since", "seconds"), [(0, 1), (10, 5), (100, 50), (1000, 60), (-100, 1)])
def test_the_back_off_is_half_the_time_since_the_first_refusal_within_bounds(since: int, seconds: int) -> None:
    backoff = refusal_backoff(NOW - since * SECOND, NOW)
    assert backoff == seconds * SECOND
    assert MIN_RETRY <= backoff <= MAX_RETRY


def test_a_stalled_finished_run_keeps_its_phase_and_is_requeued_if_that_can_heal() -> None:
    ended = run(PipelineRunStatus(phase=Phase.FAILED, observed_generation=1))
    decision = stall_finished_run(ended, Refusal("Forbidden", "no permission", heals=True), NOW, NO_MEMORY)
    assert decision.status is not None and decision.status.phase is Phase.FAILED
    stalled = find_condition(decision.status.conditions, STALLED)
    assert stalled is not None and (stalled.status, stalled.message) == ("True", "no permission")
    assert decision.requeue_after == MIN_RETRY
    assert stall_finished_run(ended, Refusal("RetryImpossible", ""), NOW, NO_MEMORY).requeue_after is None


class TestEvents:
    def test_a_failure_and_a_stall_cause_a_warning_each(self) -> None:
        new = PipelineRunStatus(conditions=[condition(SUCCEEDED, "False", "Failed"), condition(STALLED, "True", "Bad")])
        assert [notice.reason for notice in status_notices(PipelineRunStatus(), new)] == ["Failed", "Bad"]

    def test_an_unchanged_reason_causes_no_event(self) -> None:
        old = PipelineRunStatus(conditions=[condition(STALLED, "True", "Bad", message="first")])
        new = PipelineRunStatus(conditions=[condition(STALLED, "True", "Bad", message="second")])
        assert status_notices(old, new) == ()

    def test_a_success_causes_no_event(self) -> None:
        new = PipelineRunStatus(conditions=[condition(SUCCEEDED, "True", "Succeeded"), condition(STALLED, "False")])
        assert status_notices(PipelineRunStatus(), new) == ()

    def test_equal_notices_have_one_name_and_others_another(self) -> None:
        notice = Notice("Warning", "Failed", "exit code 1")
        assert event_name(run(), notice) == event_name(run(), Notice("Warning", "Failed", "exit code 1"))
        assert event_name(run(), notice) != event_name(run(), replace(notice, message="exit code 2"))
        assert event_name(run(), notice) != event_name(run(generation=2), notice)
        assert event_name(run(), notice).startswith(f"{KEY.name}.")


@pytest.mark.parametrize(
    ("kind", "status", "reason", "refused"),
    [
        (STALLED, "True", "ManifestUnreadable", True),
        (STALLED, "True", "Forbidden", True),
        (NODES_MIRRORED, "False", "NodesUnreadable", True),
        (METRICS_COLLECTED, "False", "MetricsRefused", False),
        (STALLED, "True", "PreviousWorkflow", False),
        (STALLED, "True", "ArgoNotInstalled", False),
        (STALLED, "True", "NamespaceTerminating", False),
        (SUCCEEDED, "False", "Failed", False),
    ],
)
def test_notice_of_a_refused_object_is_given_once(
    kind: str, status: ConditionStatus, reason: str, refused: bool
) -> None:
    conditions = set_condition((), kind, status, reason, "why", now=NOW, generation=1)
    new = PipelineRunStatus(conditions=conditions)
    assert status_notices(PipelineRunStatus(), new) == (Notice("Warning", reason, "why", refused),)
    assert status_notices(new, new) == ()
