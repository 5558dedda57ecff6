"""A PipelineRun is read into a RunRecord, whatever it contains."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.api.labels import DELETE_ON_LABEL, IMPORTED_ANNOTATION, STORAGE_STATE_LABEL
from runwright.api.pipelinerun import PipelineRunStatus
from runwright.api.states import Phase, Shutdown
from runwright.core.records import Periods, SourceField
from runwright.core.run_record import is_owned_elsewhere, read_periods, read_run_status, run_record, source_digest
from runwright.kube.objects import Key
from tests.unit.core.strategies import JSON, METADATA, OBJECTS


@given(
    METADATA | JSON,
    JSON
    | st.fixed_dictionaries({}, optional={"workflow": JSON, "shutdown": JSON, "retries": JSON, "parameters": JSON}),
    JSON | st.fixed_dictionaries({}, optional={"phase": JSON, "conditions": JSON, "nodes": JSON}),
)
def test_any_run_gives_a_record(metadata: Any, spec: Any, status: Any) -> None:
    run_record({"metadata": metadata, "spec": spec, "status": status})


@given(OBJECTS)
def test_any_object_gives_a_record(body: dict[str, Any]) -> None:
    run_record(body)


class TestRun:
    BODY: ClassVar[Any] = {
        "metadata": {
            "namespace": "team",
            "name": "train",
            "uid": "u1",
            "resourceVersion": "12",
            "generation": 3,
            "creationTimestamp": "2026-11-24T12:00:00Z",
        },
        "spec": {"workflow": {"manifest": "kind: Workflow"}, "shutdown": "Stop", "retries": 2},
        "status": {"phase": "Running", "unknown": 1},
    }

    def test_a_run_gives_its_record(self) -> None:
        run = run_record(self.BODY)
        assert (run.key, run.uid, run.resource_version, run.generation) == (Key("team", "train"), "u1", "12", 3)
        assert run.created_at == datetime(2026, 11, 24, 12, tzinfo=UTC)
        assert (run.source, run.shutdown, run.retries, run.deleting) == (SourceField.MANIFEST, Shutdown.STOP, 2, False)
        assert run.status == PipelineRunStatus(phase=Phase.RUNNING)
        assert not run.finished

    def test_a_run_with_a_deletion_timestamp_is_being_deleted(self) -> None:
        metadata = self.BODY["metadata"] | {"deletionTimestamp": "2026-11-24T12:00:00Z"}
        assert run_record(self.BODY | {"metadata": metadata}).deleting

    @pytest.mark.parametrize(
        ("workflow", "source"),
        [
            ({"spec": {}}, SourceField.SPEC),
            ({"templateRef": {"name": "t"}}, SourceField.TEMPLATE_REF),
            ({"manifestFrom": {}}, SourceField.MANIFEST_FROM),
            ({"manifest": "a", "spec": {}}, SourceField.INVALID),
            ({}, SourceField.INVALID),
        ],
    )
    def test_the_source_is_the_only_field_of_spec_workflow(self, workflow: Any, source: SourceField) -> None:
        assert run_record({"spec": {"workflow": workflow}}).source is source

    def test_an_invalid_field_of_the_status_is_left_out(self) -> None:
        assert read_run_status({"phase": "Exploded"}) == PipelineRunStatus()
        workflow = {"name": "train", "uid": "u"}
        ended = {"phase": "Exploded", "workflow": workflow, "nodes": 7, "finishedAt": "2026-01-01T00:00:00Z"}
        kept = read_run_status(ended)
        assert kept.workflow is not None and kept.workflow.uid == "u"
        assert run_record({"metadata": {}, "status": ended}).finished, "a newer version's run is not started again"
        assert read_run_status("nothing") == PipelineRunStatus()

    def test_the_digest_changes_with_the_source_fields_only(self) -> None:
        spec = {"workflow": {"manifest": "a"}, "parameters": [{"name": "x", "value": "1"}]}
        assert source_digest(spec) == source_digest({**spec, "displayName": "other", "retries": 1})
        assert source_digest(spec) != source_digest({**spec, "serviceAccountName": "other"})
        assert source_digest(spec) != source_digest({**spec, "parameters": []})

    def test_a_run_with_a_workflow_has_no_digest(self) -> None:
        assert run_record(self.BODY).source_digest
        status = {"workflow": {"name": "train", "uid": "w"}}
        assert run_record(self.BODY | {"status": status}).source_digest == ""


@pytest.mark.parametrize(
    ("labels", "annotations", "expected"),
    [
        ({}, {}, False),
        ({"team": "a"}, {"note": "b"}, False),
        ({"app.kubernetes.io/instance": "app"}, {}, True),
        ({"kustomize.toolkit.fluxcd.io/name": "app"}, {}, True),
        ({}, {"argocd.argoproj.io/tracking-id": "app:runwright.dev/PipelineRun:team/train"}, True),
        ({}, {"meta.helm.sh/release-name": "app"}, True),
    ],
)
def test_a_label_or_annotation_of_a_gitops_tool_marks_the_run(labels: Any, annotations: Any, expected: bool) -> None:
    assert is_owned_elsewhere(labels, annotations) is expected
    assert run_record({"metadata": {"labels": labels, "annotations": annotations}}).owned_elsewhere is expected


def test_retention_periods_are_read_and_invalid_ones_left_out() -> None:
    assert read_periods({"archiveAfter": "1h", "deleteAfter": "soon", "keepWorkflow": 3}) == Periods(timedelta(hours=1))
    assert run_record({"spec": {"retention": {"keepWorkflow": "90s"}}}).periods == Periods(
        keep_workflow=timedelta(seconds=90)
    )


def test_labels_and_annotations_are_read() -> None:
    metadata = {
        "labels": {STORAGE_STATE_LABEL: "Archived", DELETE_ON_LABEL: "2026-11-24"},
        "annotations": {IMPORTED_ANNOTATION: "u0"},
    }
    run = run_record({"metadata": metadata})
    assert (run.archived, run.delete_on, run.imported) == (True, "2026-11-24", True)
    assert not run_record({"metadata": {"labels": {STORAGE_STATE_LABEL: "Available"}}}).archived
