"""Metrics that the steps of a run leave, as KFP's steps do: a file in the object store, or an output parameter."""

from __future__ import annotations

import json

from tests.e2e.cluster import Kubectl, Object, condition
from tests.e2e.conftest import Apply, WaitRun
from tests.e2e.manifests import pipeline_run, shell

METRICS = {
    "metrics": [
        {"name": "accuracy", "numberValue": 0.93, "format": "PERCENTAGE"},
        {"name": "loss", "numberValue": 0.25},
    ]
}


def leaving(file: str, name: str = "main", kind: str = "artifacts") -> Object:
    """A template whose container leaves a metrics file."""
    output = {"path": "/tmp/metrics.json"} if kind == "artifacts" else {"valueFrom": {"path": "/tmp/metrics.json"}}
    return shell(
        f"printf '%s' '{file}' > /tmp/metrics.json",
        name,
        outputs={kind: [{"name": "mlpipeline-metrics", **output}]},
    )


def reported(run: Object) -> list[tuple[str, float, str]]:
    return [(one["name"], one["value"], one["format"]) for one in run["status"].get("metrics", [])]


def test_metrics_are_in_the_status_when_the_run_ends(apply: Apply, wait_run: WaitRun):
    """From the artifact, which Argo packs as a tar.gz, and from the parameter; each with the node that left it."""
    steps = [[{"name": "file", "template": "file"}, {"name": "text", "template": "text"}]]
    spec = {
        "entrypoint": "main",
        "templates": [
            {"name": "main", "steps": steps},
            leaving(json.dumps(METRICS), "file"),
            leaving('{"metrics": [{"name": "f1", "numberValue": 0.5, "format": "RAW"}]}', "text", "parameters"),
        ],
    }
    apply(pipeline_run({"spec": spec}))
    run = wait_run("run", "Succeeded")
    found = sorted(reported(run))
    assert found == [("accuracy", 0.93, "PERCENTAGE"), ("f1", 0.5, "RAW"), ("loss", 0.25, "UNSPECIFIED")]
    nodes = {node["id"]: node["name"] for node in run["status"]["nodes"]}
    assert {one["name"]: nodes[one["nodeID"]] for one in run["status"]["metrics"]} == {
        "accuracy": "file",
        "loss": "file",
        "f1": "text",
    }
    assert condition(run, "MetricsCollected") == {}


def test_one_bad_metric_is_reported_and_hides_no_other(
    kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun
):
    file = '{"metrics": [{"name": "loss", "numberValue": NaN}, {"name": "1st", "numberValue": 1}, {"name": "ok"}]}'
    apply(pipeline_run({"spec": {"entrypoint": "main", "templates": [leaving(file)]}}))
    run = wait_run("run", "Succeeded")
    assert reported(run) == [("ok", 0, "UNSPECIFIED")]
    collected = condition(run, "MetricsCollected")
    assert (collected["status"], collected["reason"]) == ("False", "MetricsRefused")
    assert "number_value of loss: expected a finite number, found nan" in collected["message"]
    assert 'found "1st"' in collected["message"]
    for _, event in kubectl.watch(namespace, "events", "--field-selector=reason=MetricsRefused"):
        assert event["involvedObject"]["name"] == "run"
        break


def test_a_bad_metrics_file_is_reported_and_does_not_change_how_the_run_ends(apply: Apply, wait_run: WaitRun):
    apply(pipeline_run({"spec": {"entrypoint": "main", "templates": [leaving("accuracy: 0.9")]}}))
    run = wait_run("run", "Succeeded")
    assert reported(run) == []
    assert "the artifact mlpipeline-metrics is not JSON" in condition(run, "MetricsCollected")["message"]
