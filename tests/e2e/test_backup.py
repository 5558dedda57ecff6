"""Runs are taken out of one namespace and put into another, as into another cluster, while an operator looks on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from runwright.cli import main
from tests.e2e.cluster import Kubectl, Object, condition, finished
from tests.e2e.conftest import REPOSITORY, Apply, WaitRun, fresh_namespace, wait_for_run
from tests.e2e.control_plane import ControlPlane
from tests.e2e.manifests import instant, pipeline_run, suspended
from tests.e2e.processes import Operator, Sightings
from tests.e2e.storage import archived, set_state

ENDED = {"phase": "Succeeded", "startedAt": "2026-11-26T12:00:00Z", "finishedAt": "2026-11-26T12:00:07Z"}


@pytest.fixture
def other(kubectl: Kubectl) -> Iterator[str]:
    """Where the runs go."""
    with fresh_namespace(kubectl) as name:
        yield name


def runwright(kubeconfig: Path, *arguments: str) -> str:
    """What `runwright ARGUMENTS` says to a person."""
    done = CliRunner().invoke(main, [*arguments, f"--kubeconfig={kubeconfig}"])
    assert done.exit_code == 0, done.output
    return done.stderr


def telling(run: Object) -> Object:
    """What a run tells, without what the place gives it."""
    status = {key: value for key, value in run["status"].items() if key not in ("conditions", "observedGeneration")}
    return {"spec": run["spec"], "status": status, "labels": run["metadata"].get("labels")}


def test_imported_finished_runs_do_not_run_again(
    kubectl: Kubectl, kubeconfig: Path, namespace: str, other: str, apply: Apply, wait_run: WaitRun, tmp_path: Path
):
    apply(
        {
            "apiVersion": "runwright.dev/v1alpha1",
            "kind": "RetentionPolicy",
            "metadata": {"name": "default"},
            "spec": {"keepFailed": 9},
        }
    )
    apply(pipeline_run({"spec": instant()}, "ended"))
    for name in ("failed", "stored"):
        apply(pipeline_run({"spec": suspended(activeDeadlineSeconds=1)}, name))
    apply(pipeline_run({"spec": suspended()}, "runs"))
    apply(pipeline_run({"templateRef": {"name": "absent"}}, "stalled"))
    wait_run("ended", "Succeeded")
    for name in ("failed", "stored"):
        wait_run(name, "Failed")
    kubectl("patch", "-n", namespace, "prun", "failed", "--type=merge", "-p", '{"spec": {"retries": 1}}')
    wait_run("failed", lambda run: finished(run) and run["status"]["retries"] == 1)
    set_state(kubectl, namespace, "stored", "Archived")
    wait_run("stored", archived)
    wait_run("runs", "Running")
    wait_run("stalled", lambda run: "conditions" in run.get("status", {}))
    file = tmp_path / "runs.jsonl"
    said = runwright(kubeconfig, "export", str(file), "-n", namespace)
    assert said.splitlines()[-1] == "1 RetentionPolicy, 5 PipelineRun, 1 WorkflowSnapshot"
    before = {run["metadata"]["name"]: run for run in kubectl.list(namespace, "prun")}

    with Sightings(kubectl, other, "workflow") as sightings:
        # Cut off between a run and its status: it waits, whatever the operator hears of it.
        left = json.loads(next(line for line in file.read_text().splitlines() if '"name":"ended"' in line))
        half = {key: left[key] for key in ("apiVersion", "kind", "spec")}
        annotations = {"runwright.dev/imported-from": left["metadata"]["uid"]}
        half["metadata"] = {"name": "ended", "annotations": annotations}
        kubectl("create", "-n", other, "-f", "-", input=json.dumps(half))
        said = runwright(kubeconfig, "import", str(file), "-n", other)
        assert said.splitlines()[-1] == "1 RetentionPolicy, 5 PipelineRun, 1 WorkflowSnapshot"
        for name in ("ended", "failed", "stored"):
            run = kubectl.get(other, "prun", name)
            assert telling(run) == telling(before[name])
            assert run["metadata"]["annotations"]["runwright.dev/imported-from"] == before[name]["metadata"]["uid"]
        # What was under way has lost its Workflow, and says so; what could not begin begins where it can.
        lost = wait_for_run(kubectl, other, "runs", "Error")
        assert condition(lost, "Succeeded")["reason"] == "WorkflowDeleted"
        statuses = {run["metadata"]["name"]: run["status"] for run in kubectl.list(other, "prun")}
        runwright(kubeconfig, "import", str(file), "-n", other)
        assert {run["metadata"]["name"]: run["status"] for run in kubectl.list(other, "prun")} == statuses

        # The snapshot came along: the run is brought back, and tried again from it.
        set_state(kubectl, other, "stored", "Available")
        wait_for_run(kubectl, other, "stored", lambda run: run["status"].get("storageState") == "Available")
        kubectl("patch", "-n", other, "prun", "stored", "--type=merge", "-p", '{"spec": {"retries": 1}}')
        wait_for_run(kubectl, other, "stored", lambda run: finished(run) and run["status"]["retries"] == 1)
        assert set(sightings.uids()) == {"stored"}, "nothing else has run"


def test_an_invalid_export_file_is_refused_with_a_message(kubeconfig: Path, tmp_path: Path):
    for text, said in (
        ("{", "line 1: expected JSON"),
        ('{"kind": "Pod"}', "line 1: expected an object of `runwright export`"),
    ):
        file = tmp_path / "wrong"
        file.write_text(text)
        done = CliRunner().invoke(main, ["import", str(file), f"--kubeconfig={kubeconfig}"])
        assert done.exit_code == 1
        assert said in str(done.exception)


def test_an_etcd_restored_from_a_backup_runs_nothing_twice(bare: ControlPlane, argo_kind: str, tmp_path: Path):
    """What was there is there again, under an operator that starts again; what came later is gone; nothing runs twice."""
    kubectl = bare.kubectl
    kubectl("apply", "--server-side", "-f", "-", input=argo_kind)
    kubectl("apply", "--server-side", "-k", str(REPOSITORY / "crds"))
    kubectl.wait_established("crd/pipelineruns.runwright.dev")
    with Operator(bare.kubeconfig, "--resync", "3") as operator:
        operator.start()
        for name in ("ends", "goes-on"):
            kubectl("create", "-n", "default", "-f", "-", input=json.dumps(pipeline_run({"spec": suspended()}, name)))
            wait_for_run(kubectl, "default", name, lambda run: "workflow" in run.get("status", {}))
        kubectl("patch", "-n", "default", "workflow", "ends", "--type=merge", "-p", json.dumps({"status": ENDED}))
        wait_for_run(kubectl, "default", "ends", "Succeeded")
        operator.kill()
        bare.copy_etcd(tmp_path / "copy")
        before = {run["metadata"]["name"]: run["metadata"]["uid"] for run in kubectl.list("default", "prun")}
        operator.start()
        kubectl("create", "-n", "default", "-f", "-", input=json.dumps(pipeline_run({"spec": suspended()}, "later")))
        wait_for_run(kubectl, "default", "later", lambda run: "workflow" in run.get("status", {}))
        kubectl("patch", "-n", "default", "workflow", "goes-on", "--type=merge", "-p", json.dumps({"status": ENDED}))
        wait_for_run(kubectl, "default", "goes-on", "Succeeded")
        operator.kill()
        bare.restore_etcd(tmp_path / "copy")
        operator.start()
        runs = {run["metadata"]["name"]: run for run in kubectl.list("default", "prun")}
        assert {name: run["metadata"]["uid"] for name, run in runs.items()} == before, "what came later is gone"
        assert runs["ends"]["status"]["phase"] == "Succeeded"
        kubectl("patch", "-n", "default", "workflow", "goes-on", "--type=merge", "-p", json.dumps({"status": ENDED}))
        wait_for_run(kubectl, "default", "goes-on", "Succeeded")
        assert {one["metadata"]["name"] for one in kubectl.list("default", "workflow")} == {"ends", "goes-on"}
