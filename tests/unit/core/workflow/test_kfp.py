"""A Workflow of the KFP SDK is completed as KFP's server does; another one is not changed."""

from datetime import UTC, datetime
from typing import Any

import pytest

from runwright.core.workflow import kfp
from runwright.core.workflow.expect import Refused

CREATED = datetime(2026, 11, 24, 10, 0, 0, tzinfo=UTC)


def complete(spec: dict[str, Any], **workflow: Any) -> dict[str, Any]:
    return kfp.complete_kfp_workflow({"spec": spec, **workflow}, 'id"1', "my run", CREATED)


@pytest.mark.parametrize(
    ("metadata", "answer"),
    [
        ({"annotations": {"pipelines.kubeflow.org/kfp_sdk_version": "1.8.22"}}, True),
        ({"labels": {"pipelines.kubeflow.org/kfp_sdk_version": "1.8.22"}}, True),
        ({"labels": {"pipeline": "kubeflow"}, "annotations": None}, False),
        ({}, False),
        ({"labels": ["pipelines.kubeflow.org/x"]}, False),
    ],
)
def test_recognised_by_its_own_labels_and_annotations(metadata: dict[str, Any], answer: bool) -> None:
    assert kfp.is_compiled_by_kfp(metadata) is answer


def test_the_run_can_be_found_from_workflow_and_pods() -> None:
    workflow = complete({"podMetadata": {"labels": {"a": "b"}}}, metadata={"labels": {"c": "d"}})
    assert workflow["metadata"] == {
        "labels": {"c": "d", "pipeline/runid": 'id"1'},
        "annotations": {"pipelines.kubeflow.org/run_name": "my run"},
    }
    assert workflow["spec"]["podMetadata"]["labels"] == {"a": "b", "pipeline/runid": 'id"1'}


def test_every_template_is_labelled_and_kept_out_of_istio_unless_it_says_otherwise() -> None:
    templates = [
        {"name": "a"},
        {
            "name": "b",
            "metadata": {"annotations": {"sidecar.istio.io/inject": "true"}, "labels": {kfp.CACHE_ENABLED_LABEL: "x"}},
        },
    ]
    first, second = (template["metadata"] for template in complete({"templates": templates})["spec"]["templates"])
    assert first == {"annotations": {"sidecar.istio.io/inject": "false"}, "labels": {kfp.CACHE_ENABLED_LABEL: "true"}}
    assert second == {"annotations": {"sidecar.istio.io/inject": "true"}, "labels": {kfp.CACHE_ENABLED_LABEL: "true"}}


def test_the_artifacts_of_ui_and_metrics_are_optional() -> None:
    artifacts = [{"name": name} for name in ("mlpipeline-ui-metadata", "mlpipeline-metrics", "data")]
    (template,) = complete({"templates": [{"name": "a", "outputs": {"artifacts": artifacts}}]})["spec"]["templates"]
    assert [artifact.get("optional") for artifact in template["outputs"]["artifacts"]] == [True, True, None]


def test_workflow_uid_becomes_the_runs_uid_everywhere() -> None:
    workflow = complete(
        {
            "templates": [
                {"name": "a", "container": {"args": ["x-{{workflow.uid}}-{{workflow.uid}}", "{{workflow.name}}"]}}
            ]
        },
        metadata={"annotations": {"note": "{{workflow.uid}}"}},
    )
    assert workflow["spec"]["templates"][0]["container"]["args"] == ['x-id"1-id"1', "{{workflow.name}}"]
    assert workflow["metadata"]["annotations"]["note"] == 'id"1'


def test_macros_in_parameter_values_only() -> None:
    spec = {
        "arguments": {
            "parameters": [{"name": "a", "value": "[[CurrentTime]]"}, {"name": "b", "value": 1}, {"name": "c"}]
        },
        "templates": [{"name": "t", "container": {"args": ["[[CurrentTime]]"]}}],
    }
    spec = complete(spec)["spec"]
    assert [one.get("value") for one in spec["arguments"]["parameters"]] == ["20261124100000", 1, None]
    assert spec["templates"][0]["container"]["args"] == ["[[CurrentTime]]"]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"podMetadata": 1}, "spec.podMetadata: expected a mapping"),
        ({"templates": [{"metadata": {"labels": []}}]}, "spec.templates[0].metadata.labels: expected a mapping"),
        ({"templates": [{"outputs": {"artifacts": {}}}]}, "spec.templates[0].outputs.artifacts: expected a list"),
        ({"templates": [1]}, "spec.templates[0]: expected a mapping"),
    ],
)
def test_wrong_shapes_are_refused(spec: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused) as refusal:
        complete(spec)
    assert said in refusal.value.refusal.message
