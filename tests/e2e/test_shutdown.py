"""Ending a run early, by `spec.shutdown`."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.e2e.cluster import Kubectl, Object, condition, stalled
from tests.e2e.conftest import Apply, WaitRun
from tests.e2e.manifests import instant, one_step, pipeline_run, shell, suspended

TERMINATED = ("False", "Terminated")


def shut_down(kubectl: Kubectl, namespace: str, how: str) -> None:
    patch = json.dumps({"spec": {"shutdown": how}})
    kubectl("patch", "-n", namespace, "prun", "run", "--type=merge", "-p", patch)


def outcome(run: Object) -> tuple[str, str]:
    succeeded = condition(run, "Succeeded")
    return succeeded["status"], succeeded["reason"]


def node_phases(kubectl: Kubectl, namespace: str) -> dict[str, str]:
    nodes = kubectl.get(namespace, "workflow", "run")["status"].get("nodes", {})
    return {node["displayName"]: node["phase"] for node in nodes.values()}


def with_exit_handler(exit: Object, **template: Any) -> Object:
    """A WorkflowSpec whose one step runs for ten minutes, with an exit handler."""
    return {
        "entrypoint": "main",
        "onExit": "cleanup",
        "templates": [template or shell("sleep 600"), {**exit, "name": "cleanup"}],
    }


@pytest.mark.parametrize(("how", "cleaned"), [("Stop", True), ("Terminate", False)])
def test_a_shutdown_ends_running_steps(
    kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun, how: str, cleaned: bool
):
    """Exit handlers run after Stop, and not after Terminate; the step's container is ended either way."""
    apply(pipeline_run({"spec": with_exit_handler(shell("echo cleaned"))}))
    for _, pod in kubectl.watch(namespace, "pods"):
        if pod["status"].get("phase") == "Running":
            break
    shut_down(kubectl, namespace, how)
    run = wait_run("run", "Failed")
    assert outcome(run) == TERMINATED
    assert how in run["status"]["message"]
    assert run["status"]["finishedAt"]
    phases = node_phases(kubectl, namespace)
    assert phases["run"] == "Failed"
    assert ("run.onExit" in phases) is cleaned
    if cleaned:
        assert phases["run.onExit"] == "Succeeded"
    name = pod["metadata"]["name"]
    kubectl.wait(namespace, "pod", name, lambda found: found["status"]["phase"] in ("Failed", "Succeeded"))


def test_a_shutdown_ends_a_suspended_step(kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun):
    apply(pipeline_run({"spec": suspended()}))
    wait_run("run", "Running")
    shut_down(kubectl, namespace, "Terminate")
    assert outcome(wait_run("run", "Failed")) == TERMINATED
    assert set(node_phases(kubectl, namespace).values()) == {"Failed"}


def test_a_stop_can_become_a_terminate_and_cannot_be_removed(
    kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun
):
    """While the exit handler of a stopped run goes on, the run is Running and says Terminating."""
    apply(pipeline_run({"spec": with_exit_handler(shell("sleep 600"), name="main", suspend={})}))
    wait_run("run", "Running")
    shut_down(kubectl, namespace, "Stop")
    run = wait_run("run", lambda found: condition(found, "Succeeded").get("reason") == "Terminating")
    assert run["status"]["phase"] == "Running"
    kubectl.wait(
        namespace, "workflow", "run", lambda found: "run.onExit" in json.dumps(found["status"].get("nodes", {}))
    )
    with pytest.raises(subprocess.CalledProcessError, match="cannot be removed"):
        kubectl(
            "patch", "-n", namespace, "prun", "run", "--type=json", "-p", '[{"op":"remove","path":"/spec/shutdown"}]'
        )
    shut_down(kubectl, namespace, "Terminate")
    assert outcome(wait_run("run", "Failed")) == TERMINATED


def test_a_run_created_with_a_shutdown_gets_no_workflow(
    kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun
):
    apply(pipeline_run({"spec": one_step()}, shutdown="Stop"))
    run = wait_run("run", "Failed")
    assert outcome(run) == TERMINATED
    assert "nothing has run" in run["status"]["message"]
    assert kubectl.list(namespace, "workflow") == []


def test_a_shutdown_ends_a_stalled_run(kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun):
    apply(pipeline_run({"templateRef": {"name": "absent"}}))
    wait_run("run", lambda found: bool(stalled(found)))
    shut_down(kubectl, namespace, "Terminate")
    run = wait_run("run", "Failed")
    assert outcome(run) == TERMINATED
    assert condition(run, "Stalled")["status"] == "False"


def test_a_finished_run_refuses_a_shutdown(kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun):
    apply(pipeline_run({"spec": instant()}))
    before = wait_run("run", "Succeeded")
    with pytest.raises(subprocess.CalledProcessError) as refused:
        shut_down(kubectl, namespace, "Terminate")
    assert "cannot be set on a run that has ended: there is nothing left to shut down" in refused.value.stderr
    assert kubectl.get(namespace, "prun", "run")["status"] == before["status"]
