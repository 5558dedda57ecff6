"""What stands in deploy/overlays, applied: to an API server of the test's own, and, for one namespace, to the cluster."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
import yaml
from localcluster import binaries

from tests.e2e.cluster import Kubectl, Object
from tests.e2e.conftest import OPERATOR, REPOSITORY, Apply, wait_for_run
from tests.e2e.control_plane import ControlPlane
from tests.e2e.manifests import instant, pipeline_run

ARGO = "https://github.com/argoproj/argo-workflows//manifests/cluster-install?ref=v3.7.3"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders that kustomize reads, with Argo's manifests from the pinned module where the overlay names their address."""
    folder = tmp_path_factory.mktemp("checkout")
    for part in ("deploy", "crds"):
        shutil.copytree(REPOSITORY / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "local"))
    manifests = folder / "argo-manifests"
    shutil.copytree(binaries.argo_source() / "manifests", manifests, copy_function=shutil.copyfile)
    for one in [manifests, *manifests.rglob("*")]:
        one.chmod(one.stat().st_mode | stat.S_IWUSR)
    overlay = folder / "deploy" / "overlays" / "with-argo" / "argo" / "kustomization.yaml"
    text = overlay.read_text()
    assert ARGO in text
    overlay.write_text(text.replace(ARGO, "../../../../argo-manifests/cluster-install"))
    return folder


@pytest.mark.parametrize("overlay", ["cluster", "namespaced", "with-argo", "demo"])
def test_applying_an_overlay_again_changes_nothing(bare: ControlPlane, checkout: Path, overlay: str):
    kubectl = bare.kubectl
    if overlay == "namespaced" and not kubectl.find("", "namespace", "runwright"):
        kubectl("create", "namespace", "runwright")
    command = ("apply", "--server-side", "--field-manager=test", "-k", str(checkout / "deploy" / "overlays" / overlay))
    kubectl(*command, timeout=120)
    first = versions(kubectl, *command[-2:])
    assert len(first) > 10
    kubectl(*command, timeout=120)
    assert versions(kubectl, *command[-2:]) == first
    if overlay in ("with-argo", "demo"):
        assert kubectl.get("argo", "deployment", "workflow-controller")
        assert not kubectl.find("argo", "deployment", "argo-server")
        kubectl.wait_established("crd/workflows.argoproj.io")
    if overlay == "demo":
        kubectl("create", "-n", "runwright-demo", "-f", str(REPOSITORY / "deploy" / "examples" / "hello.yaml"))
        assert kubectl.get("runwright-demo", "rolebinding", "runwright-visitor")["roleRef"]["name"] == "edit"


def versions(kubectl: Kubectl, *source: str) -> dict[str, str]:
    """The resource version of each object that the overlay names."""
    found = json.loads(kubectl("get", *source, "-o", "json", timeout=120))["items"]
    return {f"{one['kind']}/{one['metadata']['name']}": one["metadata"]["resourceVersion"] for one in found}


@pytest.mark.serial
def test_overlay_for_one_namespace_runs_a_pipeline(
    kubectl: Kubectl, no_operator: None, namespace: str, apply: Apply, checkout: Path, tmp_path: Path
):
    """Its Deployment, with the rights that its Role gives, in a namespace of the cluster; the deployed operator is away."""
    image = kubectl("get", *OPERATOR, "-o", "jsonpath={.spec.template.spec.containers[0].image}")
    overlay = checkout / "deploy" / "overlays" / "namespaced" / "kustomization.yaml"
    text = overlay.read_text()
    overlay.write_text(text.replace("namespace: runwright\n", f"namespace: {namespace}\n"))
    rendered = kubectl("kustomize", str(overlay.parent))
    overlay.write_text(text)
    objects: list[Object] = [
        one for one in yaml.safe_load_all(rendered) if one["metadata"].get("namespace") == namespace
    ]
    # What is left out is the cluster's, and there already: CRDs and the roles of people.
    assert {one["kind"] for one in objects} >= {"Deployment", "Role", "RoleBinding", "ServiceAccount"}
    for one in objects:
        if one["kind"] == "Deployment":
            one["spec"]["template"]["spec"]["containers"][0]["image"] = image
    kubectl(
        "apply",
        "--server-side",
        "-f",
        "-",
        input=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}),
    )
    kubectl("rollout", "status", "-n", namespace, "deployment/runwright-operator", "--timeout=90s", timeout=100)
    apply(pipeline_run({"spec": instant()}))
    wait_for_run(kubectl, namespace, "run", "Succeeded")
    with pytest.raises(subprocess.CalledProcessError):
        kubectl("get", "prun", "-A", f"--as=system:serviceaccount:{namespace}:runwright-operator")
