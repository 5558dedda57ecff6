"""Deleting a run: what goes with it, in which order, and what stays, as Kubernetes says it for owners and what they own.

A run's Workflow and its WorkflowSnapshot are the run's, and the pods are the Workflow's. Nothing waits for the operator.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.cluster import Kubectl, Object, condition, stalled
from tests.e2e.conftest import Apply, WaitRun
from tests.e2e.manifests import instant, one_step, pipeline_run, suspended
from tests.e2e.processes import Sightings
from tests.e2e.resuming import resume
from tests.e2e.storage import archived, set_state

OF_KUBERNETES = {"foregroundDeletion", "orphan"}
"""The finalizers by which the garbage collector does what `--cascade` asks for."""

KEPT = {"retention": {"keepWorkflow": "1h"}}
"""So an archived run has all that it can have: Workflow, pods and WorkflowSnapshot."""

Seen = dict[str, Sightings]


@pytest.fixture(autouse=True)
def seen(kubectl: Kubectl, namespace: str) -> Iterator[Seen]:
    """Every version of the runs and of what they own. None has a finalizer but those of Kubernetes itself."""
    with (
        Sightings(kubectl, namespace, "prun") as runs,
        Sightings(kubectl, namespace, "workflow") as workflows,
        Sightings(kubectl, namespace, "workflowsnapshot") as snapshots,
    ):
        yield {"prun": runs, "workflow": workflows, "workflowsnapshot": snapshots}
        for kind, sightings in (("prun", runs), ("workflow", workflows), ("workflowsnapshot", snapshots)):
            versions = [found["metadata"] for _, found in sightings.events()]
            assert all(set(one.get("finalizers", ())) <= OF_KUBERNETES for one in versions), kind
        assert runs.events(), "nothing was looked at"


@pytest.fixture
def everything(kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun) -> None:
    """A run that goes, one that is archived and kept all that it had, and one that kept its snapshot only."""
    runs = [
        pipeline_run({"spec": suspended()}, "goes"),
        pipeline_run({"spec": instant()}, "kept", **KEPT),
        pipeline_run({"spec": instant()}, "archived"),
    ]
    apply({"apiVersion": "v1", "kind": "List", "items": runs})
    for name in ("archived", "kept"):
        wait_run(name, "Succeeded")
    set_state(kubectl, namespace, "archived kept", "Archived")
    for name in ("archived", "kept"):
        wait_run(name, archived)
    wait_run("goes", "Running")
    kubectl.wait_gone(namespace, "workflow", "archived")
    assert names(kubectl, namespace, "workflow") == ["goes", "kept"]
    assert names(kubectl, namespace, "workflowsnapshot") == ["archived", "kept"]


@pytest.fixture
def pod(kubectl: Kubectl, namespace: str, apply: Apply, everything: None) -> str:
    """The pod of one more run, which runs."""
    apply(pipeline_run({"spec": one_step("trap exit TERM; sleep 600 & wait")}, "works"))
    for _, found in kubectl.watch(namespace, "pods"):
        if found["status"].get("phase") == "Running":
            return found["metadata"]["name"]
    raise AssertionError("no pod came to run")


def names(kubectl: Kubectl, namespace: str, kind: str) -> list[str]:
    return sorted(one["metadata"]["name"] for one in kubectl.list(namespace, kind))


def delete(kubectl: Kubectl, namespace: str, cascade: str, *runs: str) -> None:
    """Returns once the runs are gone."""
    kubectl("delete", "-n", namespace, "prun", *runs, f"--cascade={cascade}", "--timeout=120s", timeout=130)


def test_a_deleted_run_takes_workflow_pods_and_snapshot_along(kubectl: Kubectl, namespace: str, pod: str):
    """In the background, which is what `kubectl delete` does: the runs are gone at once, the rest follows."""
    delete(kubectl, namespace, "background", "works", "goes", "kept", "archived")
    for name in ("works", "goes", "kept"):
        kubectl.wait_gone(namespace, "workflow", name)
    for name in ("archived", "kept"):
        kubectl.wait_gone(namespace, "workflowsnapshot", name)
    kubectl.wait_gone(namespace, "pod", pod)


def test_foreground_deletion_removes_the_run_last(kubectl: Kubectl, namespace: str, pod: str, seen: Seen):
    """When kubectl returns, nothing is left; and the runs said that they wait, and for what."""
    uids = {one["metadata"]["name"]: one["metadata"]["uid"] for one in kubectl.list(namespace, "prun")}
    assert set(uids) == {"works", "goes", "kept", "archived"}
    assert pod in names(kubectl, namespace, "pods")
    delete(kubectl, namespace, "foreground", *uids)
    for kind in ("workflow", "workflowsnapshot", "pods"):
        assert names(kubectl, namespace, kind) == [], kind
    for name, uid in uids.items():
        seen["prun"].wait_gone({"metadata": {"uid": uid}})
        versions = [found for _, found in seen["prun"].events() if found["metadata"]["uid"] == uid]
        waiting = [one for one in versions if one["metadata"].get("deletionTimestamp")]
        assert waiting[0]["metadata"]["finalizers"] == ["foregroundDeletion"]
        assert all(one.get("status") == waiting[0].get("status") for one in waiting), name


def test_orphaned_objects_stay_and_are_not_adopted(
    kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun, everything: None
):
    """Workflow and snapshot have no owner then, and go on without one. A new run of that name does not take them."""
    delete(kubectl, namespace, "orphan", "goes", "kept", "archived")
    for kind, left in (("workflow", ["goes", "kept"]), ("workflowsnapshot", ["archived", "kept"])):
        for name in left:
            kubectl.wait(namespace, kind, name, lambda found: "ownerReferences" not in found["metadata"])
        assert names(kubectl, namespace, kind) == left

    for name in ("kept", "goes"):
        apply(pipeline_run({"spec": instant()}, name))
        run = wait_run(name, lambda found: stalled(found) == "WorkflowNameTaken")
        assert run["status"]["phase"] == "Pending"
    resume(kubectl, namespace, "goes")
    ended = kubectl.wait(namespace, "workflow", "goes", is_completed)
    assert ended["status"]["phase"] == "Succeeded"
    assert "ownerReferences" not in ended["metadata"]
    assert condition(kubectl.get(namespace, "prun", "goes"), "Stalled")["status"] == "True"

    kubectl("delete", "-n", namespace, "workflow", "kept", "goes")
    wait_run("goes", "Succeeded")
    run = wait_run("kept", "Succeeded")
    set_state(kubectl, namespace, "kept", "Archived")
    wait_run("kept", archived)
    (owner,) = kubectl.get(namespace, "workflowsnapshot", "kept")["metadata"]["ownerReferences"]
    assert owner["uid"] == run["metadata"]["uid"], "the snapshot is of the new run"


def is_completed(workflow: Object) -> bool:
    """Whether Argo has said its last about a Workflow."""
    return workflow["metadata"]["labels"].get("workflows.argoproj.io/completed") == "true"


def test_runs_are_deleted_by_field_label_and_all(kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun):
    """By a field, by a label, and all; with `--dry-run` nothing is."""
    for name, spec in {"good": instant(), "bad": suspended(activeDeadlineSeconds=1), "away": instant()}.items():
        apply(pipeline_run({"spec": spec}, name))
    apply(pipeline_run({"spec": suspended()}, "goes"))
    wait_run("away", "Succeeded")
    set_state(kubectl, namespace, "away", "Archived")
    wait_run("away", archived)
    for name, phase in (("good", "Succeeded"), ("bad", "Failed"), ("goes", "Running")):
        wait_run(name, phase)

    def deleted(*options: str) -> list[str]:
        said = kubectl("delete", "-n", namespace, "prun", *options, "-o", "name")
        return sorted(line.partition("/")[2] for line in said.splitlines())

    assert deleted("--all", "--dry-run=server") == ["away", "bad", "goes", "good"]
    assert deleted("--field-selector=status.phase=Failed") == ["bad"]
    assert deleted("-l", "runwright.dev/storage-state=Archived") == ["away"]
    assert deleted("--all") == ["goes", "good"]
    for name in ("goes", "good", "bad"):
        kubectl.wait_gone(namespace, "workflow", name)
    kubectl.wait_gone(namespace, "workflowsnapshot", "away")


def test_a_deleted_namespace_is_not_held_back_by_its_runs(
    kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun, everything: None
):
    """None holds its namespace back, whatever it does and has; nor does one that waits for somebody."""
    apply(pipeline_run({"templateRef": {"name": "absent"}}, "stalled"))
    apply(pipeline_run({"spec": suspended(activeDeadlineSeconds=1)}, "bad"))
    wait_run("stalled", lambda found: stalled(found) == "TemplateNotFound")
    wait_run("bad", "Failed")
    kubectl("delete", "namespace", namespace, "--timeout=120s", timeout=130)
