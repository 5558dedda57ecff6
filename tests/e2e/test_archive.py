"""Archiving a run by the label `runwright.dev/storage-state`, and bringing it back."""

from __future__ import annotations

import base64
import gzip
import json
import random
import shutil
import string
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.cluster import Kubectl, Object, condition, finished
from tests.e2e.conftest import Apply, WaitRun
from tests.e2e.manifests import instant, of_spec, pipeline_run, shell, suspended
from tests.e2e.processes import Operator
from tests.e2e.runs import HELD, Run
from tests.e2e.storage import LABEL, archived, available, kept, lasting, set_state, storage_state

BULK_SECONDS = 120.0
"""How long 500 runs may take to be archived, or brought back: on an idle machine of two cores they take five."""

WITH_OUTPUT = {
    "entrypoint": "main",
    "templates": [
        shell(
            "echo kept > /tmp/out",
            outputs={"parameters": [{"name": "word", "valueFrom": {"path": "/tmp/out"}}]},
        )
    ],
}


def settled(workflow: Object) -> bool:
    """Whether Argo has said its last about a Workflow: from then on, it leaves it alone."""
    return finished(workflow) and workflow["metadata"]["labels"].get("workflows.argoproj.io/completed") == "true"


def pods(kubectl: Kubectl, namespace: str, name: str = "run") -> list[Object]:
    return kubectl.list(namespace, "pods", "-l", f"workflows.argoproj.io/workflow={name}")


def finished_run(kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun, document: Object) -> Object:
    """The run, applied and ended, and Argo done with its Workflow."""
    apply(document)
    name = document["metadata"]["name"]
    run = wait_run(name)
    kubectl.wait(namespace, "workflow", name, settled)
    return run


def another_one_ends(apply: Apply, wait_run: WaitRun, name: str) -> None:
    """Whatever operator and Argo had to do before is done."""
    apply(pipeline_run({"spec": instant()}, name))
    wait_run(name, "Succeeded")


@pytest.mark.parametrize("back", [None, "Available"], ids=["label removed", "label Available"])
def test_an_archived_and_restored_run_is_unchanged(
    kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun, back: str | None
):
    """Archived: the snapshot is the Workflow, which goes with its pods. Brought back: all is as it was, but the pods."""
    before = finished_run(kubectl, namespace, apply, wait_run, pipeline_run({"spec": WITH_OUTPUT}))
    workflow = kubectl.get(namespace, "workflow", "run")
    (pod,) = pods(kubectl, namespace)

    set_state(kubectl, namespace, "run", "Archived")
    run = wait_run("run", archived)
    assert kept(kubectl, namespace) == lasting(workflow)
    kubectl.wait_gone(namespace, "workflow", "run")
    kubectl.wait_gone(namespace, "pod", pod["metadata"]["name"])
    assert condition(run, "Archived")["reason"] == "WorkflowKept"
    unlike = ("nodes", "storageState", "conditions")
    assert without(run["status"], *unlike) == without(before["status"], *unlike)
    assert "nodes" not in run["status"]
    assert run["status"]["outputs"]["parameters"] == [{"name": "word", "value": "kept"}]

    set_state(kubectl, namespace, "run", back)
    run = wait_run("run", available)
    assert run["status"]["nodes"] == before["status"]["nodes"]
    restored = kubectl.get(namespace, "workflow", "run")
    assert run["status"]["workflow"]["uid"] == restored["metadata"]["uid"] != workflow["metadata"]["uid"]
    assert (restored["spec"], restored["status"]) == (workflow["spec"], workflow["status"])
    assert restored["metadata"]["annotations"]["runwright.dev/restored-from"] == workflow["metadata"]["uid"]
    assert argo_get(kubectl, namespace) == "Succeeded"

    another_one_ends(apply, wait_run, "later")
    assert kubectl.get(namespace, "workflow", "run") == restored, "Argo has touched a Workflow that was put back"
    assert pods(kubectl, namespace) == []


def without(fields: Object, *names: str) -> Object:
    return {name: value for name, value in fields.items() if name not in names}


def argo_get(kubectl: Kubectl, namespace: str) -> str:
    """Phase of the Workflow that Argo's CLI prints; None without an Argo CLI."""
    if shutil.which("argo") is None:
        return kubectl.get(namespace, "workflow", "run")["status"]["phase"]
    command = ["argo", "get", "run", "-n", namespace, "-o", "json", "--kubeconfig", str(kubectl.kubeconfig)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)["status"]["phase"]


def test_repeated_labels_write_nothing_and_keep_one_snapshot(
    kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun
):
    """Labels that change nothing write nothing; a run goes there and back any number of times, by one snapshot."""
    finished_run(kubectl, namespace, apply, wait_run, pipeline_run({"spec": instant()}))
    first = kubectl.get(namespace, "workflow", "run")
    snapshots: set[str] = set()
    for number in range(3):
        set_state(kubectl, namespace, "run", "Archived")
        there = wait_run("run", archived)
        kubectl.wait_gone(namespace, "workflow", "run")
        set_state(kubectl, namespace, "run", "Archived")
        another_one_ends(apply, wait_run, f"archived-{number}")
        assert (
            kubectl.get(namespace, "prun", "run")["metadata"]["resourceVersion"] == there["metadata"]["resourceVersion"]
        )
        snapshots.add(kubectl.get(namespace, "workflowsnapshot", "run")["metadata"]["uid"])

        set_state(kubectl, namespace, "run", None)
        wait_run("run", available)
        set_state(kubectl, namespace, "run", "Available")
        another_one_ends(apply, wait_run, f"available-{number}")
        assert storage_state(kubectl.get(namespace, "prun", "run")) == ("Available", "False")
        workflow = kubectl.get(namespace, "workflow", "run")
        assert (workflow["spec"], workflow["status"]) == (first["spec"], first["status"])
    assert len(snapshots) == 1


def test_quick_label_changes_end_in_the_last_state(kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun):
    """Faster than it can be carried out: the last one wins, and nothing is lost."""
    before = finished_run(kubectl, namespace, apply, wait_run, pipeline_run({"spec": instant()}))
    first = kubectl.get(namespace, "workflow", "run")
    for _ in range(8):
        set_state(kubectl, namespace, "run", "Archived")
        set_state(kubectl, namespace, "run", None)
    another_one_ends(apply, wait_run, "later")
    run = wait_run("run", lambda found: storage_state(found)[0] != "Archived" and "nodes" in found["status"])
    assert run["status"]["nodes"] == before["status"]["nodes"]
    workflow = kubectl.wait(namespace, "workflow", "run", lambda found: "deletionTimestamp" not in found["metadata"])
    assert (workflow["spec"], workflow["status"]) == (first["spec"], first["status"])
    set_state(kubectl, namespace, "run", "Archived")
    wait_run("run", archived)
    kubectl.wait_gone(namespace, "workflow", "run")


@pytest.mark.parametrize("what", ["brought back", "retried"])
def test_a_restored_run_waits_until_its_old_workflow_is_deleted(
    kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun, run: Run, what: str
):
    """Held by a finalizer, as by Argo's while it collects artifacts: what is asked of the run waits for its name to be free."""
    spec = instant() if what == "brought back" else suspended(activeDeadlineSeconds=1)
    before = finished_run(kubectl, namespace, apply, wait_run, pipeline_run({"spec": spec}))
    kubectl("patch", "-n", namespace, "workflow", "run", "--type=merge", "-p", finalizers([HELD]))
    set_state(kubectl, namespace, "run", "Archived")
    wait_run("run", archived)
    kubectl.wait(namespace, "workflow", "run", lambda found: "deletionTimestamp" in found["metadata"])
    run.patch({"metadata": {"labels": {LABEL: None}}, "spec": {"retries": 1 if what == "retried" else 0}})
    another_one_ends(apply, wait_run, "later")
    assert archived(kubectl.get(namespace, "prun", "run"))
    kubectl("patch", "-n", namespace, "workflow", "run", "--type=merge", "-p", finalizers(None))
    after = wait_run("run", available if what == "brought back" else lambda found: found["status"]["retries"] == 1)
    assert after["status"]["workflow"]["uid"] != before["status"]["workflow"]["uid"]
    there = kubectl.get(namespace, "workflow", "run")
    # It is as it was, with the finalizer: its namespace would wait for that.
    kubectl("patch", "-n", namespace, "workflow", "run", "--type=merge", "-p", finalizers(None))
    assert there["metadata"]["uid"] == after["status"]["workflow"]["uid"]
    assert "deletionTimestamp" not in there["metadata"]


def finalizers(names: list[str] | None) -> str:
    return json.dumps({"metadata": {"finalizers": names}})


@pytest.mark.parametrize("end", ["by itself", "terminated"])
def test_a_running_run_is_archived_when_it_ends(
    kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun, end: str
):
    """It goes on, is followed to its end, can be terminated all the same, and is archived when it has ended."""
    apply(pipeline_run({"spec": suspended()}))
    wait_run("run", "Running")
    set_state(kubectl, namespace, "run", "Archived")
    another_one_ends(apply, wait_run, "later")
    run, workflow = kubectl.get(namespace, "prun", "run"), kubectl.get(namespace, "workflow", "run")
    assert (run["status"]["phase"], storage_state(run)) == ("Running", (None, None))
    assert workflow["status"]["phase"] == "Running"
    if end == "terminated":
        kubectl("patch", "-n", namespace, "prun", "run", "--type=merge", "-p", '{"spec":{"shutdown":"Terminate"}}')
    else:
        patch = json.dumps({"status": {"nodes": {"run": {"phase": "Succeeded"}}}})
        kubectl("patch", "-n", namespace, "workflow", "run", "--type=merge", "-p", patch)
    run = wait_run("run", archived)
    assert run["status"]["phase"] == ("Failed" if end == "terminated" else "Succeeded")
    kubectl.wait_gone(namespace, "workflow", "run")
    assert kept(kubectl, namespace)["status"]["phase"] == run["status"]["phase"]


def test_a_run_created_with_the_archive_label_runs_and_is_archived(
    namespace: str, apply: Apply, wait_run: WaitRun, kubeconfig: Path
):
    """It is in no watch from its first moment on. It runs, once it is found by the look for what the watches missed."""
    document = pipeline_run({"spec": instant()})
    document["metadata"]["labels"] = {LABEL: "Archived"}
    with Operator(kubeconfig, "--namespace", namespace, "--resync", "1") as often:
        often.start()
        apply(document)
        assert wait_run("run", archived)["status"]["phase"] == "Succeeded"


def test_a_run_without_its_workflow_is_archived_with_its_status(
    kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun
):
    """Its status is what is left, and all of it is kept."""
    before = finished_run(kubectl, namespace, apply, wait_run, pipeline_run({"spec": instant()}))
    kubectl("delete", "-n", namespace, "workflow", "run")
    set_state(kubectl, namespace, "run", "Archived")
    run = wait_run("run", archived)
    assert condition(run, "Archived")["reason"] == "NoWorkflow"
    assert run["status"]["nodes"] == before["status"]["nodes"]
    set_state(kubectl, namespace, "run", None)
    run = wait_run("run", available)
    assert "no WorkflowSnapshot" in condition(run, "Archived")["message"]
    assert run["status"]["nodes"] == before["status"]["nodes"]
    assert kubectl.list(namespace, "workflow") == []


def test_a_run_that_never_had_a_workflow_is_archived(kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun):
    apply(pipeline_run({"spec": instant()}, shutdown="Stop"))
    wait_run("run", "Failed")
    set_state(kubectl, namespace, "run", "Archived")
    assert condition(wait_run("run", archived), "Archived")["reason"] == "NoWorkflow"
    set_state(kubectl, namespace, "run", None)
    assert wait_run("run", available)["status"]["phase"] == "Failed"
    assert kubectl.list(namespace, "workflow,workflowsnapshot") == []


def test_a_deleted_run_takes_kept_workflow_and_snapshot_along(
    kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun
):
    """With `keepWorkflow` Workflow and pod stay beside the snapshot; the run's deletion takes it all."""
    document = pipeline_run({"spec": WITH_OUTPUT}, retention={"keepWorkflow": "1h"})
    finished_run(kubectl, namespace, apply, wait_run, document)
    (pod,) = pods(kubectl, namespace)
    workflow = kubectl.get(namespace, "workflow", "run")
    set_state(kubectl, namespace, "run", "Archived")
    wait_run("run", archived)
    kubectl.wait(namespace, "workflowsnapshot", "run", lambda _: True)
    another_one_ends(apply, wait_run, "later")
    assert kubectl.get(namespace, "workflow", "run") == workflow
    assert len(pods(kubectl, namespace)) == 1
    kubectl("delete", "-n", namespace, "prun", "run")
    for kind, name in (("workflowsnapshot", "run"), ("workflow", "run"), ("pod", pod["metadata"]["name"])):
        kubectl.wait_gone(namespace, kind, name)


def test_a_kept_workflow_stays_for_its_period(kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun):
    finished_run(
        kubectl, namespace, apply, wait_run, pipeline_run({"spec": instant()}, retention={"keepWorkflow": "8s"})
    )
    set_state(kubectl, namespace, "run", "Archived")
    wait_run("run", archived)
    assert kubectl.find(namespace, "workflow", "run") is not None
    kubectl.wait_gone(namespace, "workflow", "run")
    assert kept(kubectl, namespace)["status"]["phase"] == "Succeeded"


def test_compressed_nodes_survive_archive_and_restore(
    kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun
):
    """In the snapshot the nodes are unpacked; in the Workflow that is put back, packed again."""
    never = f"'{'x' * 400}' == 'never'"
    steps = [{"name": "one", "template": "one", "when": never, "withSequence": {"count": "2500"}}]
    steps.append({"name": "last", "template": "one"})
    spec = {
        "entrypoint": "main",
        "templates": [{"name": "main", "steps": [steps]}, {"name": "one", "suspend": {"duration": "0s"}}],
    }
    before = finished_run(kubectl, namespace, apply, wait_run, pipeline_run({"spec": spec}))
    status = kubectl.get(namespace, "workflow", "run")["status"]
    nodes = nodes_of(status)
    assert len(nodes) == 2503
    set_state(kubectl, namespace, "run", "Archived")
    run = wait_run("run", archived)
    assert "nodes" not in run["status"]
    assert "nodesOmitted" not in run["status"]
    assert kept(kubectl, namespace)["status"] == {**without(status, "compressedNodes"), "nodes": nodes}
    kubectl.wait_gone(namespace, "workflow", "run")
    set_state(kubectl, namespace, "run", None)
    run = wait_run("run", available)
    assert without(run["status"], "storageState", "conditions", "workflow") == without(
        before["status"], "storageState", "conditions", "workflow"
    )
    assert nodes_of(kubectl.get(namespace, "workflow", "run")["status"]) == nodes
    assert argo_get(kubectl, namespace) == "Succeeded"


def nodes_of(status: Object) -> Object:
    """The nodes that Argo has packed; fails where it has not."""
    assert status.get("compressedNodes"), "Argo has not compressed the nodes: the test needs more of them"
    return json.loads(gzip.decompress(base64.b64decode(status["compressedNodes"])))


def test_a_workflow_too_large_for_a_snapshot_is_kept_and_reported(
    kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun, tmp_path: Path
):
    """What cannot be kept is not given away: the Workflow stays, with the run's nodes, and the run says so."""
    before = finished_run(kubectl, namespace, apply, wait_run, pipeline_run({"spec": instant()}))
    letters = "".join(sorted(set(string.printable) - set(string.whitespace) - set('"\\<>&')))
    noise = "".join(random.Random(4).choices(letters, k=1_380_000))
    patch = tmp_path / "patch.json"
    patch.write_text(json.dumps({"spec": {"arguments": {"parameters": [{"name": "noise", "value": noise}]}}}))
    kubectl("patch", "-n", namespace, "workflow", "run", "--type=merge", "--patch-file", str(patch))
    set_state(kubectl, namespace, "run", "Archived")
    run = wait_run("run", archived)
    assert condition(run, "Archived")["reason"] == "WorkflowTooLarge"
    assert "too large" in condition(run, "Archived")["message"]
    assert run["status"]["nodes"] == before["status"]["nodes"]
    another_one_ends(apply, wait_run, "later")
    uid = before["status"]["workflow"]["uid"]
    assert kubectl.get(namespace, "workflow", "run")["metadata"]["uid"] == uid
    assert kubectl.find(namespace, "workflowsnapshot", "run") is None
    set_state(kubectl, namespace, "run", None)
    assert wait_run("run", available)["status"]["workflow"]["uid"] == uid


@pytest.mark.serial
def test_500_runs_labelled_at_once_are_archived_and_restored(kubectl: Kubectl, namespace: str, operator: None):
    """`kubectl label prun --all`: each run is archived, and brought back, in bounded time. Others would wait behind them."""
    with_workflow, names = 50, [f"run-{number:03d}" for number in range(500)]
    runs = [
        of_spec({"workflow": {"spec": instant()}, **({} if number < with_workflow else {"shutdown": "Stop"})}, name)
        for number, name in enumerate(names)
    ]
    kubectl("create", "-n", namespace, "-f", "-", input=json.dumps(as_list(runs)), timeout=300)
    kubectl.wait_all(namespace, "prun", names, finished)
    set_state(kubectl, namespace, "--all", "Archived")
    reasons = Counter(
        condition(run, "Archived")["reason"]
        for run in kubectl.wait_all(namespace, "prun", names, archived, BULK_SECONDS).values()
    )
    assert reasons == {"WorkflowKept": with_workflow, "NoWorkflow": len(names) - with_workflow}
    kubectl.wait_gone(namespace, "workflow", *names[:with_workflow])
    assert len(kubectl.list(namespace, "workflowsnapshot")) == with_workflow
    set_state(kubectl, namespace, "--all", None)
    for name, run in kubectl.wait_all(namespace, "prun", names, available, BULK_SECONDS).items():
        assert ("nodes" in run["status"]) is (name in names[:with_workflow])
    assert len(kubectl.list(namespace, "workflow")) == with_workflow


def as_list(items: list[Object]) -> Object:
    return {"apiVersion": "v1", "kind": "List", "items": items}


def test_an_unknown_label_value_leaves_the_run_available(run: Run, kubectl: Kubectl, namespace: str, wait_run: WaitRun):
    """Any other value of the label asks for nothing: the run stays available."""
    run.create({"workflow": {"spec": instant()}}, labels={LABEL: "archived"})
    ended = wait_run("run", "Succeeded")
    assert storage_state(ended) == (None, None)
    assert kubectl.find(namespace, "workflow", "run") is not None
