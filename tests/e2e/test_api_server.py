"""What an API server can do to an operator: lack Argo's kinds, restart under a run, and let its watches expire.

On a control plane of the test's own, where the test plays Argo: it writes what the controller would write.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.e2e.cluster import Object, condition, stalled
from tests.e2e.conftest import REPOSITORY, wait_for_run
from tests.e2e.control_plane import ControlPlane, programs
from tests.e2e.manifests import one_step, pipeline_run
from tests.e2e.processes import Operator

NAMESPACE = "default"
CRD = REPOSITORY / "crds" / "runwright.dev_pipelineruns.yaml"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    built = programs()
    if built is None:
        pytest.skip("etcd and kube-apiserver are not built on this machine: the cluster under test is another's")
    with ControlPlane(tmp_path_factory.mktemp("control-plane"), built) as started:
        started.kubectl("apply", "--server-side", "-f", str(CRD))
        started.kubectl.wait_established(f"-f={CRD}")
        yield started


def install_argo(plane: ControlPlane, argo_kind: str) -> None:
    plane.kubectl("apply", "--server-side", "-f", "-", input=argo_kind)
    plane.kubectl.wait_established("crd/workflows.argoproj.io")


@pytest.fixture
def with_argo(plane: ControlPlane, argo_kind: str) -> ControlPlane:
    install_argo(plane, argo_kind)
    return plane


@pytest.fixture
def without_argo(plane: ControlPlane) -> ControlPlane:
    plane.kubectl("delete", "crd", "workflows.argoproj.io", "--ignore-not-found")
    return plane


@pytest.fixture
def process(plane: ControlPlane, request: pytest.FixtureRequest) -> Iterator[Operator]:
    """An operator for the control plane, not yet started, that looks for missed events every few seconds."""
    with Operator(plane.kubeconfig, "--resync", "3", *getattr(request, "param", ())) as operator:
        yield operator
    assert [line for line in operator.errors() if "exception" in line] == []


def create(plane: ControlPlane, name: str) -> None:
    document = pipeline_run({"spec": one_step()}, name)
    plane.kubectl("create", "-n", NAMESPACE, "-f", "-", input=json.dumps(document))


def play_argo(plane: ControlPlane, name: str, phase: str) -> None:
    """Write into a Workflow's status what Argo's controller would."""
    status: Object = {"phase": phase, "startedAt": "2026-01-31T12:00:00Z", "progress": "0/1"}
    if phase != "Running":
        status |= {"finishedAt": "2026-01-31T12:00:07Z", "progress": "1/1"}
    patch = json.dumps({"status": status})
    plane.kubectl("patch", "-n", NAMESPACE, "workflow", name, "--type=merge", "-p", patch)


def until_created(plane: ControlPlane, name: str) -> Object:
    """The Workflow, once the operator has made it and said so in its run."""
    wait_for_run(plane.kubectl, NAMESPACE, name, lambda run: run.get("status", {}).get("workflow") is not None)
    return plane.kubectl.get(NAMESPACE, "workflow", name)


@pytest.mark.parametrize(
    "process", [(), ("--namespace", NAMESPACE)], ids=["all namespaces", "one namespace"], indirect=True
)
def test_operator_started_before_argo_waits_for_its_kinds(
    without_argo: ControlPlane, process: Operator, argo_kind: str, request: pytest.FixtureRequest
):
    """It waits, says so in its log and in the run, and goes on when Argo's kinds come; with no restart of it."""
    name = f"early-{len(request.node.name)}"
    process.start()
    create(without_argo, name)
    run = wait_for_run(without_argo.kubectl, NAMESPACE, name, lambda found: stalled(found) == "ArgoNotInstalled")
    assert "install Argo Workflows" in condition(run, "Stalled")["message"]
    process.wait_log("workflows.argoproj.io")
    install_argo(without_argo, argo_kind)
    until_created(without_argo, name)
    play_argo(without_argo, name, "Running")
    run = wait_for_run(without_argo.kubectl, NAMESPACE, name, "Running")
    assert condition(run, "Stalled")["status"] == "False"
    play_argo(without_argo, name, "Succeeded")
    assert wait_for_run(without_argo.kubectl, NAMESPACE, name, "Succeeded")["status"]["duration"] == "7s"


def test_runs_end_after_the_api_server_was_killed(with_argo: ControlPlane, process: Operator):
    """Killed while one Workflow runs and one was just finished: both runs end as they should, and a new one starts."""
    process.start()
    for name in ("going", "ending"):
        create(with_argo, name)
        until_created(with_argo, name)
        play_argo(with_argo, name, "Running")
        wait_for_run(with_argo.kubectl, NAMESPACE, name, "Running")
    uid = with_argo.kubectl.get(NAMESPACE, "workflow", "going")["metadata"]["uid"]
    process.freeze()
    play_argo(with_argo, "ending", "Succeeded")
    with_argo.kill_api_server()
    process.thaw()
    with_argo.start_api_server()
    wait_for_run(with_argo.kubectl, NAMESPACE, "ending", "Succeeded")
    create(with_argo, "new")
    until_created(with_argo, "new")
    play_argo(with_argo, "going", "Succeeded")
    run = wait_for_run(with_argo.kubectl, NAMESPACE, "going", "Succeeded")
    assert run["status"]["workflow"]["uid"] == uid


def test_an_expired_watch_lists_again_and_misses_no_deletion(with_argo: ControlPlane, process: Operator):
    """Frozen while etcd compacts the changes: 410 Gone. The operator finds the present state, deletions included."""
    process.start()
    for name in ("ends-unseen", "loses-unseen", "goes-unseen"):
        create(with_argo, name)
        until_created(with_argo, name)
        play_argo(with_argo, name, "Running")
        wait_for_run(with_argo.kubectl, NAMESPACE, name, "Running")
    known = with_argo.kubectl.get(NAMESPACE, "prun", "goes-unseen")["metadata"]["resourceVersion"]
    process.freeze()
    play_argo(with_argo, "ends-unseen", "Succeeded")
    with_argo.kubectl("delete", "-n", NAMESPACE, "workflow", "loses-unseen")
    with_argo.kubectl("delete", "-n", NAMESPACE, "prun,workflow", "goes-unseen")
    create(with_argo, "comes-unseen")
    # A new API server has no memory of its own of what was, and etcd is made to forget it.
    with_argo.kill_api_server()
    with_argo.compact()
    with_argo.start_api_server()
    expired = watch_from(with_argo, known)
    assert (expired["type"], expired["object"]["code"]) == ("ERROR", 410), "the test did not make what it is about"
    process.thaw()
    wait_for_run(with_argo.kubectl, NAMESPACE, "ends-unseen", "Succeeded")
    lost = wait_for_run(with_argo.kubectl, NAMESPACE, "loses-unseen", "Error")
    assert condition(lost, "Succeeded")["reason"] == "WorkflowDeleted"
    until_created(with_argo, "comes-unseen")
    assert with_argo.kubectl.find(NAMESPACE, "workflow", "goes-unseen") is None
    play_argo(with_argo, "comes-unseen", "Succeeded")
    wait_for_run(with_argo.kubectl, NAMESPACE, "comes-unseen", "Succeeded")


def watch_from(plane: ControlPlane, version: str) -> Object:
    """The first event of a watch of the runs from this resourceVersion on."""
    path = f"/apis/runwright.dev/v1alpha1/pipelineruns?watch=true&resourceVersion={version}&timeoutSeconds=10"
    return json.loads(plane.kubectl("get", "--raw", path).splitlines()[0])
