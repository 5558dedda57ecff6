"""A pipeline that the real KFP SDK 1.8 compiles runs as a PipelineRun, with everything that KFP's server would add."""

from __future__ import annotations

import pytest

from tests.e2e.cluster import Kubectl, Object, condition, stalled
from tests.e2e.conftest import Apply, WaitRun
from tests.e2e.environments import written_by
from tests.e2e.manifests import pipeline_run


@pytest.fixture(scope="module")
def manifest() -> str:
    return written_by("kfp", "train.py")


# The content of an artifact, read by a step of another run from the artifact repository alone.
READER: Object = {
    "entrypoint": "read",
    "arguments": {"parameters": [{"name": "key"}]},
    "templates": [
        {
            "name": "read",
            "inputs": {
                "artifacts": [{"name": "it", "path": "/tmp/it", "s3": {"key": "{{workflow.parameters.key}}"}}],
            },
            "outputs": {"parameters": [{"name": "content", "globalName": "content", "valueFrom": {"path": "/tmp/it"}}]},
            "container": {"image": "busybox", "command": ["cat", "/tmp/it"]},
        }
    ],
}


@pytest.mark.timeout(700)
def test_a_compiled_pipeline_runs_and_leaves_its_artifacts(
    kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun, manifest: str
) -> None:
    # The SDK writes it into every manifest; an installation of KFP has it.
    kubectl("create", "serviceaccount", "-n", namespace, "pipeline-runner")
    apply(pipeline_run({"manifest": manifest}, "train", parameters={"rows": "20"}, displayName="Training on 20 rows"))
    run = wait_run("train", "Succeeded", 300)

    workflow = kubectl.get(namespace, "workflow", "train")
    uid, created = run["metadata"]["uid"], run["metadata"]["creationTimestamp"]
    assert workflow["metadata"]["labels"]["pipeline/runid"] == uid
    assert workflow["metadata"]["annotations"]["pipelines.kubeflow.org/run_name"] == "Training on 20 rows"
    pods = kubectl.list(namespace, "pods", "-l", f"pipeline/runid={uid}")
    assert len(pods) == 2
    for pod in pods:
        assert pod["spec"]["serviceAccountName"] == "pipeline-runner"
        assert pod["metadata"]["labels"]["pipelines.kubeflow.org/cache_enabled"] == "true"
        assert pod["metadata"]["annotations"]["sidecar.istio.io/inject"] == "false"

    keys = {
        artifact["name"]: artifact["s3"]["key"]
        for node in workflow["status"]["nodes"].values()
        for artifact in (node.get("outputs") or {}).get("artifacts", [])
    }
    assert {"prepare-data", "prepare-Output", "train-model", "mlpipeline-metrics"} <= set(keys)
    apply(pipeline_run({"spec": READER}, "read", parameters={"key": keys["train-model"]}))
    outputs = wait_run("read", "Succeeded", 300)["status"]["outputs"]
    # The SDK's {{workflow.uid}} is the run's id, and its macro the year of the run.
    assert outputs["parameters"] == [{"name": "content", "value": f"sum=190 run={uid} stamp={created[:4]}"}]


def test_a_pipeline_with_a_missing_service_account_is_stalled(apply: Apply, wait_run: WaitRun, manifest: str) -> None:
    apply(pipeline_run({"manifest": manifest}))
    run = wait_run("run", lambda found: stalled(found) == "ServiceAccountNotFound")
    assert '"pipeline-runner"' in condition(run, "Stalled")["message"]
