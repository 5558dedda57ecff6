"""What happens to a run when its Workflow is deleted, and when it is made again."""

from __future__ import annotations

import json
import subprocess

from tests.e2e.cluster import Kubectl, Object, condition
from tests.e2e.conftest import Apply, WaitRun
from tests.e2e.manifests import instant, pipeline_run, suspended


def test_a_finished_run_outlives_its_workflow(kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun):
    apply(pipeline_run({"spec": instant()}))
    before = wait_run("run", "Succeeded")
    kubectl("delete", "-n", namespace, "workflow", "run")
    # The operator has seen this event once it has handled a later one.
    apply(pipeline_run({"spec": instant()}, "later"))
    wait_run("later", "Succeeded")
    after = kubectl.get(namespace, "prun", "run")
    assert after["status"] == before["status"]
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    assert [one["metadata"]["name"] for one in kubectl.list(namespace, "workflow")] == ["later"]


def test_a_running_run_without_its_workflow_ends_as_error(
    kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun
):
    """The run ends as Error, says why, and is not started again."""
    apply(pipeline_run({"spec": suspended()}))
    wait_run("run", "Running")
    kubectl("delete", "-n", namespace, "workflow", "run")
    run = wait_run("run", "Error")
    outcome = condition(run, "Succeeded")
    assert (outcome["status"], outcome["reason"]) == ("False", "WorkflowDeleted")
    assert f"Workflow {namespace}/run was deleted while the run was Running" in outcome["message"]
    assert run["status"]["finishedAt"]
    event = kubectl.wait_event(namespace, "run", lambda found: found["reason"] == "WorkflowDeleted")
    assert event["type"] == "Warning"
    apply(pipeline_run({"spec": instant()}, "later"))
    wait_run("later", "Succeeded")
    assert kubectl.find(namespace, "workflow", "run") is None


def test_a_recreated_run_gets_its_own_workflow(kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun):
    """Deleted and created at once: the new run has a Workflow of its own, also where the old one is still there."""
    document = pipeline_run({"spec": suspended()})
    apply(document)
    first = wait_run("run", "Running")
    document["spec"]["workflow"]["spec"] = instant()
    kubectl("replace", "-n", namespace, "--force", "-f", "-", input=json.dumps(document))
    run = wait_run("run", "Succeeded")
    assert run["metadata"]["uid"] != first["metadata"]["uid"]
    assert run["status"]["workflow"]["uid"] != first["status"]["workflow"]["uid"]
    assert owner(kubectl.get(namespace, "workflow", "run")) == run["metadata"]["uid"]
    assert condition(run, "Stalled").get("status", "False") == "False"


def owner(made: Object) -> str:
    """The uid of an object's one owner."""
    (reference,) = made["metadata"]["ownerReferences"]
    return reference["uid"]


def test_the_last_applied_spec_runs_or_is_refused(kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun):
    """A second `kubectl apply` right after the first either comes too late and is refused, or is what runs."""
    names, accepted = [f"run-{number}" for number in range(6)], dict[str, bool]()
    for name in names:
        apply(pipeline_run({"spec": suspended(activeDeadlineSeconds=1000)}, name))
        try:
            apply(pipeline_run({"spec": suspended(activeDeadlineSeconds=2000)}, name))
            accepted[name] = True
        except subprocess.CalledProcessError as error:
            assert "cannot change once the run's Workflow was created" in error.stderr
            accepted[name] = False
    for name in names:
        run = wait_run(name, "Running")
        made = kubectl.get(namespace, "workflow", name)
        assert made["spec"]["activeDeadlineSeconds"] == (2000 if accepted[name] else 1000)
        assert made["metadata"]["uid"] == run["status"]["workflow"]["uid"]
        assert run["spec"]["workflow"]["spec"]["activeDeadlineSeconds"] == made["spec"]["activeDeadlineSeconds"]
