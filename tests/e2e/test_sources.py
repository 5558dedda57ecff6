"""Every way to say what is to run: each runs to its end, with the parameters that the run gives."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator

import pytest
import yaml

from tests.e2e.cluster import Kubectl, Object, condition
from tests.e2e.conftest import Apply, WaitRun
from tests.e2e.manifests import instant, of_kind, pipeline_run, workflow

WHO = {"who": "Ada"}


def greeting(**metadata: str) -> Object:
    """A Workflow, without a pod, that puts its two parameters into an output."""
    spec = {
        "entrypoint": "main",
        "arguments": {"parameters": [{"name": "greeting", "value": "Hello"}, {"name": "who"}]},
        "templates": [
            {
                "name": "main",
                "steps": [[{"name": "pause", "template": "pause"}]],
                "outputs": {
                    "parameters": [
                        {
                            "name": "said",
                            "valueFrom": {
                                "expression": "'{{workflow.parameters.greeting}}, {{workflow.parameters.who}}'"
                            },
                        }
                    ]
                },
            },
            {"name": "pause", "suspend": {"duration": "0s"}},
        ],
    }
    return workflow(spec, **metadata)


def said(run: Object) -> str:
    """What the run put out."""
    (output,) = run["status"]["outputs"]["parameters"]
    assert output["name"] == "said"
    return output["value"]


MANIFESTS = {
    "YAML": yaml.safe_dump(greeting()),
    "JSON": json.dumps(greeting()),
    "YAML with a comment, a marker and an anchor": "# made by hand\n---\n"
    + yaml.safe_dump(greeting()).replace("name: pause\n    suspend:", "name: &pause pause\n    suspend:"),
    "JSON over many lines": json.dumps(greeting(), indent=4),
}


@pytest.mark.parametrize("form", MANIFESTS)
def test_a_manifest_runs(form: str, apply: Apply, wait_run: WaitRun):
    apply(pipeline_run({"manifest": MANIFESTS[form]}, parameters=WHO))
    assert said(wait_run("run", "Succeeded")) == "Hello, Ada"


def test_an_inline_spec_runs(apply: Apply, wait_run: WaitRun):
    apply(pipeline_run({"spec": greeting()["spec"]}, parameters=WHO | {"greeting": "Good day"}))
    assert said(wait_run("run", "Succeeded")) == "Good day, Ada"


def test_a_workflow_template_runs(kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun):
    apply(greeting() | {"kind": "WorkflowTemplate", "metadata": {"name": "greeting"}})
    apply(pipeline_run({"templateRef": {"name": "greeting"}}, parameters=WHO))
    assert said(wait_run("run", "Succeeded")) == "Hello, Ada"
    assert kubectl.get(namespace, "workflow", "run")["spec"]["workflowTemplateRef"]["name"] == "greeting"


@pytest.fixture
def cluster_template(kubectl: Kubectl, namespace: str) -> Iterator[str]:
    document = greeting() | {"kind": "ClusterWorkflowTemplate", "metadata": {"name": namespace}}
    kubectl("apply", "-f", "-", input=json.dumps(document))
    yield namespace
    kubectl("delete", "clusterworkflowtemplate", namespace, "--wait=false")


def test_a_cluster_workflow_template_runs(cluster_template: str, apply: Apply, wait_run: WaitRun):
    apply(pipeline_run({"templateRef": {"name": cluster_template, "clusterScope": True}}, parameters=WHO))
    assert said(wait_run("run", "Succeeded")) == "Hello, Ada"


def test_a_manifest_of_a_pipeline_manifest_runs(apply: Apply, wait_run: WaitRun):
    manifest = yaml.safe_dump(greeting())
    digest = "sha256:" + hashlib.sha256(manifest.encode()).hexdigest()
    apply(of_kind("PipelineManifest", "greeting", manifest=manifest))
    source = {"pipelineManifestRef": {"name": "greeting"}}
    apply(pipeline_run({"manifestFrom": source}, "any", parameters=WHO))
    apply(pipeline_run({"manifestFrom": source | {"digest": digest}}, "exactly", parameters={"who": "Grace"}))
    assert said(wait_run("any", "Succeeded")) == "Hello, Ada"
    assert said(wait_run("exactly", "Succeeded")) == "Hello, Grace"
    with pytest.raises(subprocess.CalledProcessError) as refused:
        apply(of_kind("PipelineManifest", "greeting", manifest=manifest + "# edited"))
    assert "manifest: Forbidden: cannot change: keep it" in refused.value.stderr


def test_a_config_map_without_the_label_is_not_read(kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun):
    """Somebody with rights on PipelineRuns alone must not learn what is in it, not even which keys it has."""
    secret = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "app"}, "data": {"password": "s3cret: ["}}
    apply(secret)
    messages: list[str] = []
    for run, name, key in (("a", "app", "password"), ("b", "app", "none"), ("c", "pap", "password")):
        apply(pipeline_run({"manifestFrom": {"configMapKeyRef": {"name": name, "key": key}}}, run))
        stalled = wait_run(run, lambda found: condition(found, "Stalled").get("status") == "True")
        assert condition(stalled, "Stalled")["reason"] == "ConfigMapNotFound"
        messages.append(condition(stalled, "Stalled")["message"].replace(name, "NAME"))
    assert len(set(messages)) == 1 and "s3cret" not in messages[0] and "password" not in messages[0]
    apply(secret | {"data": {"password": yaml.safe_dump(workflow(instant()))}})
    kubectl("label", "configmap", "-n", namespace, "app", "runwright.dev/manifest=true")
    wait_run("a", "Succeeded")


MAY_BE_READ = {"runwright.dev/manifest": "true"}


def test_a_manifest_of_a_config_map_runs(apply: Apply, wait_run: WaitRun):
    """One copy of a manifest for many runs; those that name its digest are safe from an edit of it."""
    manifest = yaml.safe_dump(greeting())
    digest = "sha256:" + hashlib.sha256(manifest.encode()).hexdigest()
    source = {"configMapKeyRef": {"name": "pipelines", "key": "greeting.yaml"}}
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "pipelines", "labels": MAY_BE_READ}}
    apply(config_map | {"data": {"greeting.yaml": manifest}})
    apply(pipeline_run({"manifestFrom": source}, "any", parameters=WHO))
    apply(pipeline_run({"manifestFrom": source | {"digest": digest}}, "exactly", parameters={"who": "Grace"}))
    assert said(wait_run("any", "Succeeded")) == "Hello, Ada"
    assert said(wait_run("exactly", "Succeeded")) == "Hello, Grace"

    apply(config_map | {"data": {"greeting.yaml": manifest + "# edited\n"}})
    apply(pipeline_run({"manifestFrom": source | {"digest": digest}}, "late", parameters=WHO))
    run = wait_run("late", lambda found: condition(found, "Stalled").get("status") == "True")
    assert condition(run, "Stalled")["reason"] == "DigestMismatch"
    assert digest in condition(run, "Stalled")["message"]
    apply(config_map | {"data": {"greeting.yaml": manifest}})
    assert said(wait_run("late", "Succeeded")) == "Hello, Ada"


def test_metadata_of_a_manifest_is_kept_except_name_and_namespace(
    kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun
):
    """Its labels and annotations; its name and namespace are the run's."""
    manifest = workflow(
        greeting()["spec"], "another", namespace="elsewhere", labels={"team": "a"}, annotations={"example.com/why": "b"}
    )
    apply(pipeline_run({"manifest": yaml.safe_dump(manifest)}, parameters=WHO))
    wait_run("run", "Succeeded")
    (made,) = kubectl.list(namespace, "workflow")
    assert made["metadata"]["name"] == "run"
    assert made["metadata"]["labels"]["team"] == "a"
    assert made["metadata"]["annotations"]["example.com/why"] == "b"
