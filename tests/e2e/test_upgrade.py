"""A newer release over an older one's objects, and the day on which v1alpha1 becomes v1beta1: no run is lost or changed.

On an API server of the test's own, with etcd beside it, which tells in what version an object is stored.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from runwright.api.crd import custom_resource_definition
from runwright.api.kinds import KINDS
from tests.e2e.cluster import Kubectl, Object, condition
from tests.e2e.conftest import REPOSITORY, wait_for_run
from tests.e2e.control_plane import ControlPlane
from tests.e2e.manifests import instant, pipeline_run, suspended
from tests.e2e.processes import Operator

FIRST = Path(__file__).parent / "stored" / "first-crd.yaml"
"""The CRD of PipelineRuns as the first commit made it that had one, with lists that were merged by their keys."""

OLD_STATUS: Object = {
    "phase": "Succeeded",
    "observedGeneration": 1,
    "startedAt": "2026-11-24T10:00:00Z",
    "finishedAt": "2026-11-24T10:01:00Z",
    "progress": "2/2",
    "retries": 0,
    "workflow": {"name": "ended", "uid": "5a3c1b7e-0000-4000-8000-000000000001"},
    "nodes": [{"id": "ended-1", "name": "main", "type": "Pod", "phase": "Succeeded"}],
    "metrics": [{"name": "accuracy", "nodeID": "ended-1", "value": 0.93, "format": "PERCENTAGE"}],
    "conditions": [
        {
            "type": "Succeeded",
            "status": "True",
            "reason": "Succeeded",
            "message": "",
            "lastTransitionTime": "2026-11-24T10:01:00Z",
        }
    ],
}


def apply_crds(kubectl: Kubectl, *versions: str) -> None:
    """Our CRDs as a release with these API versions has them; the last one is stored."""
    documents = [custom_resource_definition(kind, versions) for kind in KINDS]
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=yaml.safe_dump_all(documents))
    names = [f"crd/{one['metadata']['name']}" for one in documents]
    kubectl.wait_established(*names)


def known(kubectl: Kubectl, version: str = "v1alpha1") -> dict[str, Object]:
    """All runs by name, as a version serves them, without the fields that only say how they were written."""
    found = json.loads(kubectl("get", f"pipelineruns.{version}.runwright.dev", "-A", "-o", "json"))["items"]
    for run in found:
        for field in ("managedFields", "resourceVersion"):
            run["metadata"].pop(field, None)
        assert run.pop("apiVersion") == f"runwright.dev/{version}"
    return {run["metadata"]["name"]: run for run in found}


def stored_as(plane: ControlPlane) -> dict[str, str]:
    """The `apiVersion` in which each run stands in etcd."""
    found: list[dict[str, Any]] = plane.stored("/registry/runwright.dev/pipelineruns/")
    return {one["metadata"]["name"]: one["apiVersion"].rpartition("/")[2] for one in found}


def migrated(plane: ControlPlane) -> str:
    """What `runwright migrate` says."""
    command = [sys.executable, "-m", "runwright", "migrate", "--kubeconfig", str(plane.kubeconfig)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=REPOSITORY / "operator")
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_objects_of_the_first_crd_survive_the_upgrade_to_v1beta1(bare: ControlPlane, argo_kind: str):
    kubectl = bare.kubectl
    kubectl("apply", "--server-side", "-f", "-", input=argo_kind)
    crd = without_rules(yaml.safe_load(FIRST.read_text()))
    kubectl("apply", "--server-side", "-f", "-", input=json.dumps(crd))
    kubectl.wait_established("crd/pipelineruns.runwright.dev")
    kubectl("create", "-n", "default", "-f", "-", input=json.dumps(pipeline_run({"spec": instant()}, "ended")))
    kubectl.patch_status("default", "prun", "ended", OLD_STATUS)
    kubectl("create", "-n", "default", "-f", "-", input=json.dumps(pipeline_run({"spec": suspended()}, "waits")))
    # A run that today's rules would refuse, from when they were not there.
    kubectl("create", "-n", "default", "-f", "-", input=json.dumps(odd_run()))
    before = known(kubectl)
    assert set(before) == {"ended", "waits", "odd"}

    apply_crds(kubectl, "v1alpha1")
    assert known(kubectl) == before, "the stricter CRD leaves what is stored as it is"
    with Operator(bare.kubeconfig, "--resync", "3") as operator:
        operator.start()
        wait_for_run(kubectl, "default", "waits", lambda run: "workflow" in run.get("status", {}))
        odd = wait_for_run(kubectl, "default", "odd", lambda run: "conditions" in run.get("status", {}))
        assert condition(odd, "Succeeded")["status"] == "Unknown", "its status can be written"
        after = known(kubectl)
        assert after["ended"] == before["ended"]
        assert {name: run["metadata"]["uid"] for name, run in after.items()} == {
            name: run["metadata"]["uid"] for name, run in before.items()
        }

        # The next release: both versions are served, and the newer one is stored. This operator goes on meanwhile.
        apply_crds(kubectl, "v1alpha1", "v1beta1")
        assert set(stored_as(bare).values()) == {"v1alpha1"}
        kubectl("create", "-n", "default", "-f", "-", input=json.dumps(of_version("v1beta1", "young")))
        wait_for_run(kubectl, "default", "young", lambda run: "workflow" in run.get("status", {}))
        served, versions = known(kubectl), resource_versions(kubectl)
        said = migrated(bare)
        assert "pipelineruns: 4 objects are stored as v1beta1, and none as v1alpha1" in said
        assert set(stored_as(bare).values()) == {"v1beta1"}
        assert known(kubectl) == served == known(kubectl, "v1beta1"), "only the version is another one"
        assert {name for name, version in resource_versions(kubectl).items() if version != versions[name]} == {
            name for name in served if name != "young"
        }, "what was stored so already is not written"
        crd = json.loads(kubectl("get", "crd", "pipelineruns.runwright.dev", "-o", "json"))
        assert crd["status"]["storedVersions"] == ["v1beta1"]
        assert "all objects are stored as v1beta1" in migrated(bare)

        # Back again, as after a rollback; then the older version is given up for good.
        apply_crds(kubectl, "v1beta1", "v1alpha1")
        migrated(bare)
        assert set(stored_as(bare).values()) == {"v1alpha1"}
        apply_crds(kubectl, "v1alpha1", "v1beta1")
        migrated(bare)
        # Kopf complains of watches that the API server ends when a CRD changes, and starts them again.
        assert [line for line in operator.errors() if "exception" in line] == []
    apply_crds(kubectl, "v1beta1")
    assert known(kubectl, "v1beta1") == served


def of_version(version: str, name: str) -> Object:
    return pipeline_run({"spec": suspended()}, name) | {"apiVersion": f"runwright.dev/{version}"}


def without_rules(found: Any) -> Any:
    """The CRD before there were rules in it: what was stored then, today's would refuse."""
    if isinstance(found, dict):
        return {key: without_rules(value) for key, value in found.items() if key != "x-kubernetes-validations"}
    return [without_rules(value) for value in found] if isinstance(found, list) else found


def odd_run() -> Object:
    """A run with a duration that nobody can read."""
    run = pipeline_run({"spec": suspended()}, "odd")
    run["spec"]["retention"] = {"archiveAfter": "soon"}
    return run


def resource_versions(kubectl: Kubectl) -> dict[str, str]:
    found = json.loads(kubectl("get", "prun", "-A", "-o", "json"))["items"]
    return {one["metadata"]["name"]: one["metadata"]["resourceVersion"] for one in found}
