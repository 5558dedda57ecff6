"""A PipelineRun as clients of the KFP API see it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.kube.objects import INCOMPLETE, Incompleteness
from runwright.service.contract.run_pb2 import Run, RunMetric
from runwright.service.present import inline_manifest, run_manifest_ref, run_message
from runwright.service.rows import RowFactory
from tests.unit.service.bodies import run_body


def test_a_run_has_every_field_of_the_contract():
    body = run_body(
        metadata={"labels": {"runwright.dev/storage-state": "Archived"}},
        spec={
            "displayName": "Train it",
            "description": "Nightly",
            "parameters": [{"name": "n", "value": "1"}],
            "serviceAccountName": "runner",
            "references": [{"type": "EXPERIMENT", "id": "e", "name": "exp"}, {"type": "NONE", "id": "x"}],
            "pipeline": {"id": "p", "name": "pipe", "manifest": "m"},
        },
        status={
            "phase": "Failed",
            "finishedAt": "2026-11-26T11:00:00Z",
            "metrics": [{"name": "f1", "nodeID": "n1", "value": 0.5, "format": "PERCENTAGE"}, {"value": "x"}],
        },
    )
    run = run_message(body, "manifest")
    assert (run.id, run.name, run.description) == ("uid-train", "Train it", "Nightly")
    assert run.storage_state == Run.STORAGESTATE_ARCHIVED
    assert (run.pipeline_spec.pipeline_id, run.pipeline_spec.pipeline_name) == ("p", "pipe")
    assert (run.pipeline_spec.pipeline_manifest, run.pipeline_spec.workflow_manifest) == ("m", "manifest")
    assert [(one.name, one.value) for one in run.pipeline_spec.parameters] == [("n", "1")]
    assert [(one.key.id, one.name, one.relationship) for one in run.resource_references] == [("e", "exp", 1)]
    assert run.service_account == "runner"
    assert run.created_at.ToJsonString() == "2026-11-26T10:00:00Z"
    assert run.finished_at.ToJsonString() == "2026-11-26T11:00:00Z"
    assert run.scheduled_at.ToJsonString() == "1970-01-01T00:00:00Z", "unset, as KFP says it"
    assert run.status == "Failed"
    assert list(run.metrics) == [RunMetric(name="f1", node_id="n1", number_value=0.5, format=RunMetric.PERCENTAGE)]


@pytest.mark.parametrize(
    ("status", "spec", "expected"),
    [
        ({}, {}, "Pending"),
        ({"phase": "Running"}, {}, "Running"),
        ({"phase": "Running"}, {"shutdown": "Stop"}, "Terminating"),
        ({}, {"shutdown": "Terminate"}, "Terminating"),
        ({"phase": "Failed"}, {"shutdown": "Stop"}, "Failed"),
    ],
)
def test_the_status_is_the_phase_in_kfps_words(status: dict[str, Any], spec: dict[str, Any], expected: str):
    assert run_message(run_body(status=status, spec=spec)).status == expected


def test_the_error_is_the_stalled_condition_of_an_unfinished_run():
    stalled = [{"type": "Stalled", "status": "True", "message": "make the template"}]
    assert run_message(run_body(status={"conditions": stalled})).error == "make the template"
    assert run_message(run_body(status={"phase": "Failed", "conditions": stalled})).error == ""


def test_a_manifest_is_inline_or_in_a_config_map():
    assert inline_manifest(run_body(spec={"workflow": {"manifest": "kind: Workflow"}})) == "kind: Workflow"
    whole = run_body(spec={"workflow": {"spec": {"a": 1}}})
    assert '"spec":{"a":1}' in inline_manifest(whole)
    cut = {**whole, INCOMPLETE: Incompleteness("TooDeep", "spec.workflow is nested deeper than 100 levels")}
    assert inline_manifest(cut) == ""
    source = {"manifestFrom": {"configMapKeyRef": {"name": "c", "key": "k"}, "digest": "d"}}
    ref = run_manifest_ref(run_body(spec={"workflow": source}))
    assert ref is not None and (ref.namespace, ref.name, ref.key, ref.digest) == ("team", "c", "k", "d")
    assert run_manifest_ref(run_body()) is None


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.just("\ud800"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "id", "value", "type", "key", "nodeID", "phase"]), inner)
    ),
    max_leaves=8,
)
parts = st.dictionaries(
    st.sampled_from(
        ["uid", "name", "labels", "displayName", "references", "pipeline", "parameters", "workflow", "phase"]
        + ["metrics", "conditions", "finishedAt", "scheduledAt", "shutdown", "resourceVersion", "creationTimestamp"]
    ),
    anything,
)


@given(parts, parts, parts)
def test_any_object_is_converted_without_an_error(metadata: Any, spec: Any, status: Any):
    body = {"metadata": metadata, "spec": spec, "status": status}
    message = run_message(body)
    assert Run.FromString(message.SerializeToString()) == message
    row = RowFactory().row(body)
    assert row.run() == message
