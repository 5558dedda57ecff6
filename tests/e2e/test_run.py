"""Status of a PipelineRun while its Workflow runs and after it."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from tests.e2e.cluster import Kubectl, Object, condition, finished
from tests.e2e.conftest import REPOSITORY, Apply, WaitRun
from tests.e2e.manifests import instant, pipeline_run, shell, suspended

HELLO = Path(REPOSITORY) / "deploy" / "examples" / "hello.yaml"

MAX_RUN_BYTES = 8192


def test_a_run_of_two_steps_succeeds(kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun):
    """Two real pods, the first of which hands a parameter to the second; watched from the first write to the last."""
    apply(HELLO.read_text())
    seen: list[Object] = []

    def until(run: Object) -> bool:
        seen.append(run)
        return finished(run)

    run = wait_run("hello", until)
    status = run["status"]
    assert status["phase"] == "Succeeded"
    assert status["outputs"]["parameters"] == [{"name": "shouted", "value": "HELLO, RUNWRIGHT!"}]
    assert status["progress"] == "2/2"
    assert {(node["name"], node["type"], node["phase"]) for node in status["nodes"]} == {
        ("hello", "DAG", "Succeeded"),
        ("greet", "Pod", "Succeeded"),
        ("shout", "Pod", "Succeeded"),
    }

    made = kubectl.get(namespace, "workflow", "hello")
    assert status["workflow"] == {"name": "hello", "uid": made["metadata"]["uid"]}
    assert (status["startedAt"], status["finishedAt"]) == (made["status"]["startedAt"], made["status"]["finishedAt"])
    took = datetime.fromisoformat(status["finishedAt"]) - datetime.fromisoformat(status["startedAt"])
    assert status["duration"] == f"{int(took.total_seconds())}s"
    assert status["scheduledAt"] == run["metadata"]["creationTimestamp"]
    assert status["observedGeneration"] == run["metadata"]["generation"] == 1

    running = [one for one in seen if (one.get("status") or {}).get("phase") == "Running"]
    assert running, "the run was never seen running"
    assert all(condition(one, "Succeeded")["status"] == "Unknown" for one in running)
    assert any(one["status"].get("progress") == "1/2" for one in running), [one["status"] for one in running]
    assert any(node["phase"] == "Running" for one in running for node in one["status"].get("nodes", ()))

    kubectl("wait", "-n", namespace, "prun/hello", "--for=condition=Succeeded", "--timeout=5s")
    kubectl("wait", "-n", namespace, "prun/hello", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=5s")
    _, line = kubectl("get", "-n", namespace, "prun", "hello").splitlines()
    assert line.split()[:4] == ["hello", "Succeeded", "Succeeded", "2/2"]


def test_kubectl_wait_returns_when_the_run_ends(kubectl: Kubectl, namespace: str, apply: Apply, operator: None):
    """`kubectl wait` that starts before the run returns as soon as the run ends."""
    apply(pipeline_run({"spec": instant()}))
    kubectl("wait", "-n", namespace, "--for=condition=Succeeded", "prun/run", "--timeout=60s", timeout=70)


def test_a_failed_run_names_the_failed_step(kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun):
    """Phase, condition and Event say which step failed, and how."""
    spec = {
        "entrypoint": "main",
        "templates": [
            {"name": "main", "steps": [[{"name": "good", "template": "good"}, {"name": "bad", "template": "bad"}]]},
            {"name": "good", "suspend": {"duration": "0s"}},
            shell("exit 3", "bad"),
        ],
    }
    apply(pipeline_run({"spec": spec}))
    run = wait_run("run", "Failed")
    outcome = condition(run, "Succeeded")
    assert (outcome["status"], outcome["reason"]) == ("False", "Failed")
    assert "bad" in outcome["message"]
    assert "Error (exit code 3)" in outcome["message"]
    (node,) = [node for node in run["status"]["nodes"] if node["name"] == "bad"]
    assert node["message"].endswith("Error (exit code 3)")
    assert run["status"]["finishedAt"]
    event = kubectl.wait_event(namespace, "run", lambda found: found["involvedObject"]["kind"] == "PipelineRun")
    assert (event["type"], event["reason"]) == ("Warning", "Failed")
    assert "exit code 3" in event["message"]
    assert event["involvedObject"]["uid"] == run["metadata"]["uid"]


def test_workflow_is_owned_by_the_run(kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun):
    """It is owned by its run, and carries nothing by which Argo CD, or kubectl, would take it for its own."""
    document = pipeline_run({"spec": suspended()})
    document["metadata"] |= {
        "labels": {"app.kubernetes.io/instance": "my-app", "argocd.argoproj.io/instance": "my-app", "mine": "a"},
        "annotations": {"argocd.argoproj.io/tracking-id": "my-app:runwright.dev/PipelineRun:x/run"},
    }
    apply(document)
    run = wait_run("run", "Running")
    metadata = kubectl.get(namespace, "workflow", "run")["metadata"]
    assert metadata["ownerReferences"] == [
        {
            "apiVersion": "runwright.dev/v1alpha1",
            "kind": "PipelineRun",
            "name": "run",
            "uid": run["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]
    assert metadata["labels"]["runwright.dev/run"] == "run"
    strange = [
        key for key in (metadata["labels"] | metadata.get("annotations", {})) if "argocd" in key or "kubectl" in key
    ]
    assert strange == []
    assert "app.kubernetes.io/instance" not in metadata["labels"]


def test_applying_the_same_run_again_writes_nothing(kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun):
    """Applied again while it runs and after its end, the run and its Workflow stay the very versions that they were."""
    going, done = pipeline_run({"spec": suspended()}, "going"), pipeline_run({"spec": instant()}, "done")
    for document in (going, done):
        apply(document)
    wait_run("going", "Running")
    wait_run("done", "Succeeded")
    before = versions(kubectl, namespace)
    for document in (going, done):
        assert "unchanged" in apply(document)
    # A later run has gone through the whole of it: so the operator has had its time with the earlier ones.
    apply(pipeline_run({"spec": instant()}, "later"))
    wait_run("later", "Succeeded")
    after = versions(kubectl, namespace)
    assert {key: after[key] for key in before} == before


def versions(kubectl: Kubectl, namespace: str) -> dict[str, str]:
    """The resourceVersion of each run and Workflow."""
    found = kubectl.list(namespace, "prun,workflow")
    return {f"{one['kind']}/{one['metadata']['name']}": one["metadata"]["resourceVersion"] for one in found}


def test_a_fan_out_of_150_nodes_has_a_bounded_status(kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun):
    """150 nodes: the run holds some, and says how many it left out."""
    spec = {
        "entrypoint": "main",
        "templates": [
            {"name": "main", "steps": [[{"name": "one", "template": "one", "withSequence": {"count": "150"}}]]},
            {"name": "one", "suspend": {"duration": "0s"}},
        ],
    }
    apply(pipeline_run({"spec": spec}))
    run = wait_run("run", "Succeeded")
    assert_bounded(run, kubectl.get(namespace, "workflow", "run")["status"]["nodes"])


def test_compressed_nodes_are_mirrored(kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun):
    """Above 1 MB of nodes Argo packs them (`status.compressedNodes`): they are read all the same."""
    never = f"'{'x' * 400}' == 'never'"
    steps = [{"name": "one", "template": "one", "when": never, "withSequence": {"count": "2500"}}]
    steps.append({"name": "last", "template": "one"})
    spec = {
        "entrypoint": "main",
        "templates": [{"name": "main", "steps": [steps]}, {"name": "one", "suspend": {"duration": "0s"}}],
    }
    apply(pipeline_run({"spec": spec}))
    run = wait_run("run", "Succeeded")
    status = kubectl.get(namespace, "workflow", "run")["status"]
    assert status.get("compressedNodes"), "Argo has not compressed the nodes: the test needs more of them"
    assert run["status"]["nodes"]
    assert len(run["status"]["nodes"]) + run["status"]["nodesOmitted"] == 2503
    assert_bounded(run)


def assert_bounded(run: Object, nodes: Object | None = None) -> None:
    """The run is small, and accounts for every node."""
    status = run["status"]
    assert len(json.dumps(status, separators=(",", ":"))) < MAX_RUN_BYTES
    assert status["nodesOmitted"] > 0
    if nodes is not None:
        assert len(status["nodes"]) + status["nodesOmitted"] == len(nodes)
        assert {node["id"] for node in status["nodes"]} < set(nodes)
