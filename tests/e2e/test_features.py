"""Runs that need a right which the admin left out report it, and go on once the operator has the right.

It is a process of this machine with the rights that the chart renders; the deployed one is away meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e.access import account_kubeconfig
from tests.e2e.cluster import Kubectl, Object, condition
from tests.e2e.conftest import Apply, wait_for_run
from tests.e2e.helm import CHART, SYSTEM, Helm
from tests.e2e.manifests import instant, pipeline_run, suspended, workflow
from tests.e2e.processes import Operator
from tests.e2e.storage import set_state

FEATURES = ("retries", "snapshots", "workflowTemplates", "sharedManifests")


def grant(helm: Helm, kubectl: Kubectl, namespace: str, *, features: bool) -> None:
    """The Role of a release for this one namespace, with or without all features."""
    options = [f"--set=features.{feature}={str(features).lower()}" for feature in FEATURES]
    text = helm(
        *("template", "mine", str(CHART), "-n", namespace, "--kube-version=1.34.0"),
        *(f"--set=watchNamespaces={{{namespace}}}", "--set=crds.install=false", *options),
        *("-s", "templates/rbac.yaml", "-s", "templates/serviceaccount.yaml"),
    )
    wanted = [one for one in yaml.safe_load_all(text) if one and not one["kind"].startswith("Cluster")]
    kubectl(
        "apply", "-n", namespace, "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": wanted})
    )


@pytest.fixture
def operator(no_operator: None, helm: Helm, kubectl: Kubectl, namespace: str, tmp_path: Path) -> Iterator[Operator]:
    """One without any of the features. It logs no error, whatever it is refused."""
    grant(helm, kubectl, namespace, features=False)
    account = account_kubeconfig(kubectl, namespace, "mine-operator", tmp_path / "kubeconfig")
    with Operator(account, f"--namespace={namespace}") as process:
        process.start()
        yield process
    assert process.errors() == []


def forbidden(run: Object) -> str:
    """What the run says that the operator may not do; empty where it says nothing."""
    stalled = condition(run, "Stalled") if run.get("status", {}).get("conditions") else None
    return stalled["message"] if stalled and stalled["status"] == "True" and stalled["reason"] == "Forbidden" else ""


@pytest.mark.serial
def test_runs_report_a_missing_right_and_go_on_once_it_is_granted(
    helm: Helm, kubectl: Kubectl, namespace: str, apply: Apply, operator: Operator
):
    apply(
        {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "WorkflowTemplate",
            "metadata": {"name": "there"},
            "spec": instant(),
        }
    )
    manifest = {"data": {"a": yaml.safe_dump(workflow(instant()))}}
    apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "there", "labels": {"runwright.dev/manifest": "true"}},
            **manifest,
        }
    )
    apply(pipeline_run({"templateRef": {"name": "there"}}, "template"))
    apply(pipeline_run({"manifestFrom": {"configMapKeyRef": {"name": "there", "key": "a"}}}, "shared"))
    apply(pipeline_run({"spec": suspended(activeDeadlineSeconds=1)}, "again"))
    apply(pipeline_run({"spec": instant()}, "stored"))
    wait_for_run(kubectl, namespace, "again", "Failed")
    wait_for_run(kubectl, namespace, "stored", "Succeeded")
    kubectl("patch", "-n", namespace, "prun", "again", "--type=merge", "-p", '{"spec": {"retries": 1}}')
    set_state(kubectl, namespace, "stored", "Archived")
    for name, what in (("template", "workflowtemplates"), ("shared", "configmaps"), ("again", "pods")):
        run = wait_for_run(kubectl, namespace, name, lambda run: forbidden(run) != "")
        assert what in forbidden(run), "it names what the role lacks"
    stored = wait_for_run(kubectl, namespace, "stored", lambda run: run["status"].get("storageState") == "Archived")
    assert "workflowsnapshots" in condition(stored, "Archived")["message"]
    assert kubectl.find(namespace, "workflow", "stored") is not None, "what cannot be kept stays"
    grant(helm, kubectl, namespace, features=True)
    for name in ("template", "shared"):
        wait_for_run(kubectl, namespace, name, "Succeeded")
    wait_for_run(kubectl, namespace, "again", lambda run: run["status"].get("retries") == 1)


def test_a_disabled_feature_removes_its_rules(helm: Helm):
    """And no rule of any rendering has a wildcard, or lists Secrets."""
    rules = {
        feature: rules_of(helm.rendered(f"--set=features.{feature}=false")) for feature in ("", *FEATURES) if feature
    }
    everything = rules_of(helm.rendered())
    gone = {feature: everything - left for feature, left in rules.items()}
    assert gone == {
        "retries": {
            *(("", "pods", verb) for verb in ("list", "delete")),
            *(("argoproj.io", "workflowtaskresults", verb) for verb in ("list", "delete")),
            ("argoproj.io", "workflows", "update"),
        },
        "snapshots": {("runwright.dev", "workflowsnapshots", verb) for verb in ("get", "create", "delete")},
        "workflowTemplates": {
            ("argoproj.io", kind, "get") for kind in ("workflowtemplates", "clusterworkflowtemplates")
        },
        "sharedManifests": {("", "configmaps", "get"), ("runwright.dev", "pipelinemanifests", "get")},
    }


def rules_of(objects: dict[tuple[str, str, str], Object]) -> set[tuple[str, str, str]]:
    """Group, resource and verb of all that the operator may."""
    return {
        (group, resource, verb)
        for (kind, _, name), one in objects.items()
        if kind in ("ClusterRole", "Role") and name.startswith("runwright-operator")
        for rule in one["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--set=serve.enabled=true", "--set=artifacts.readSecrets=true"),
        ("--set=serve.enabled=true", "--set=artifacts.readSecrets=true", "--set=watchNamespaces={a}"),
        ("--set=serve.enabled=true", "--set=serve.namespace=a", "--set=runs.namespaces={a}"),
    ],
)
def test_no_rule_has_a_wildcard_or_lists_secrets_or_writes_config_maps(helm: Helm, options: tuple[str, ...]):
    text = helm("template", "runwright", str(CHART), "-n", SYSTEM, "--kube-version=1.34.0", *options)
    roles = [one for one in yaml.safe_load_all(text) if one and one["kind"] in ("ClusterRole", "Role")]
    assert roles
    for role in roles:
        for rule in role["rules"]:
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]], role["metadata"]["name"]
            if "secrets" in rule["resources"]:
                named = rule.get("resourceNames", [])
                assert set(rule["verbs"]) <= ({"get", "patch"} if named else {"get"}), role["metadata"]["name"]
            if "configmaps" in rule["resources"]:
                assert rule["verbs"] == ["get"], role["metadata"]["name"]
            if "pods" in rule["resources"]:
                assert set(rule["verbs"]) <= {"list", "delete"}
