"""The run's status mirrors its Workflow, and says how soon it must be written."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runwright.api.crd import openapi_schema
from runwright.api.kinds import PIPELINE_RUN
from runwright.api.pipelinerun import NodeStatus, PipelineRunStatus
from runwright.api.states import Phase
from runwright.core.decision import status_notices
from runwright.core.reconcile import reconcile
from runwright.core.records import NotSeen, RunRecord, Seen, WorkflowRecord
from runwright.core.status.conditions import NODES_MIRRORED, SUCCEEDED, find_condition
from runwright.core.status.mirror import (
    Urgency,
    failed_node,
    format_duration,
    is_refused_by_argo,
    mirror_workflow,
    mirrored_phase,
    write_urgency,
)
from runwright.core.workflow.record import workflow_record
from tests.unit.core.strategies import KEY, NOW, RUN_UID, SEEN, WORKFLOW_STATUSES

STATUS_SCHEMA = jsonschema.Draft202012Validator(openapi_schema(PIPELINE_RUN)["properties"]["status"])
MAX_STATUS = 8192
NEW = RunRecord(KEY, RUN_UID, "7", generation=1, created_at=NOW)


def workflow(phase: str = "Running", **fields: Any) -> WorkflowRecord:
    return WorkflowRecord(KEY, "workflow-uid", "9", owner_uid=RUN_UID, phase=phase, **fields)


def observed(status: Any) -> WorkflowRecord:
    """A Workflow of the run with this status, as the API server returns it."""
    owner = {"kind": "PipelineRun", "controller": True, "uid": RUN_UID, "name": KEY.name}
    metadata = {"namespace": KEY.namespace, "name": KEY.name, "uid": "u" * 36, "ownerReferences": [owner]}
    return workflow_record({"metadata": metadata, "status": status})


def written(status: PipelineRunStatus) -> Any:
    return json.loads(status.model_dump_json(by_alias=True, exclude_none=True))


def check(status: PipelineRunStatus) -> None:
    body = written(status)
    STATUS_SCHEMA.validate(body)
    assert len(json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()) <= MAX_STATUS
    assert PipelineRunStatus.model_validate(body) == status, "what is read back is what was written"


def node(name: str, phase: str = "Failed", type: str = "Pod", message: str | None = None) -> NodeStatus:
    return NodeStatus(id=f"train-{name}", name=name, type=type, phase=phase, message=message)


class TestWhateverAWorkflowSays:
    @settings(max_examples=150)
    @given(WORKFLOW_STATUSES)
    def test_the_status_is_valid_and_small(self, status: Any) -> None:
        check(mirror_workflow(NEW, observed(status), NOW))

    @given(SEEN, st.booleans())
    def test_every_decided_status_is_valid_and_small(self, seen: Seen, has_workflow: bool) -> None:
        run = (
            RunRecord(KEY, RUN_UID, "7", 1, NOW, status=mirror_workflow(NEW, workflow(), NOW)) if has_workflow else NEW
        )
        decision = reconcile(run, seen, NOW)
        if decision.status is not None:
            check(decision.status)

    @pytest.mark.parametrize("text", ["x" * 5000, "<" * 5000, "é😀" * 5000, '"\\' * 5000, "\n\t\x01" * 5000])
    def test_the_largest_status_is_small(self, text: str) -> None:
        nodes = {
            f"train-{n}": {
                "displayName": text,
                "type": "Pod",
                "phase": "Failed",
                "message": text,
                "startedAt": "2026-11-24T12:00:00Z",
                "finishedAt": "2026-11-24T12:00:01Z",
            }
            for n in range(400)
        }
        outputs = {
            "parameters": [{"name": f"{text[:200]}{n}", "value": text[:300]} for n in range(300)],
            "artifacts": [{"name": f"artifact-{n}", "s3": {"key": text[:1000]}} for n in range(300)],
        }
        status = {
            "phase": "Failed",
            "message": text,
            "progress": text,
            "startedAt": "2026-11-24T12:00:00Z",
            "finishedAt": "2026-11-24T15:00:00Z",
            "nodes": nodes | {"train": {"type": "DAG", "phase": "Failed", "outputs": outputs}},
        }
        check(mirror_workflow(NEW, observed(status), NOW))

    def test_a_thousand_small_nodes_fit_in_part(self) -> None:
        nodes = {f"train-{n}": {"displayName": f"s{n}", "type": "Pod", "phase": "Succeeded"} for n in range(1000)}
        status = mirror_workflow(NEW, observed({"phase": "Succeeded", "nodes": nodes}), NOW)
        check(status)
        assert status.nodes is not None and status.nodes_omitted == 1000 - len(status.nodes)


class TestMirror:
    def test_the_status_reports_what_was_observed(self) -> None:
        start, end = NOW - timedelta(seconds=72), NOW
        seen = workflow(
            "Succeeded",
            progress="2/2",
            started_at=start,
            finished_at=end,
            nodes=(node("a", "Succeeded"),),
            nodes_omitted=3,
        )
        status = mirror_workflow(NEW, seen, NOW + timedelta(hours=1))
        assert (status.phase, status.progress, status.nodes_omitted) == (Phase.SUCCEEDED, "2/2", 3)
        assert (status.started_at, status.finished_at, status.duration) == (start, end, "1m12s")
        assert status.scheduled_at == NEW.created_at
        assert status.observed_generation == 1
        assert status.workflow is not None and status.workflow.uid == "workflow-uid"

    def test_an_end_without_a_time_ends_now(self) -> None:
        assert mirror_workflow(NEW, workflow("Failed"), NOW).finished_at == NOW

    def test_a_running_workflow_has_no_finish_time(self) -> None:
        status = mirror_workflow(NEW, workflow("Running", finished_at=NOW), NOW)
        assert status.finished_at is None and status.duration is None

    def test_a_failure_names_its_node(self) -> None:
        nodes = (node("main", type="DAG"), node("a", "Succeeded"), node("b", message="OOMKilled (exit code 137)"))
        condition = find_condition(mirror_workflow(NEW, workflow("Failed", nodes=nodes), NOW).conditions, SUCCEEDED)
        assert condition is not None
        assert (condition.status, condition.reason) == ("False", "Failed")
        assert condition.message == "node b (train-b): OOMKilled (exit code 137)"

    def test_a_node_message_in_argos_message_is_not_repeated(self) -> None:
        seen = workflow("Error", message="b: boom", nodes=(node("b", "Error", message="boom"),))
        condition = find_condition(mirror_workflow(NEW, seen, NOW).conditions, SUCCEEDED)
        assert condition is not None and condition.message == "b: boom"


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ((), None),
        ((node("a", "Succeeded"),), None),
        ((node("main", type="Steps"), node("a")), "a"),
        ((node("main", type="Steps"), node("a", "Succeeded")), "main"),
        ((node("a", "Error"), node("b")), "a"),
    ],
)
def test_the_pod_that_failed_is_before_its_group(nodes: tuple[NodeStatus, ...], expected: str | None) -> None:
    found = failed_node(nodes)
    assert (found.name if found else None) == expected


@pytest.mark.parametrize(
    ("argo", "phase"),
    [("", Phase.PENDING), ("Pending", Phase.PENDING), ("Running", Phase.RUNNING), ("Unheard", Phase.PENDING)],
)
def test_an_empty_or_unknown_phase_is_pending(argo: str, phase: Phase) -> None:
    assert mirrored_phase(workflow(argo)) is phase


def test_refused_by_argo_is_an_end_without_nodes_and_with_its_words() -> None:
    assert is_refused_by_argo(workflow("Error", message="invalid spec: x"))
    assert is_refused_by_argo(workflow("Failed", message="invalid spec: x"))
    assert not is_refused_by_argo(workflow("Running", message="invalid spec: x"))
    assert not is_refused_by_argo(workflow("Error", message="pods is forbidden"))
    assert not is_refused_by_argo(workflow("Error", message="invalid spec: x", nodes=(node("a"),)))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"), (0.4, "0s"), (42, "42s"), (59.6, "1m0s"), (60, "1m0s"), (72, "1m12s"), (3599, "59m59s"),
        (3600, "1h0m"), (11100, "3h5m"), (90000, "25h0m"), (-5, "0s"),
    ],
)  # fmt: skip
def test_duration_as_people_write_it(seconds: float, text: str) -> None:
    assert format_duration(NOW, NOW + timedelta(seconds=seconds)) == text


def test_no_duration_without_both_times() -> None:
    assert format_duration(None, NOW) is None
    assert format_duration(NOW, None) is None


class TestUrgency:
    OLD = mirror_workflow(NEW, workflow(progress="0/2"), NOW)

    def test_the_same_is_not_written(self) -> None:
        assert write_urgency(self.OLD, mirror_workflow(NEW, workflow(progress="0/2"), NOW)) is None

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            ({"phase": Phase.FAILED}, Urgency.NOW),
            ({"observed_generation": 2}, Urgency.NOW),
            ({"workflow": None}, Urgency.NOW),
            ({"conditions": None}, Urgency.NOW),
            ({"progress": "1/2"}, Urgency.PROGRESS),
            ({"message": "waiting"}, Urgency.PROGRESS),
            ({"nodes": [node("a")]}, Urgency.DETAIL),
            ({"started_at": NOW}, Urgency.DETAIL),
        ],
    )
    def test_how_soon_a_change_is_written(self, change: dict[str, Any], expected: Urgency) -> None:
        assert write_urgency(self.OLD, self.OLD.model_copy(update=change)) is expected

    def test_a_new_message_of_a_condition_is_not_urgent(self) -> None:
        conditions = [c.model_copy(update={"message": "other"}) for c in self.OLD.conditions or ()]
        assert write_urgency(self.OLD, self.OLD.model_copy(update={"conditions": conditions})) is Urgency.DETAIL


def test_without_a_cached_workflow_no_status_is_written() -> None:
    assert reconcile(NEW, NotSeen(), NOW).status is None


def test_nodes_that_cannot_be_read_are_reported_until_they_can() -> None:
    bad = mirror_workflow(NEW, observed({"phase": "Running", "compressedNodes": "x"}), NOW)
    condition = find_condition(bad.conditions, NODES_MIRRORED)
    assert bad.phase is Phase.RUNNING
    assert condition and (condition.status, condition.reason) == ("False", "NodesUnreadable")
    assert "status.compressedNodes of the Workflow is not an object" in condition.message
    assert [notice.reason for notice in status_notices(NEW.status, bad)] == ["NodesUnreadable"]
    good = mirror_workflow(replace(NEW, status=bad), observed({"phase": "Running", "nodes": {}}), NOW)
    assert find_condition(good.conditions, NODES_MIRRORED) is None
