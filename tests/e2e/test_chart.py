"""The Helm chart: it holds what deploy/base holds, and a release of it works in namespaces of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from localcluster import binaries, pins

from tests.e2e.cluster import Kubectl, Object
from tests.e2e.conftest import REPOSITORY

CHART = REPOSITORY / "charts" / "runwright"
SYSTEM = "runwright-system"


class Helm:
    """`helm ARGUMENTS`, from the pinned module, on the cluster under test."""

    def __init__(self, program: Path, kubeconfig: Path) -> None:
        self._program = program
        self._kubeconfig = kubeconfig

    def __call__(self, *arguments: str) -> str:
        """What helm printed. Raises subprocess.CalledProcessError, with helm's words as a note."""
        command = [str(self._program), "--kubeconfig", str(self._kubeconfig), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=180)
        if done.returncode:
            error = subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
            error.add_note(done.stderr)
            raise error
        return done.stdout

    def rendered(self, *options: str) -> dict[tuple[str, str, str], Object]:
        """The objects of a release called runwright in runwright-system, by kind, namespace and name."""
        text = self("template", "runwright", str(CHART), "-n", SYSTEM, "--kube-version", "1.34.0", *options)
        return by_name(text)


def by_name(text: str) -> dict[tuple[str, str, str], Object]:
    """The objects of a YAML stream, by kind, namespace and name."""
    objects: Iterator[Any] = yaml.safe_load_all(text)
    return {(one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]): one for one in objects if one}


@pytest.fixture(scope="session")
def helm(kubeconfig: Path) -> Helm:
    """helm, built if this is the first time."""
    return Helm(binaries.build_all([pins.HELM])["helm"], kubeconfig)


def test_helm_finds_nothing_wrong(helm: Helm):
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART))


def test_it_holds_what_the_kustomize_base_holds(helm: Helm, kubectl: Kubectl):
    chart = helm.rendered("--set", "image.tag=0.1.0")
    base = by_name(kubectl("kustomize", str(REPOSITORY / "deploy" / "base")))
    assert set(chart) == set(base) - {("Namespace", "", SYSTEM)}
    for key, expected in base.items():
        match key[0]:
            case "ClusterRole" | "ClusterRoleBinding":
                for part in ("rules", "roleRef", "subjects"):
                    assert chart[key].get(part) == expected.get(part), (key, part)
            case "CustomResourceDefinition":
                assert chart[key]["spec"] == expected["spec"]
                assert chart[key]["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
            case "Deployment":
                assert pod_of(chart[key]) == pod_of(expected)
            case _:
                pass


def pod_of(deployment: Object) -> Object:
    """What a Deployment runs, without the options that only the chart spells out."""
    spec = json.loads(json.dumps(deployment["spec"]["template"]["spec"]))
    (container,) = spec["containers"]
    spelled_out = ("--log-level=info", "--workers=16", "--resync=300")
    container["args"] = [one for one in container["args"] if one not in spelled_out]
    return {"strategy": deployment["spec"]["strategy"], "replicas": deployment["spec"]["replicas"], **spec}


@pytest.mark.parametrize(
    ("option", "field"),
    [
        ("operator.workers=0", "workers"),
        ("operator.logFormat=xml", "logFormat"),
        ("watchNamespaces={Not_A_Name}", "watchNamespaces"),
        ("image.pullPolicy=Sometimes", "pullPolicy"),
        ("replicas=2", "replicas"),
        ("retention.archiveAfter=a week", "archiveAfter"),
        ("retention.deleteAfter=-1h", "deleteAfter"),
        ("retention.keepSucceeded=-1", "keepSucceeded"),
        ("retention.keepFailed=some", "keepFailed"),
        ("retention.keepForever=true", "keepForever"),
    ],
)
def test_values_are_checked(helm: Helm, option: str, field: str):
    with pytest.raises(subprocess.CalledProcessError) as refused:
        helm.rendered("--set", option)
    assert field in refused.value.stderr


def test_single_namespaces_need_no_cluster_wide_right(helm: Helm):
    objects = helm.rendered("--set", "watchNamespaces={one,two}", "--set", "rbac.aggregateToDefaultRoles=false")
    assert not [key for key in objects if key[0].startswith("ClusterRole")]
    roles = [one for (kind, _, _), one in objects.items() if kind == "Role"]
    assert [role["metadata"]["namespace"] for role in roles] == ["one", "two"]
    assert not any("clusterworkflowtemplates" in rule["resources"] for role in roles for rule in role["rules"])
    assert arguments(objects)[-2:] == ["--namespace=one", "--namespace=two"]


def arguments(objects: dict[tuple[str, str, str], Object]) -> list[str]:
    """What the operator of a release is started with."""
    deployment = objects["Deployment", SYSTEM, "runwright-operator"]
    return deployment["spec"]["template"]["spec"]["containers"][0]["args"]


def test_how_long_runs_are_kept_is_passed_on(helm: Helm):
    retention = {
        "archiveAfter": "1h30m",
        "deleteAfter": "7d",
        "keepWorkflow": "0s",
        "keepSucceeded": 0,
        "keepFailed": 100_000,
    }
    passed_on = {
        "--archive-after=1h30m",
        "--delete-after=7d",
        "--keep-workflow=0s",
        "--keep-succeeded=0",
        "--keep-failed=100000",
    }
    without, with_all = helm.rendered(), helm.rendered("--set-json", f"retention={json.dumps(retention)}")
    assert set(arguments(with_all)) - set(arguments(without)) == passed_on
    assert len(arguments(with_all)) == len(arguments(without)) + len(passed_on)
    assert arguments(helm.rendered("--set-json", 'retention={"deleteAfter": ""}')) == arguments(without)


def test_the_overlay_for_one_namespace_gives_the_rights_that_the_chart_gives(helm: Helm, kubectl: Kubectl):
    overlay = by_name(kubectl("kustomize", str(REPOSITORY / "deploy" / "overlays" / "namespaced")))
    chart = helm.rendered("--set", "watchNamespaces={runwright}")
    key = ("Role", "runwright", "runwright-operator")
    assert overlay[key]["rules"] == chart[key]["rules"]
    everywhere = helm.rendered()["ClusterRole", "", "runwright-operator"]["rules"]
    assert not [rule for rule in overlay[key]["rules"] if "clusterworkflowtemplates" in rule["resources"]]
    assert len(everywhere) == len(overlay[key]["rules"]) + 2, "kinds and namespaces are looked at in a cluster only"


def test_a_release_for_one_namespace_works(helm: Helm, kubectl: Kubectl, namespace: str):
    """Installed with a Role alone, the operator becomes ready and watches; uninstalled, nothing of it is left."""
    image = kubectl.get(SYSTEM, "deployment", "runwright-operator")["spec"]["template"]["spec"]["containers"][0][
        "image"
    ]
    repository, _, tag = image.rpartition(":")
    values = {
        "watchNamespaces": [namespace],
        "image": {"repository": repository, "tag": tag},
        "crds": {"install": False},
        "rbac": {"aggregateToDefaultRoles": False},
    }
    options = [f"--set-json={key}={json.dumps(value)}" for key, value in values.items()]
    helm("install", "mine", str(CHART), "-n", namespace, "--wait", "--timeout=120s", *options)
    kubectl("wait", "-n", namespace, "deployment/mine-operator", "--for=condition=Available", "--timeout=60s")
    for _, pod in kubectl.watch(namespace, "pods", "-l", "app.kubernetes.io/instance=mine", timeout=60):
        name = pod["metadata"]["name"]
        break
    else:
        raise AssertionError("the release has no pod")
    log = kubectl("logs", "-n", namespace, name)
    assert f"looks after PipelineRuns in {namespace} of" in log
    assert '"level": "error"' not in log
    health = json.loads(kubectl("get", "--raw", f"/api/v1/namespaces/{namespace}/pods/{name}:8080/proxy/healthz"))
    assert health["watching"] is True
    helm("uninstall", "mine", "-n", namespace, "--wait", "--timeout=120s")
    assert not kubectl.list(namespace, "deployment,role,rolebinding", "-l", "app.kubernetes.io/instance=mine")
