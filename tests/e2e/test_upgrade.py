"""A newer release over an older one's objects, and the day on which v1alpha1 becomes v1beta1: no run is lost or changed.

On an API server of the test's own, with etcd beside it, which tells in what version an object is stored.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from runwright.api.crd import custom_resource_definition
from runwright.api.kinds import KINDS
from runwright.core.workflow.manifest import digest_of
from tests.e2e.access import account_kubeconfig
from tests.e2e.cluster import Kubectl, Object, condition
from tests.e2e.conftest import REPOSITORY, wait_for_run
from tests.e2e.control_plane import ControlPlane, programs
from tests.e2e.manifests import instant, pipeline_run, suspended, workflow
from tests.e2e.processes import Operator, Serve
from tests.e2e.serving import Caller, asking

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


# -------------------------------------------------------------------------------------------------------------- manifests
@pytest.fixture
def older(tmp_path: Path, argo_kind: str) -> Iterator[ControlPlane]:
    """An API server with the CRDs of release 0.0.9, whose run service stored manifests in ConfigMaps."""
    built = programs()
    if built is None:
        pytest.skip("no programs of a control plane here: the cluster is another machine's")
    with tarfile.open(CHART) as chart:
        crds = [chart.extractfile(one) for one in chart.getmembers() if "/files/runwright.dev_" in one.name]
        documents = "---\n".join(one.read().decode() for one in crds if one is not None)
    folder = tmp_path / "older"
    folder.mkdir()
    with ControlPlane(folder, built) as plane:
        plane.install("-f", "-", input=documents)
        plane.install("-f", "-", input=argo_kind)
        yield plane


CHART = Path(__file__).parent / "stored" / "runwright-0.0.9.tgz"

MANIFEST = json.dumps(workflow(suspended()))
CONFIG_MAP = f"runwright-manifest-{digest_of(MANIFEST).removeprefix('sha256:')[:32]}"
LABEL = {"runwright.dev/manifest": digest_of(MANIFEST).removeprefix("sha256:")[:32]}


def config_map(name: str, labels: dict[str, str], hours: int = 2) -> Object:
    """As release 0.0.9 stores a manifest; used these hours ago."""
    used = {"runwright.dev/used-at": (datetime.now(UTC) - timedelta(hours=hours)).isoformat()}
    metadata = {"name": name, "labels": labels, "annotations": used}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"manifest": MANIFEST}}


def run_of_config_map(
    name: str, config_map: str = CONFIG_MAP, digest: bool = True, labels: Object | None = None
) -> Object:
    """As release 0.0.9 creates a run, or a user with kubectl."""
    source: Object = {"configMapKeyRef": {"name": config_map, "key": "manifest"}}
    run = pipeline_run({"manifestFrom": source | ({"digest": digest_of(MANIFEST)} if digest else {})}, name)
    run["metadata"]["labels"] = labels or {}
    return run


def manifests_shown(caller: Caller) -> dict[str, str]:
    """What the run service shows as the manifests of the runs, by name; GetRun and ListRuns agree."""
    query: Any = {"resource_reference_key.type": "NAMESPACE", "resource_reference_key.id": "default"}
    listed = caller.good("GET", "/runs", page_size=100, **query)["runs"]
    shown: dict[str, str] = {}
    for run in listed:
        shown[run["name"]] = run["pipeline_spec"].get("workflow_manifest", "")
        got = caller.good("GET", f"/runs/{run['id']}")["run"]
        assert got["pipeline_spec"].get("workflow_manifest", "") == shown[run["name"]]
    return shown


@pytest.mark.timeout(240)
def test_manifests_move_out_of_config_maps_and_no_run_is_lost(older: ControlPlane, tmp_path: Path):
    """Runs of each state, of the service and of users; the service has the rights of deploy/serve, and no others."""
    kubectl = older.kubectl

    def create(body: Object) -> None:
        kubectl("create", "-n", "default", "-f", "-", input=json.dumps(body))

    create(config_map(CONFIG_MAP, LABEL))
    create(config_map("labeled", {"runwright.dev/manifest": "true"}))
    create(config_map("plain", {}))
    service = {"ended", "archived", "waits", "fresh"}
    for name in service:
        archived = {"runwright.dev/storage-state": "Archived"} if name == "archived" else {}
        create(run_of_config_map(name, labels=LABEL | archived))
    for name, of, digest in (("by-hand", CONFIG_MAP, True), ("no-digest", "labeled", False), ("secret", "plain", True)):
        create(run_of_config_map(name, of, digest))
    for name in ("ended", "archived"):
        status = OLD_STATUS | {"workflow": OLD_STATUS["workflow"] | {"name": name}}
        if name == "archived":
            status |= {"storageState": "Archived"}
        kubectl.patch_status("default", "prun", name, status)
    before = known(kubectl)

    older.install("-k", str(REPOSITORY / "crds"), "--force-conflicts")
    assert known(kubectl) == before
    kubectl("create", "serviceaccount", "-n", "default", "runwright-serve")
    kubectl("create", "-f", str(REPOSITORY / "deploy" / "serve" / "clusterrole.yaml"))
    account = ("--clusterrole=runwright-serve", "--serviceaccount=default:runwright-serve")
    kubectl("create", "clusterrolebinding", "runwright-serve", *account)
    kubeconfig = account_kubeconfig(kubectl, "default", "runwright-serve", tmp_path / "serve")
    check_rights(Kubectl(kubeconfig))
    visitor = ("create", "clusterrolebinding", "visitor", "--clusterrole=cluster-admin", "--user=visitor")
    kubectl(*visitor)
    with (
        Operator(older.kubeconfig, "--resync", "3") as operator,
        Serve(kubeconfig, "--anonymous-user", "visitor") as serve,
    ):
        operator.start()
        serve.start()
        caller = Caller(serve.url)
        for name in ("waits", "fresh", "by-hand", "no-digest"):
            wait_for_run(kubectl, "default", name, lambda run: "workflow" in run.get("status", {}))
        stalled = wait_for_run(kubectl, "default", "secret", lambda run: "conditions" in run.get("status", {}))
        assert condition(stalled, "Stalled")["reason"] == "ConfigMapNotFound"
        assert "kubectl label configmap -n default plain" in condition(stalled, "Stalled")["message"]
        readable = {**dict.fromkeys(before, MANIFEST), "secret": ""}
        assert manifests_shown(caller) == readable
        # The first run of the new release, with the manifest of the older ones.
        experiment = caller.experiment("e", "default")
        caller.good("POST", "/runs", asking("new", suspended(), experiment))
        (new,) = [run for name, run in known(kubectl).items() if name not in before]
        source = new["spec"]["workflow"]["manifestFrom"]
        assert source["pipelineManifestRef"]["name"] == source["digest"].replace(":", "-")
        wait_for_run(kubectl, "default", new["metadata"]["name"], lambda run: "workflow" in run.get("status", {}))

        uids = {name: run["metadata"]["uid"] for name, run in known(kubectl).items()}
        assert "5 runs name a PipelineManifest now, 1 ConfigMaps were deleted" in migrated(older)
        moved = known(kubectl)
        assert {name: run["metadata"]["uid"] for name, run in moved.items()} == uids
        named = {
            name for name, run in moved.items() if "pipelineManifestRef" in run["spec"]["workflow"]["manifestFrom"]
        }
        assert named == {*service, "by-hand", new["metadata"]["name"]}
        assert {one["metadata"]["name"] for one in kubectl.list("default", "configmap")} == {"labeled", "plain"}
        shown = manifests_shown(caller)
        assert shown.pop("new") and shown == readable
        kubectl("label", "configmap", "-n", "default", "plain", "runwright.dev/manifest=true")
        wait_for_run(kubectl, "default", "secret", lambda run: "workflow" in run.get("status", {}))
        assert "none is in a ConfigMap of the run service" in migrated(older)
        assert serve.errors() == []
    # What fixes a run stays fixed: the digest, and a source without one.
    for name, patch in (
        ("ended", {"pipelineManifestRef": {"name": "another"}, "digest": "sha256:" + "0" * 64}),
        ("no-digest", {"configMapKeyRef": {"name": "another"}}),
    ):
        change = json.dumps({"spec": {"workflow": {"manifestFrom": patch}}})
        with pytest.raises(subprocess.CalledProcessError) as refused:
            kubectl("patch", "-n", "default", "prun", name, "--type=merge", "-p", change)
        assert "cannot change once the run's Workflow was created" in refused.value.stderr


def check_rights(kubectl: Kubectl) -> None:
    """The account of the run service may read ConfigMaps by name, and no more; nor may it create Secrets."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": "default"},
    }
    found = json.loads(kubectl("create", "--validate=false", "-f", "-", "-o", "json", input=json.dumps(review)))
    verbs: dict[str, set[str]] = {}
    for rule in found["status"]["resourceRules"]:
        for resource in rule.get("resources", ()):
            verbs.setdefault(resource, set()).update(rule["verbs"])
    assert verbs["configmaps"] == {"get"} and "secrets" not in verbs
    assert verbs["pipelinemanifests"] == {"get", "list", "create", "patch", "delete"}
