"""A Workflow is read into a WorkflowRecord, whatever it contains."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any, ClassVar

import pytest
from hypothesis import given

from runwright.core.metrics.reports import MAX_OF_A_RUN
from runwright.core.workflow.record import (
    ATTEMPT_ANNOTATION,
    MAX_NODES_BYTES,
    NODE_MESSAGE_LIMIT,
    attempt_of,
    controller_reference,
    find_metric_nodes,
    node_status,
    workflow_nodes,
    workflow_record,
)
from runwright.kube.objects import Key
from tests.unit.core.strategies import JSON, METADATA, NODES, OBJECTS, WORKFLOW_STATUSES


def packed(nodes: Any) -> str:
    return base64.b64encode(gzip.compress(json.dumps(nodes).encode(), mtime=0)).decode()


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


class TestCompressedNodes:
    @given(NODES)
    def test_compressed_nodes_are_unpacked(self, nodes: Any) -> None:
        nodes = json.loads(json.dumps(nodes).replace("NaN", "0").replace("Infinity", "0"))
        assert workflow_nodes({"compressedNodes": packed(nodes)}) == nodes

    @pytest.mark.parametrize(
        "text",
        [
            "not base64!",
            base64.b64encode(b"not gzip").decode(),
            base64.b64encode(gzip.compress(b"not json", mtime=0)).decode(),
            base64.b64encode(gzip.compress(b"[1]", mtime=0)).decode(),
            base64.b64encode(gzip.compress(b'{"a":{}}', mtime=0)[:-9]).decode(),
            base64.b64encode(gzip.compress(b"[" * 100_000, mtime=0)).decode(),
        ],
    )
    def test_invalid_compressed_nodes_give_no_nodes(self, text: str) -> None:
        assert workflow_nodes({"compressedNodes": text}) == {}

    def test_a_decompression_bomb_gives_no_nodes(self) -> None:
        bomb = base64.b64encode(gzip.compress(b" " * (MAX_NODES_BYTES + 1), compresslevel=1, mtime=0)).decode()
        assert workflow_nodes({"compressedNodes": bomb}) == {}

    def test_an_unpaired_surrogate_is_replaced(self) -> None:
        nodes = {"a": {"displayName": "\ud83d", "message": "\ud83d\ude00"}}
        found = workflow_nodes({"compressedNodes": packed(nodes)})
        assert found == {"a": {"displayName": "?", "message": "😀"}}


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


def test_a_node_without_display_name_has_its_name_and_a_short_message() -> None:
    node = node_status("id", {"name": "run.train", "phase": "Failed", "message": "x" * 1000})
    assert (node.id, node.name) == ("id", "run.train")
    assert node.message is not None and len(node.message.encode()) <= NODE_MESSAGE_LIMIT
