"""Our retry against Argo's own: a failed run, retried by `spec.retries`, must run the pods that `argo retry` would.

Each case is a PipelineRun, which runs until it has failed. A copy of its Workflow goes under its own name into a second
namespace, where `argo retry` sets it back. Then the cause of the failure is taken away in both, and the run is retried.
The differences that we mean to have are in the cases, and in docs/decisions/retry.md.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cluster import Kubectl, Object, finished
from tests.e2e.conftest import REPOSITORY, fresh_namespace
from tests.e2e.manifests import pipeline_run
from tests.e2e.resuming import wait_for_argo, wait_resumed
from tests.e2e.retry_cases import CASES, Case
from tests.e2e.straight import assert_mirrored

SHUTDOWN_SECONDS = 90.0
"""Argo ends a Workflow that is shut down once its pods have ended: they get 30 s for that."""

SECONDS = 240.0
CORPUS = os.environ.get("RETRY_CORPUS", "")
"""Where to record each case, for the unit tests: `RETRY_CORPUS=tests/unit/core/retry/retry_corpus`."""
FULL_NAME = "workflows.argoproj.io"


@pytest.fixture(scope="session")
def ours(kubectl: Kubectl) -> Iterator[str]:
    """The namespace of the runs."""
    with fresh_namespace(kubectl) as name:
        yield name


@pytest.fixture(scope="session")
def argos(kubectl: Kubectl) -> Iterator[str]:
    """The namespace in which copies of the failed Workflows are retried by `argo retry`."""
    with fresh_namespace(kubectl) as name:
        yield name


@pytest.fixture(scope="session")
def argo() -> str:
    """Argo's CLI, of the version that runs in the cluster."""
    places = os.pathsep.join([str(REPOSITORY / ".cluster" / "bin"), os.environ.get("PATH", "")])
    found = shutil.which("argo", path=places)
    if found is None:
        pytest.skip("no argo on PATH: it comes with the local cluster (`make cluster`)")
    return found


def configured(namespace: str, case: Case, data: dict[str, str]) -> Object:
    """The ConfigMap that decides whether the case's steps fail."""
    labels = {f"{FULL_NAME}/configmap-type": "Parameter"}
    metadata = {"name": case.name, "namespace": namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def placed(document: Object, namespace: str) -> Object:
    """An object with its namespace."""
    return {**document, "metadata": {**document["metadata"], "namespace": namespace}}


def send(kubectl: Kubectl, verb: str, *documents: Object) -> None:
    """`kubectl create` or `kubectl replace` of many objects at once, each with its namespace."""
    kubectl(verb, "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": documents}))


def run_until_failed(kubectl: Kubectl, namespace: str, case: Case) -> Object:
    """Wait until the case's run has failed; its Workflow."""
    if case.shutdown:
        wait_running(kubectl, namespace, case)
        patch(kubectl, namespace, case, {"shutdown": case.shutdown})
        wait_for_argo(kubectl, namespace, case.name, finished, SHUTDOWN_SECONDS)
    run = kubectl.wait(namespace, "prun", case.name, finished, SECONDS)
    assert run["status"]["phase"] in ("Failed", "Error"), run["status"].get("message")
    return kubectl.get(namespace, "workflow", case.name)


def wait_running(kubectl: Kubectl, namespace: str, case: Case) -> None:
    """Return once the node `until` of the case runs."""
    kubectl.wait(namespace, "workflow", case.name, lambda found: phases(found).get(case.until) == "Running", SECONDS)


def patch(kubectl: Kubectl, namespace: str, case: Case, spec: Object) -> None:
    """Edit the run."""
    document = json.dumps({"spec": spec})
    kubectl("patch", "-n", namespace, "prun", case.name, "--type=merge", "-p", document)


def copied(body: Object, **labels: str) -> Object:
    """A finished Workflow as it can be created in another namespace; Argo leaves it alone, as it is completed."""
    metadata = body["metadata"]
    kept = {
        "name": metadata["name"],
        "labels": {**metadata.get("labels", {}), **labels},
        "annotations": metadata.get("annotations", {}),
    }
    return {**body, "metadata": kept}


def pods_of(kubectl: Kubectl, case: Case, namespace: str = "") -> list[Object]:
    """The pods of the case's Workflow; in all namespaces, where none is named."""
    where = ("-n", namespace) if namespace else ("--all-namespaces",)
    found = kubectl("get", "pods", *where, "-l", f"{FULL_NAME}/workflow={case.name}", "-o", "json")
    return json.loads(found)["items"]


def ran(pods: list[Object], case: Case, namespace: str) -> set[str]:
    """The nodes that pods of a namespace are of."""
    found = [pod["metadata"] for pod in pods if pod["metadata"]["namespace"] == namespace]
    return {one["annotations"][f"{FULL_NAME}/node-name"].removeprefix(case.name) for one in found}


def phases(body: Object) -> dict[str, str]:
    """The phase of each node."""
    name = body["metadata"]["name"]
    nodes = (body.get("status") or {}).get("nodes") or {}
    return {node["name"].removeprefix(name): node.get("phase", "") for node in nodes.values()}


def settled(body: Object, case: Case) -> bool:
    """Whether the Workflow has ended; of one that `argo retry` never lets end, whether all its pods have."""
    nodes = (body["status"].get("nodes") or {}).values()
    pods = {node["name"].removeprefix(case.name) for node in nodes if node["type"] == "Pod" and node.get("finishedAt")}
    return finished(body) or (case.argo_phase == "Running" and (case.argo or set()) <= pods)


def outcome(body: Object) -> dict[str, Any]:
    """How each node ended, and what it gave."""
    found = {
        node["name"]: (node["type"], node["phase"], (node.get("outputs") or {}).get("parameters"))
        for node in body["status"]["nodes"].values()
    }
    return {"": body["status"]["phase"], **found}


@pytest.mark.timeout(420)
@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_a_retry_runs_the_pods_that_argo_would_run(
    kubectl: Kubectl, operator: None, ours: str, argos: str, argo: str, case: Case
) -> None:
    data = {"fail": "yes", **case.parameters}
    needed = [configured(where, case, data) for where in (ours, argos)]
    needed += [placed(document, where) for document in case.objects for where in (ours, argos)]
    send(kubectl, "create", *needed, placed(pipeline_run({"spec": case.spec}, case.name), ours))
    failed = run_until_failed(kubectl, ours, case)
    if CORPUS:
        record(kubectl, argo, argos, case, failed)
    send(kubectl, "create", placed(copied(failed), argos))
    send(kubectl, "replace", *(configured(where, case, case.healed) for where in (ours, argos)))

    before = {pod["metadata"]["uid"] for pod in pods_of(kubectl, case, ours)}
    cli(kubectl, argo, "retry", case.name, "-n", argos)
    patch(kubectl, ours, case, {"retries": 1, "shutdown": None})
    if case.resume:
        wait_running(kubectl, ours, case)
        cli(kubectl, argo, "resume", case.name, "-n", ours)
        wait_resumed(kubectl, ours, case.name, kubectl.get(ours, "workflow", case.name))

    run = kubectl.wait(
        ours, "prun", case.name, lambda found: found["status"].get("retries") == 1 and finished(found), SECONDS
    )
    mine = kubectl.get(ours, "workflow", case.name)
    assert_mirrored(run["status"], mine["status"])
    theirs = kubectl.wait(argos, "workflow", case.name, lambda found: settled(found, case), SECONDS)
    pods = [pod for pod in pods_of(kubectl, case) if pod["metadata"]["uid"] not in before]
    assert ran(pods, case, ours) == case.again
    assert ran(pods, case, argos) == (case.again if case.argo is None else case.argo)
    assert mine["status"]["phase"] == "Succeeded", outcome(mine)
    assert theirs["status"]["phase"] == case.argo_phase, outcome(theirs)
    assert set(phases(mine).values()) <= {"Succeeded", "Skipped", "Omitted", "Failed", "Error"}
    if case.argo is None:
        assert outcome(mine) == outcome(theirs)


def record(kubectl: Kubectl, argo: str, namespace: str, case: Case, failed: Object) -> None:
    """Keep the failed Workflow, and what `argo retry` makes of it, for tests/unit/core/test_retry.py.

    The label names a controller that there is none of, so that nobody goes on from what `argo retry` has written.
    """
    label = {f"{FULL_NAME}/controller-instanceid": "oracle"}
    kubectl("create", "-n", namespace, "-f", "-", input=json.dumps(copied(failed, **label)))
    cli(kubectl, argo, "retry", case.name, "-n", namespace, "--instanceid", "oracle")
    made = kubectl.get(namespace, "workflow", case.name)
    kubectl("delete", "-n", namespace, "workflow", case.name, "--wait")
    body = {"metadata": copied(failed)["metadata"], "spec": failed["spec"], "status": failed["status"]}
    nodes = {key: node["phase"] for key, node in (made["status"].get("nodes") or {}).items()}
    document = {"differs": case.argo is not None, "failed": body, "argo": nodes}
    text = json.dumps(document, separators=(",", ":"), sort_keys=True).replace(failed["metadata"]["namespace"], "team")
    (Path(CORPUS) / f"{case.name}.json").write_text(text + "\n")


def cli(kubectl: Kubectl, argo: str, *arguments: str) -> None:
    """Argo's CLI, straight on the API server."""
    environment = {**os.environ, "KUBECONFIG": str(kubectl.kubeconfig), "ARGO_SERVER": ""}
    subprocess.run([argo, *arguments], check=True, capture_output=True, text=True, timeout=60, env=environment)
