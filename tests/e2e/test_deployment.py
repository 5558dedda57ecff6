"""The operator as `make deploy` leaves it in the cluster: what its pod and its service account may do, and no more."""

from __future__ import annotations

import json
import subprocess
import time

import pytest

from tests.e2e.cluster import Kubectl
from tests.e2e.conftest import OPERATOR_PODS

NAMESPACE = "runwright-system"
DEPLOYMENT = "deployment/runwright-operator"
OPERATOR = f"system:serviceaccount:{NAMESPACE}:runwright-operator"


def in_the_pod(kubectl: Kubectl, script: str) -> str:
    """What a shell in the operator's container prints."""
    return kubectl("exec", "-n", NAMESPACE, DEPLOYMENT, "-c", "operator", "--", "sh", "-c", script)


def can(kubectl: Kubectl, who: str, namespace: str, verb: str, resource: str, *options: str) -> bool:
    """Whether `who` may do it, by the API server's own word."""
    command = kubectl.command("auth", "can-i", verb, resource, "-n", namespace, f"--as={who}", *options)
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    answer = done.stdout.strip()
    assert answer in ("yes", "no"), done.stderr
    return answer == "yes"


def test_operator_process_has_no_privileges(kubectl: Kubectl):
    status = in_the_pod(kubectl, "id -u; id -g; grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/1/status")
    uid, gid, *rest = status.split("\n")
    assert (uid, gid) == ("65532", "65532")
    facts = dict(line.split(":\t") for line in rest if line)
    assert facts == {"CapEff": "0" * 16, "CapBnd": "0" * 16, "NoNewPrivs": "1", "Seccomp": "2"}


def test_root_file_system_is_read_only(kubectl: Kubectl):
    for folder in ("/", "/tmp", "/opt/runwright", "/etc"):
        with pytest.raises(subprocess.CalledProcessError) as refused:
            in_the_pod(kubectl, f"touch {folder}/probe")
        assert "Read-only file system" in refused.value.stderr


def pods_of(kubectl: Kubectl) -> list[str]:
    """The names of the operator's pods that nobody has asked to go."""
    pods = kubectl.list(NAMESPACE, "pods", "-l", OPERATOR_PODS)
    return [pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def leader(kubectl: Kubectl) -> str:
    """The pod that holds the Lease; empty where nobody does."""
    lease = kubectl.get(NAMESPACE, "lease", "runwright-operator")
    return lease["spec"]["holderIdentity"].rpartition("_")[0]


def test_one_pod_leads_and_the_other_stands_by(kubectl: Kubectl):
    health_by_pod: dict[str, dict[str, object]] = {}
    for pod in pods_of(kubectl):
        answer = kubectl("get", "--raw", f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}:8080/proxy/readyz")
        health_by_pod[pod] = json.loads(answer)
    assert len(health_by_pod) == 2
    acting = [pod for pod, health in health_by_pod.items() if health["leader"]]
    assert acting == [leader(kubectl)]
    assert [pod for pod, health in health_by_pod.items() if health["watching"]] == acting
    assert all(isinstance(health["waiting"], int) for health in health_by_pod.values())


@pytest.mark.parametrize(
    ("verb", "resource"),
    [
        ("watch", "pipelineruns.runwright.dev"),
        ("patch", "pipelineruns.runwright.dev"),
        ("delete", "pipelineruns.runwright.dev"),
        ("patch", "pipelineruns.runwright.dev/status"),
        ("watch", "retentionpolicies.runwright.dev"),
        ("get", "workflowsnapshots.runwright.dev"),
        ("create", "workflowsnapshots.runwright.dev"),
        ("delete", "workflowsnapshots.runwright.dev"),
        ("create", "workflows.argoproj.io"),
        ("update", "workflows.argoproj.io"),
        ("delete", "workflows.argoproj.io"),
        ("list", "workflowtaskresults.argoproj.io"),
        ("delete", "workflowtaskresults.argoproj.io"),
        ("list", "pods"),
        ("delete", "pods"),
        ("get", "clusterworkflowtemplates.argoproj.io"),
        ("get", "configmaps"),
        ("get", "pipelinemanifests.runwright.dev"),
        ("create", "events"),
    ],
)
def test_service_account_has_the_documented_rights(kubectl: Kubectl, namespace: str, verb: str, resource: str):
    assert can(kubectl, OPERATOR, namespace, verb, resource)


@pytest.mark.parametrize(
    ("verb", "resource"),
    [
        ("get", "secrets"),
        ("list", "secrets"),
        ("list", "configmaps"),
        ("list", "pipelinemanifests.runwright.dev"),
        ("delete", "pipelinemanifests.runwright.dev"),
        ("create", "pods"),
        ("get", "pods"),
        ("patch", "pods"),
        ("deletecollection", "pods"),
        ("create", "pods/exec"),
        ("get", "pods/log"),
        ("create", "pipelineruns.runwright.dev"),
        ("update", "pipelineruns.runwright.dev"),
        ("deletecollection", "pipelineruns.runwright.dev"),
        ("update", "pipelineruns.runwright.dev/status"),
        ("create", "retentionpolicies.runwright.dev"),
        ("patch", "retentionpolicies.runwright.dev"),
        ("list", "workflowsnapshots.runwright.dev"),
        ("watch", "workflowsnapshots.runwright.dev"),
        ("patch", "workflowsnapshots.runwright.dev"),
        ("deletecollection", "workflows.argoproj.io"),
        ("get", "workflowtaskresults.argoproj.io"),
        ("deletecollection", "workflowtaskresults.argoproj.io"),
        ("create", "serviceaccounts"),
        ("impersonate", "users"),
        ("create", "customresourcedefinitions.apiextensions.k8s.io"),
        ("bind", "clusterroles.rbac.authorization.k8s.io"),
    ],
)
def test_service_account_has_no_other_rights(kubectl: Kubectl, namespace: str, verb: str, resource: str):
    assert not can(kubectl, OPERATOR, namespace, verb, resource)


@pytest.mark.parametrize("resource", ["configmaps", "secrets"])
@pytest.mark.parametrize("verb", ["list", "watch", "create", "update", "patch", "delete", "deletecollection"])
def test_account_of_the_run_service_changes_no_config_map_or_secret(
    kubectl: Kubectl, namespace: str, verb: str, resource: str
):
    account = f"system:serviceaccount:{NAMESPACE}:runwright-serve"
    for where in (namespace, NAMESPACE):
        assert not can(kubectl, account, where, verb, resource)


@pytest.mark.parametrize(
    ("role", "edits_runs", "edits_policies"),
    [("view", False, False), ("edit", True, False), ("admin", True, True)],
)
def test_cluster_roles_view_edit_and_admin_include_runs(
    kubectl: Kubectl, namespace: str, role: str, edits_runs: bool, edits_policies: bool
):
    """Who may view or edit a namespace may view or edit its runs; its admin says how long they are kept.

    Nobody writes what the operator alone does: a run's status, and what is kept of a Workflow.
    """
    kubectl("create", "rolebinding", role, "-n", namespace, f"--clusterrole={role}", f"--serviceaccount={namespace}:me")

    def may(verb: str, plural: str, *options: str) -> bool:
        return can(
            kubectl, f"system:serviceaccount:{namespace}:me", namespace, verb, f"{plural}.runwright.dev", *options
        )

    for plural in ("pipelineruns", "retentionpolicies", "workflowsnapshots"):
        assert may("list", plural)
    for verb in ("create", "patch", "delete"):
        assert may(verb, "pipelineruns") is edits_runs
        assert may(verb, "retentionpolicies") is edits_policies
        assert not may(verb, "workflowsnapshots")
    assert not may("patch", "pipelineruns", "--subresource=status")


@pytest.mark.serial
def test_a_deleted_leader_pod_stops_cleanly_and_the_other_leads(kubectl: Kubectl):
    """SIGTERM ends it, long before the kubelet would kill it after 30 s, and the Deployment brings another one."""
    before = leader(kubectl)
    start = time.monotonic()
    kubectl("delete", "pod", "-n", NAMESPACE, before, "--wait=false")
    kubectl.wait(
        NAMESPACE,
        "lease",
        "runwright-operator",
        lambda found: found["spec"]["holderIdentity"] and not found["spec"]["holderIdentity"].startswith(before),
        timeout=15,
    )
    kubectl.wait_gone(NAMESPACE, "pod", before)
    assert time.monotonic() - start < 15
    kubectl("rollout", "status", "-n", NAMESPACE, DEPLOYMENT, "--timeout=60s", timeout=70)
