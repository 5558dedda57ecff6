"""A Workflow is read into a WorkflowRecord, whatever it contains."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from hypothesis import given

from runwright.core.metrics.reports import MAX_OF_A_RUN
from runwright.core.workflow.record import (
    ATTEMPT_ANNOTATION,
    attempt_of,
    controller_reference,
    find_metric_nodes,
    has_many_nodes,
    workflow_nodes,
    workflow_record,
)
from runwright.kube.objects import Key
from tests.unit.core.strategies import JSON, METADATA, OBJECTS, WORKFLOW_STATUSES


@given(METADATA | JSON, JSON | WORKFLOW_STATUSES)
def test_any_workflow_gives_a_record(metadata: Any, status: Any) -> None:
    record = workflow_record({"metadata": metadata, "status": status})
    assert record == workflow_record({"metadata": metadata, "status": status})


@given(OBJECTS)
def test_any_object_gives_a_record(body: dict[str, Any]) -> None:
    workflow_record(body)


class TestWorkflow:
    OWNER: ClassVar[Any] = {
        "apiVersion": "runwright.dev/v1alpha1",
        "kind": "PipelineRun",
        "controller": True,
        "uid": "u1",
    }

    def test_a_workflow_gives_its_record(self) -> None:
        root = {"type": "DAG", "phase": "Succeeded", "outputs": {"parameters": [{"name": "accuracy", "value": "1"}]}}
        record = workflow_record(
            {
                "metadata": {
                    "namespace": "team",
                    "name": "train",
                    "uid": "w1",
                    "resourceVersion": "5",
                    "ownerReferences": [self.OWNER | {"name": "train"}],
                    "annotations": {"runwright.dev/generation": "4", "runwright.dev/source-digest": "d"},
                },
                "status": {
                    "phase": "Succeeded",
                    "progress": "1/1",
                    "startedAt": "2026-11-24T12:00:00Z",
                    "finishedAt": "2026-11-24T12:00:09Z",
                    "nodes": {"train": root, "train-1": {"displayName": "a", "type": "Pod", "phase": "Succeeded"}},
                },
            }
        )
        assert (record.key, record.uid, record.resource_version) == (Key("team", "train"), "w1", "5")
        assert (record.owner_uid, record.owner_name, record.generation, record.source_digest) == ("u1", "train", 4, "d")
        assert (record.phase, record.progress, record.finished) == ("Succeeded", "1/1", True)
        assert [node.name for node in record.nodes] == ["", "a"]
        assert record.outputs is not None and record.outputs.parameters is not None
        assert record.outputs.parameters[0].value == "1"

    @pytest.mark.parametrize("generation", ["", "x", "-1", "1.5", "٣", "9" * 5000, None, 3])
    def test_an_invalid_generation_is_zero(self, generation: Any) -> None:
        metadata = {"annotations": {"runwright.dev/generation": generation}}
        assert workflow_record({"metadata": metadata}).generation == 0

    @pytest.mark.parametrize(
        "owners", [None, [], ["x"], [{"kind": "PipelineRun"}], [{"kind": "Job", "controller": True}]]
    )
    def test_only_a_controlling_run_is_the_owner(self, owners: Any) -> None:
        assert controller_reference({"ownerReferences": owners}) == {}
        assert controller_reference({"ownerReferences": [{"kind": "Job"}, self.OWNER]}) == self.OWNER

    def test_a_message_is_kept_for_nodes_that_did_not_succeed(self) -> None:
        nodes = {
            name: {"phase": phase, "message": "out of disk", "startedAt": f"2026-11-24T12:00:0{at}Z"}
            for at, (name, phase) in enumerate(
                [("a", "Succeeded"), ("b", "Failed"), ("c", "Running"), ("d", "Pending")]
            )
        }
        record = workflow_record({"status": {"nodes": nodes}})
        assert [node.message for node in record.nodes] == [None, "out of disk", None, "out of disk"]


def test_many_nodes_can_be_left_out() -> None:
    nodes = {f"a-{number}": {"phase": "Failed", "startedAt": "2026-11-24T12:00:00Z"} for number in range(1001)}
    status = {"phase": "Running", "nodes": nodes, "outputs": {"parameters": [{"name": "a", "value": "1"}]}}
    assert has_many_nodes({"status": status})
    partial, whole = workflow_record({"status": status}, with_nodes=False), workflow_record({"status": status})
    assert (partial.phase, partial.nodes, partial.nodes_omitted, partial.partial) == ("Running", (), 0, True)
    assert (whole.partial, len(whole.nodes) + whole.nodes_omitted) == (False, 1001)
    assert not has_many_nodes({"status": {"nodes": dict(list(nodes.items())[:1000])}})
    assert has_many_nodes({"status": {"compressedNodes": "x"}})


def test_nodes_that_cannot_be_unpacked_are_a_problem() -> None:
    record = workflow_record({"status": {"phase": "Failed", "compressedNodes": "not base64!"}})
    assert record.phase == "Failed" and not record.nodes
    assert record.nodes_problem.startswith(
        "status.compressedNodes of the Workflow is not an object in JSON, gzip and base64"
    )
    assert workflow_nodes({"compressedNodes": "not base64!"}) == {}


def test_long_texts_are_cut() -> None:
    long = "x" * 100_000
    annotations = {"runwright.dev/source-digest": long, "runwright.dev/restored-from": long}
    status = {"phase": long, "message": long, "progress": long}
    record = workflow_record({"metadata": {"annotations": annotations}, "spec": {"shutdown": long}, "status": status})
    assert len(repr(record)) < 3000


@pytest.mark.parametrize(("text", "attempt"), [("0", 0), ("2", 2), ("", None), ("x", None), (2, None), ("-1", None)])
def test_the_attempt_is_a_number_in_an_annotation(text: Any, attempt: int | None) -> None:
    assert attempt_of({"metadata": {"annotations": {ATTEMPT_ANNOTATION: text}}}) == attempt


class TestMetricNodes:
    ARTIFACT: ClassVar[Any] = {"artifacts": [{"name": "mlpipeline-metrics"}]}
    PARAMETER: ClassVar[Any] = {"parameters": [{"name": "mlpipeline-metrics", "value": "{}"}]}

    def test_a_finished_pod_with_the_output_is_found(self) -> None:
        nodes = {
            "artifact": {"type": "Pod", "phase": "Succeeded", "outputs": self.ARTIFACT},
            "parameter": {"type": "Pod", "phase": "Failed", "outputs": self.PARAMETER},
            "running": {"type": "Pod", "phase": "Running", "outputs": self.ARTIFACT},
            "group": {"type": "DAG", "phase": "Succeeded", "outputs": self.ARTIFACT},
            "other": {"type": "Pod", "phase": "Succeeded", "outputs": {"artifacts": [{"name": "model"}]}},
            "odd": 7,
        }
        assert find_metric_nodes(nodes) == ("artifact", "parameter")

    def test_no_more_nodes_are_found_than_a_run_can_have_metrics(self) -> None:
        node = {"type": "Pod", "phase": "Succeeded", "outputs": self.ARTIFACT}
        assert len(find_metric_nodes({str(at): node for at in range(MAX_OF_A_RUN + 5)})) == MAX_OF_A_RUN
