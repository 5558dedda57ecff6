"""The Helm chart: it holds what deploy/base holds, and a release of it works in namespaces of its own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.cluster import Kubectl, Object
from tests.e2e.conftest import REPOSITORY
from tests.e2e.helm import CHART, SYSTEM, Helm, by_name

MONITORING = REPOSITORY / "deploy" / "monitoring"
NAME_LABEL = '"app.kubernetes.io/name": "runwright"'


def test_helm_lint_passes(helm: Helm):
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART))


def test_chart_equals_the_kustomize_base(helm: Helm, kubectl: Kubectl):
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
            case "Role" | "RoleBinding":
                for part in ("rules", "roleRef", "subjects"):
                    assert chart[key].get(part) == expected.get(part), (key, part)
            case "Service" | "PodDisruptionBudget":
                assert chart[key]["spec"] == of_one_release(expected["spec"])
            case _:
                pass


def test_run_service_of_the_chart_equals_its_component(helm: Helm, kubectl: Kubectl, tmp_path: Path):
    assert not [key for key in helm.rendered() if "serve" in key[2]], "it is there where it is asked for"
    overlay = tmp_path / "kustomization.yaml"
    deploy = os.path.relpath(REPOSITORY / "deploy", tmp_path)
    document = {"resources": [f"{deploy}/base"], "components": [f"{deploy}/serve"]}
    overlay.write_text(
        yaml.safe_dump({"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", **document})
    )
    component = {key: one for key, one in by_name(kubectl("kustomize", str(tmp_path))).items() if key[2] == SERVE}
    options = ("--set", "serve.enabled=true", "--set", "image.tag=0.1.0")
    chart = {key: one for key, one in helm.rendered(*options).items() if key[2] == SERVE}
    assert set(chart) == set(component) and len(chart) == 8
    for key, expected in component.items():
        for part in ("rules", "roleRef", "subjects"):
            assert chart[key].get(part) == expected.get(part), (key, part)
        if key[0] in ("Service", "PodDisruptionBudget"):
            assert chart[key]["spec"] == of_one_release(expected["spec"])
        if key[0] == "Deployment":
            made, pod = (json.loads(json.dumps(one["spec"]["template"]["spec"])) for one in (chart[key], expected))
            made["containers"][0]["args"].remove("--log-level=info")
            assert made == pod


def test_run_service_for_one_namespace_has_no_cluster_wide_right(helm: Helm):
    values = {
        "enabled": True,
        "namespace": "kubeflow",
        "anonymousUser": "somebody",
        "tls": {"secretName": "cert"},
        "tokenAudiences": ["kfp"],
    }
    made = helm.rendered("--set-json", f"serve={json.dumps(values)}", "--set", "artifacts.readSecrets=true")
    pod = made["Deployment", SYSTEM, SERVE]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    for option in (
        "--namespace=kubeflow",
        "--anonymous-user=somebody",
        "--token-audience=kfp",
        "--tls-cert=/tls/tls.crt",
    ):
        assert option in container["args"]
    assert pod["volumes"] == [{"name": "tls", "secret": {"secretName": "cert"}}]
    rules = made["Role", "kubeflow", f"{SERVE}-runs"]["rules"]
    assert not [rule for rule in rules if "clusterworkflowtemplates" in rule["resources"]]
    assert {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]} in rules
    review = made["ClusterRole", "", f"{SYSTEM}-{SERVE}"]["rules"]
    assert {resource for rule in review for resource in rule["resources"]} == {"tokenreviews", "subjectaccessreviews"}
    several = helm.rendered("--set", "serve.enabled=true", "--set", "watchNamespaces={a,b}")
    (container,) = several["Deployment", SYSTEM, SERVE]["spec"]["template"]["spec"]["containers"]
    assert [one for one in container["args"] if "watch" in one] == ["--watch-namespace=a", "--watch-namespace=b"]
    assert {("Role", "a", f"{SERVE}-runs"), ("Role", "b", f"{SERVE}-runs")} <= set(several)


def of_one_release(spec: Object) -> Object:
    """The same, selecting the operator of a release called runwright: a namespace may hold several."""
    text = json.dumps(spec)
    return json.loads(text.replace(NAME_LABEL, f'{NAME_LABEL}, "app.kubernetes.io/instance": "runwright"'))


def pod_of(deployment: Object) -> Object:
    """What a Deployment runs, without the options that only the chart spells out."""
    spec = json.loads(json.dumps(deployment["spec"]["template"]["spec"]))
    (container,) = spec["containers"]
    spelled_out = ("--log-level=info", "--workers=16", "--resync=300")
    container["args"] = [one for one in container["args"] if one not in spelled_out]
    term = spec["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"][0]["podAffinityTerm"]
    term["labelSelector"]["matchLabels"].pop("app.kubernetes.io/instance", None)
    return {"strategy": deployment["spec"].get("strategy"), "replicas": deployment["spec"]["replicas"], **spec}


@pytest.mark.parametrize(
    ("option", "field"),
    [
        ("operator.workers=0", "workers"),
        ("operator.logFormat=xml", "logFormat"),
        ("watchNamespaces={Not_A_Name}", "watchNamespaces"),
        ("image.pullPolicy=Sometimes", "pullPolicy"),
        ("replicas=many", "replicas"),
        ("leaderElection.seconds=9", "seconds"),
        ("shard.name=Not_A_Name", "name"),
        ("podDisruptionBudget.maxUnavailable=some", "maxUnavailable"),
        ("image.digest=latest", "digest"),
        ("operator.extraArgs={workers}", "extraArgs"),
        ("networkPolicy.egressPorts={0}", "egressPorts"),
        ("networkPolicy.clients={everybody}", "clients"),
        ("runs.serviceAccount.name=A", "name"),
        ("test.timeout=0", "timeout"),
        ("nosuch=1", "nosuch"),
        ("retention.archiveAfter=a week", "archiveAfter"),
        ("retention.deleteAfter=-1h", "deleteAfter"),
        ("retention.keepSucceeded=-1", "keepSucceeded"),
        ("retention.keepFailed=some", "keepFailed"),
        ("retention.keepForever=true", "keepForever"),
        ("metrics.podMonitor.interval=often", "interval"),
        ("metrics.dashboard.enabled=perhaps", "enabled"),
        ("metrics.alerts.enabled=true", "alerts"),
        ("metrics.serviceMonitor.labels.release=1", "release"),
    ],
)
def test_invalid_values_are_refused(helm: Helm, option: str, field: str):
    with pytest.raises(subprocess.CalledProcessError) as refused:
        helm.rendered("--set", option)
    assert field in refused.value.stderr


SERVE = "runwright-serve"
MONITORS = ("ServiceMonitor", "PodMonitor")
ADDED = {"ServiceMonitor": "serviceMonitor", "PodMonitor": "podMonitor", "PrometheusRule": "prometheusRule"}
"""Kind of the Prometheus operator's, and the value that asks for it."""


def test_prometheus_operator_kinds_are_off_by_default(helm: Helm):
    """A cluster need not serve them."""
    objects = helm.rendered()
    assert ("Service", SYSTEM, "runwright-operator") in objects
    assert not [key for key in objects if key[0] in (*ADDED, "ConfigMap")]
    without = helm.rendered("--set", "metrics.service.enabled=false")
    assert set(without) == set(objects) - {("Service", SYSTEM, "runwright-operator")}


@pytest.mark.parametrize("kind", ADDED)
def test_chart_renders_the_monitoring_of_deploy(helm: Helm, kind: str):
    value = f"metrics.{ADDED[kind]}"
    options = ("--set", f"{value}.enabled=true", "--set", f"{value}.labels.release=mine")
    made = helm.rendered(*options)[kind, SYSTEM, "runwright-operator"]
    expected = by_name((MONITORING / f"{kind.lower()}.yaml").read_text())[kind, SYSTEM, "runwright-operator"]
    assert made["apiVersion"] == expected["apiVersion"]
    assert made["spec"] == (of_one_release(expected["spec"]) if kind in MONITORS else expected["spec"])
    assert made["metadata"]["labels"]["release"] == "mine"
    if kind in MONITORS:
        made = helm.rendered(*options, "--set", f"{value}.interval=15s")[kind, SYSTEM, "runwright-operator"]
        (endpoint,) = made["spec"].get("endpoints") or made["spec"]["podMetricsEndpoints"]
        assert endpoint["interval"] == "15s"


def test_a_monitor_selects_existing_services(helm: Helm):
    """By the labels and port names of the Service and the pod, of a release of any name."""
    for kind in MONITORS:
        text = helm(
            "template",
            "mine",
            str(CHART),
            "--no-hooks",
            "--kube-version",
            "1.34.0",
            "--set",
            f"metrics.{ADDED[kind]}.enabled=true",
        )
        objects = {key[0]: one for key, one in by_name(text).items()}
        pod = objects["Deployment"]["spec"]["template"]
        ports = {port["name"] for port in pod["spec"]["containers"][0]["ports"]}
        assert objects["Service"]["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
        assert objects["Service"]["spec"]["ports"][0]["targetPort"] in ports
        monitor = objects[kind]["spec"]
        selected = objects["Service"] if kind == "ServiceMonitor" else pod
        assert monitor["selector"]["matchLabels"].items() <= selected["metadata"]["labels"].items()
        assert selected["metadata"]["labels"][monitor["jobLabel"]] == "runwright"
        if kind == "ServiceMonitor":
            assert monitor["endpoints"][0]["port"] == objects["Service"]["spec"]["ports"][0]["name"]
        else:
            assert monitor["podMetricsEndpoints"][0]["port"] in ports


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("metrics.serviceMonitor.enabled=true", "metrics.podMonitor.enabled=true"), "enable one"),
        (("metrics.serviceMonitor.enabled=true", "metrics.service.enabled=false"), "needs metrics.service.enabled"),
    ],
)
def test_impossible_monitor_values_are_refused(helm: Helm, options: tuple[str, ...], said: str):
    with pytest.raises(subprocess.CalledProcessError) as refused:
        helm.rendered(*(part for option in options for part in ("--set", option)))
    assert said in refused.value.stderr


def test_dashboard_is_in_a_labelled_config_map(helm: Helm, kubectl: Kubectl, tmp_path: Path):
    """By the chart and by the kustomize component alike, in a ConfigMap with the label that its sidecar looks for."""
    key = ("ConfigMap", SYSTEM, "runwright-dashboard")
    deploy = os.path.relpath(REPOSITORY / "deploy", tmp_path)
    overlay = {"resources": [f"{deploy}/base"], "components": [f"{deploy}/monitoring"]}
    (tmp_path / "kustomization.yaml").write_text(json.dumps(overlay))
    objects = by_name(kubectl("kustomize", str(tmp_path)))
    base = by_name(kubectl("kustomize", str(REPOSITORY / "deploy" / "base")))
    assert {kind for kind, _, _ in set(objects) - set(base)} == {"ConfigMap", "ServiceMonitor", "PrometheusRule"}
    assert objects[key]["data"]["runwright.json"] == (MONITORING / "dashboard.json").read_text()
    assert objects[key]["metadata"]["labels"]["grafana_dashboard"] == "1"
    made = helm.rendered("--set", "metrics.dashboard.enabled=true")[key]
    assert json.loads(made["data"]["runwright.json"]) == json.loads((MONITORING / "dashboard.json").read_text())
    assert made["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_operator_for_single_namespaces_has_no_cluster_wide_right(helm: Helm):
    objects = helm.rendered("--set", "watchNamespaces={one,two}", "--set", "rbac.aggregateToDefaultRoles=false")
    assert not [key for key in objects if key[0].startswith("ClusterRole")]
    roles = [one for (kind, _, _), one in objects.items() if kind == "Role"]
    assert [role["metadata"]["namespace"] for role in roles] == [SYSTEM, "one", "two"]
    assert roles[0]["metadata"]["name"] == "runwright-operator-lease"
    assert not any("clusterworkflowtemplates" in rule["resources"] for role in roles for rule in role["rules"])
    assert arguments(objects)[-2:] == ["--namespace=one", "--namespace=two"]


def arguments(objects: dict[tuple[str, str, str], Object]) -> list[str]:
    """What the operator of a release is started with."""
    deployment = objects["Deployment", SYSTEM, "runwright-operator"]
    return deployment["spec"]["template"]["spec"]["containers"][0]["args"]


def test_right_to_read_secrets_is_off_by_default(helm: Helm, kubectl: Kubectl, tmp_path: Path):
    """By nobody, or by the chart's value and the kustomize component alike: to get them by name, and no more."""
    secrets = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}

    def asked(objects: dict[tuple[str, str, str], Object], kind: str = "ClusterRole") -> list[Object]:
        rules = [rule for key, one in objects.items() if key[0] == kind for rule in one.get("rules", ())]
        return [rule for rule in rules if "secrets" in rule["resources"]]

    base = REPOSITORY / "deploy" / "base"
    assert asked(helm.rendered()) == asked(by_name(kubectl("kustomize", str(base)))) == []
    on = ("--set", "artifacts.readSecrets=true")
    assert asked(helm.rendered(*on)) == [secrets]
    assert asked(helm.rendered(*on, "--set", "watchNamespaces={one,two}"), "Role") == [secrets, secrets]
    component = os.path.relpath(REPOSITORY / "deploy" / "read-secrets", tmp_path)
    document = {"resources": [os.path.relpath(base, tmp_path)], "components": [component]}
    (tmp_path / "kustomization.yaml").write_text(json.dumps(document))
    objects = by_name(kubectl("kustomize", str(tmp_path)))
    assert asked(objects) == [secrets]
    (account,) = (key for key in objects if key[0] == "ServiceAccount")
    (subject,) = objects["ClusterRoleBinding", "", "runwright-read-secrets"]["subjects"]
    assert (subject["namespace"], subject["name"]) == account[1:]


def test_retention_values_become_options(helm: Helm):
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


def test_artifact_bucket_values_become_options(helm: Helm):
    variable = {"name": "AWS_ACCESS_KEY_ID", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "id"}}}
    values: dict[str, Any] = {"buckets": ["minio.argo:9000/artifacts", "storage.googleapis.com/b"], "env": [variable]}
    values |= {"endpoints": ["minio.storage:9000", "ceph.storage/shared"], "argoNamespace": "workflows"}
    without, with_all = helm.rendered(), helm.rendered("--set-json", f"artifacts={json.dumps(values)}")
    added = ["--artifact-bucket=minio.argo:9000/artifacts", "--artifact-bucket=storage.googleapis.com/b"]
    added += ["--artifact-endpoint=minio.storage:9000", "--artifact-endpoint=ceph.storage/shared"]
    added += ["--argo-namespace=workflows"]
    assert arguments(with_all) == [*arguments(without), *added]
    (container,) = with_all["Deployment", SYSTEM, "runwright-operator"]["spec"]["template"]["spec"]["containers"]
    assert [one["name"] for one in container["env"]] == ["POD_NAMESPACE", "AWS_ACCESS_KEY_ID"]
    assert container["env"][1] == variable
    for bucket in ("artifacts", "https://minio/artifacts", "minio/"):
        with pytest.raises(subprocess.CalledProcessError):
            helm.rendered("--set-json", f"artifacts.buckets={json.dumps([bucket])}")
    for endpoint in ("https://minio", "minio/", "user@minio", "minio minio"):
        with pytest.raises(subprocess.CalledProcessError):
            helm.rendered("--set-json", f"artifacts.endpoints={json.dumps([endpoint])}")


def test_run_metric_values_become_options(helm: Helm):
    without = arguments(helm.rendered())
    assert not [one for one in without if "run-metrics" in one]
    values = {"limit": 50, "labels": ["pipeline", "label:example.org/team"]}
    given = arguments(helm.rendered("--set-json", f"metrics.ofRuns={json.dumps(values)}"))
    added = ["--run-metrics-limit=50", "--run-metrics-label=pipeline", "--run-metrics-label=label:example.org/team"]
    assert sorted(given) == sorted([*without, *added])
    with pytest.raises(subprocess.CalledProcessError):
        helm.rendered("--set-json", 'metrics.ofRuns.labels=["pod"]')


def test_overlay_for_one_namespace_has_the_rights_of_the_chart(helm: Helm, kubectl: Kubectl):
    overlay = by_name(kubectl("kustomize", str(REPOSITORY / "deploy" / "overlays" / "namespaced")))
    chart = helm.rendered("--set", "watchNamespaces={runwright}")
    key = ("Role", "runwright", "runwright-operator")
    assert overlay[key]["rules"] == chart[key]["rules"]
    everywhere = helm.rendered()["ClusterRole", "", "runwright-operator"]["rules"]
    assert not [rule for rule in overlay[key]["rules"] if "clusterworkflowtemplates" in rule["resources"]]
    assert len(everywhere) == len(overlay[key]["rules"]) + 2, "kinds and namespaces are looked at in a cluster only"
