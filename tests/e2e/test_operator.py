"""The operator's process: what it logs, what it answers to its probe, and that it can look after one namespace only."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import yaml

from tests.e2e.access import account_kubeconfig
from tests.e2e.cluster import Kubectl, Object, condition, stalled
from tests.e2e.conftest import (
    OPERATOR_LOGS,
    REPOSITORY,
    Apply,
    WaitRun,
    fresh_namespace,
    wait_for_run,
)
from tests.e2e.manifests import instant, pipeline_run
from tests.e2e.processes import Operator
from tests.ports import free_port

ROLE = REPOSITORY / "deploy" / "overlays" / "namespaced" / "role.yaml"
SYSTEM = "runwright-system"


def test_operator_logs_are_json_and_name_the_run(kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun):
    """Every line is a JSON object, and those about a run name it."""
    apply(pipeline_run({"spec": instant()}))
    wait_run("run", "Succeeded")
    lines = [json.loads(line) for line in kubectl("logs", *OPERATOR_LOGS, "--since=5m").splitlines()]
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    about = [line for line in lines if line.get("namespace") == namespace]
    assert {line["run"] for line in about} == {"run"}
    assert f"created Workflow {namespace}/run" in [line["message"] for line in about]
    assert "phase Succeeded" in [line["message"] for line in about]


# ------------------------------------------------------------------------------------------------------ one namespace
def role_in(namespace: str) -> Object:
    """What the namespaced overlay gives its operator, for one of another name."""
    role: Object = yaml.safe_load(ROLE.read_text())
    role["metadata"] = {"name": "one-namespace", "namespace": namespace}
    binding = {
        "apiVersion": role["apiVersion"],
        "kind": "RoleBinding",
        "metadata": role["metadata"],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "one-namespace"},
        "subjects": [{"kind": "ServiceAccount", "name": "one-namespace", "namespace": namespace}],
    }
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": role["metadata"]}
    return {"apiVersion": "v1", "kind": "List", "items": [account, role, binding]}


@pytest.mark.serial
def test_operator_for_one_namespace_ignores_others(kubectl: Kubectl, no_operator: None, namespace: str, tmp_path: Path):
    """With a Role's rights, from a shell: it looks after its own namespace, and what is in others is not its business."""
    with fresh_namespace(kubectl) as other:
        kubectl("create", "-f", "-", input=json.dumps(role_in(namespace)))
        account = account_kubeconfig(kubectl, namespace, "one-namespace", tmp_path / "kubeconfig")
        port = free_port()
        with Operator(account, "--namespace", namespace, "--probe-address", f"127.0.0.1:{port}") as process:
            process.start()
            for where in (other, namespace):
                kubectl("create", "-n", where, "-f", "-", input=json.dumps(pipeline_run({"spec": instant()})))
            wait_for_run(kubectl, namespace, "run", "Succeeded")
            # A template in the cluster's scope is out of its reach.
            reference = {"templateRef": {"name": "absent", "clusterScope": True}}
            kubectl("create", "-n", namespace, "-f", "-", input=json.dumps(pipeline_run(reference, "out-of-reach")))
            run = wait_for_run(kubectl, namespace, "out-of-reach", lambda found: stalled(found) == "Forbidden")
            assert 'may not read ClusterWorkflowTemplate "absent"' in condition(run, "Stalled")["message"]
            kubectl("create", "-n", namespace, "-f", "-", input=json.dumps(pipeline_run({"spec": instant()}, "later")))
            wait_for_run(kubectl, namespace, "later", "Succeeded")
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as reply:
                assert json.load(reply)["watching"] is True
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as reply:
                assert reply.status == 200
            with pytest.raises(urllib.error.HTTPError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/else", timeout=5)
            assert "status" not in kubectl.get(other, "prun", "run")
            assert kubectl.list(other, "workflow") == []
            assert process.stop() == 0
        assert process.errors() == []
        assert {line["namespace"] for line in process.log() if "namespace" in line} == {namespace}


@pytest.mark.serial
def test_operator_for_two_namespaces_serves_both(kubectl: Kubectl, no_operator: None, namespace: str):
    with (
        fresh_namespace(kubectl) as other,
        fresh_namespace(kubectl) as third,
        Operator(kubectl.kubeconfig, "--namespace", namespace, "--namespace", other) as process,
    ):
        process.start()
        for where in (third, namespace, other):
            kubectl("create", "-n", where, "-f", "-", input=json.dumps(pipeline_run({"spec": instant()})))
        for where in (namespace, other):
            wait_for_run(kubectl, where, "run", "Succeeded")
        assert "status" not in kubectl.get(third, "prun", "run")
