"""Releases of the chart in namespaces of their own: what is installed works, and what is upgraded or removed loses no run."""

from __future__ import annotations

import json
import ssl
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.cluster import Kubectl, Object
from tests.e2e.conftest import Apply, wait_for_run
from tests.e2e.control_plane import ControlPlane
from tests.e2e.helm import CHART, SYSTEM, Helm
from tests.e2e.manifests import instant, pipeline_run, suspended
from tests.e2e.processes import forwarded
from tests.e2e.resuming import resume
from tests.e2e.serving import Caller, certificate, token_of
from tests.e2e.storage import archived, set_state

PREVIOUS = Path(__file__).parent / "stored" / "runwright-0.0.9.tgz"
"""The chart as it was before operators competed for a Lease, with the CRDs of that time: packed by `helm package`."""


def options_of(kubectl: Kubectl, namespace: str, **more: Object) -> list[str]:
    """Values for a release of the deployed image, for this namespace and in it, beside the shared one."""
    pod = kubectl.get(SYSTEM, "deployment", "runwright-operator")["spec"]["template"]["spec"]
    repository, _, tag = pod["containers"][0]["image"].rpartition(":")
    values: Object = {
        "watchNamespaces": [namespace],
        "image": {"repository": repository, "tag": tag},
        "crds": {"install": False},
        "rbac": {"aggregateToDefaultRoles": False},
        **more,
    }
    return [f"--set-json={key}={json.dumps(value)}" for key, value in values.items()]


def installed(helm: Helm, kubectl: Kubectl, namespace: str, chart: Path = CHART, **more: Object) -> None:
    """A release called `mine` that is ready."""
    options = options_of(kubectl, namespace, **more)
    helm("install", "mine", str(chart), "-n", namespace, "--wait", "--timeout=120s", *options)


def test_a_release_for_one_namespace_runs_a_pipeline(helm: Helm, kubectl: Kubectl, namespace: str):
    """Installed with a Role alone, the operator becomes ready and watches; uninstalled, nothing of it is left."""
    installed(helm, kubectl, namespace)
    kubectl("wait", "-n", namespace, "deployment/mine-operator", "--for=condition=Available", "--timeout=60s")
    lease = kubectl.wait(namespace, "lease", "mine-operator", lambda found: found["spec"]["holderIdentity"])
    name = lease["spec"]["holderIdentity"].rpartition("_")[0]
    log = kubectl("logs", "-n", namespace, name)
    assert f"looks after PipelineRuns in {namespace} of" in log
    assert '"level": "error"' not in log
    health = json.loads(kubectl("get", "--raw", f"/api/v1/namespaces/{namespace}/pods/{name}:8080/proxy/healthz"))
    assert health["watching"] is True
    helm("uninstall", "mine", "-n", namespace, "--wait", "--timeout=120s")
    assert not kubectl.list(namespace, "deployment,role,rolebinding", "-l", "app.kubernetes.io/instance=mine")


def test_a_release_with_the_run_service_answers_calls(helm: Helm, kubectl: Kubectl, namespace: str, tmp_path: Path):
    """With rights in its one namespace, by TLS; what one replica has begun, the other one goes on with."""
    certificate(tmp_path)
    files = (f"--cert={tmp_path / 'tls.crt'}", f"--key={tmp_path / 'tls.key'}")
    kubectl("create", "secret", "tls", "cert", "-n", namespace, *files)
    installed(helm, kubectl, namespace, serve={"enabled": True, "namespace": namespace, "tls": {"secretName": "cert"}})
    token = token_of(kubectl, namespace, "editor", "edit")
    pods = kubectl.list(namespace, "pods", "-l", "app.kubernetes.io/component=serve")
    with ExitStack() as stack:

        def caller(target: str, port: str) -> Caller:
            where = stack.enter_context(forwarded(kubectl, namespace, target, port))
            trusting = ssl.create_default_context(cafile=str(tmp_path / "tls.crt"))
            return Caller(f"https://127.0.0.1:{where}", token, trusting)

        assert caller("service/mine-serve", "http").good("GET", "/healthz")["multi_user"] is False
        first, second = (caller(f"pod/{pod['metadata']['name']}", "8888") for pod in pods)
        manifest = json.dumps({"kind": "Workflow", "apiVersion": "argoproj.io/v1alpha1", "spec": suspended()})
        made = [
            first.good("POST", "/runs", {"name": name, "pipeline_spec": {"workflow_manifest": manifest}})["run"]["id"]
            for name in ("one", "two")
        ]
        assert [second.good("GET", f"/runs/{id}")["run"]["id"] for id in made] == made
        page = first.good("GET", "/runs", page_size=1, sort_by="name")
        rest = second.good("GET", "/runs", page_size=1, page_token=page["next_page_token"])
        assert [run["id"] for run in page["runs"] + rest["runs"]] == made
        assert rest["next_page_token"] == ""
        second.good("DELETE", f"/runs/{made[0]}")
    for pod in pods:
        log = kubectl("logs", "-n", namespace, pod["metadata"]["name"])
        assert f"serves the runs in {namespace} of" in log
        assert '"level": "error"' not in log
    helm("uninstall", "mine", "-n", namespace, "--wait", "--timeout=120s")
    kinds = "deployment,service,role,rolebinding,serviceaccount,pdb"
    assert not kubectl.list(namespace, kinds, "-l", "app.kubernetes.io/instance=mine")


@pytest.mark.serial
def test_an_upgrade_a_rollback_and_an_uninstall_lose_no_run(
    helm: Helm, kubectl: Kubectl, no_operator: None, namespace: str, apply: Apply
):
    """One run has ended, one is archived, one goes on all the time; `helm test` says whether the release works."""
    installed(helm, kubectl, namespace, PREVIOUS)
    for name in ("ended", "stored"):
        apply(pipeline_run({"spec": instant()}, name))
    apply(pipeline_run({"spec": suspended()}, "runs"))
    for name in ("ended", "stored"):
        wait_for_run(kubectl, namespace, name, "Succeeded")
    set_state(kubectl, namespace, "stored", "Archived")
    wait_for_run(kubectl, namespace, "stored", archived)
    wait_for_run(kubectl, namespace, "runs", "Running")
    before = known(kubectl, namespace)
    options = options_of(kubectl, namespace)
    helm("upgrade", "mine", str(CHART), "-n", namespace, "--wait", "--timeout=120s", *options)
    assert ready_replicas(kubectl, namespace) == 2
    assert "Succeeded" in helm("test", "mine", "-n", namespace, "--timeout=120s")
    assert {name: run for name, run in known(kubectl, namespace).items() if not name.startswith("mine-test-")} == before
    helm("rollback", "mine", "1", "-n", namespace, "--wait", "--timeout=120s")
    assert ready_replicas(kubectl, namespace) == 1
    apply(pipeline_run({"spec": instant()}, "by-the-previous"))
    wait_for_run(kubectl, namespace, "by-the-previous", "Succeeded")
    helm("uninstall", "mine", "-n", namespace, "--wait", "--timeout=120s")
    resume(kubectl, namespace, "runs")
    kubectl.wait(namespace, "workflow", "runs", lambda found: found["status"]["phase"] == "Succeeded")
    installed(helm, kubectl, namespace)
    wait_for_run(kubectl, namespace, "runs", "Succeeded")
    set_state(kubectl, namespace, "stored", "Available")
    wait_for_run(kubectl, namespace, "stored", lambda run: run["status"].get("storageState") == "Available")
    after = known(kubectl, namespace)
    # The Workflow of the one that was brought back is a new one, made from the snapshot.
    assert after.pop("stored")[::2] == before.pop("stored")[::2]
    assert {name: after[name] for name in before} == before
    helm("uninstall", "mine", "-n", namespace, "--wait", "--timeout=120s")


def known(kubectl: Kubectl, namespace: str) -> dict[str, tuple[str, str, str]]:
    """The runs by name: uid, that of the Workflow, and when it began."""
    return {
        run["metadata"]["name"]: (
            run["metadata"]["uid"],
            run["status"]["workflow"]["uid"],
            run["status"].get("startedAt", ""),
        )
        for run in kubectl.list(namespace, "prun")
        if "status" in run
    }


def ready_replicas(kubectl: Kubectl, namespace: str) -> int:
    deployment = kubectl.get(namespace, "deployment", "mine-operator")
    return deployment["status"].get("readyReplicas", 0)


def test_a_release_passes_its_own_test_under_the_restricted_level(helm: Helm, kubectl: Kubectl, namespace: str):
    """Everything that it makes runs in a namespace that enforces the Pod Security level `restricted`."""
    kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    with pytest.raises(subprocess.CalledProcessError, match="violates PodSecurity"):
        kubectl("run", "-n", namespace, "loose", "--image=busybox", "--restart=Never")
    installed(helm, kubectl, namespace, serve={"enabled": True}, networkPolicy={"enabled": True})
    said = helm("test", "mine", "-n", namespace, "--timeout=120s")
    assert "Phase:          Succeeded" in said
    left = kubectl.list(namespace, "pods,configmaps,roles,serviceaccounts", "-l", "app.kubernetes.io/instance=mine")
    assert not [one["metadata"]["name"] for one in left if one["metadata"]["name"].startswith("mine-test")]


def test_helm_test_reports_a_broken_release(helm: Helm, kubectl: Kubectl, namespace: str):
    """A run that fails fails the test: here by an image that its Workflow may not have."""
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}}
    installed(helm, kubectl, namespace, test={"image": "argoproj/argosay:v2", "timeout": 3})
    spec = {"hard": {"count/workflows.argoproj.io": "0"}}
    kubectl("create", "-n", namespace, "-f", "-", input=json.dumps({**quota, "spec": spec}))
    with pytest.raises(Exception, match=r"timed out|failed|DeadlineExceeded"):
        helm("test", "mine", "-n", namespace, "--timeout=15s")


# ------------------------------------------------------------------------------------------------- a cluster of its own
ALL = {
    "serve": {"enabled": True, "anonymousUser": "somebody", "tls": {"secretName": "cert"}},
    "networkPolicy": {
        "enabled": True,
        "scrapers": [{"namespaceSelector": {"matchLabels": {"a": "b"}}}],
        "clients": [{"podSelector": {}}],
        "destinations": [{"ipBlock": {"cidr": "10.0.0.0/8"}}],
    },
    "shard": {"name": "gold", "selector": "tier in (gold,silver)"},
    "artifacts": {
        "readSecrets": True,
        "buckets": ["host/bucket"],
        "endpoints": ["host"],
        "env": [{"name": "A", "value": "b"}],
    },
    "metrics": {"dashboard": {"enabled": True}, "ofRuns": {"limit": 5}},
    "retention": {"archiveAfter": "7d", "keepFailed": 3},
    "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}],
    "tolerations": [{"key": "a", "operator": "Exists"}],
    "nodeSelector": {"disk": "fast"},
    "priorityClassName": "system-cluster-critical",
    "podSecurityContext": {"fsGroup": 65532},
    "image": {"repository": "registry/runwright", "digest": f"sha256:{'0' * 64}", "pullSecrets": [{"name": "mine"}]},
    "operator": {"extraArgs": ["--workers=3"], "extraEnv": [{"name": "B", "value": "c"}]},
    "podDisruptionBudget": {"maxUnavailable": "50%"},
    "policies": {"enabled": True, "serviceAccounts": ["a"], "images": ["b/"], "parameters": {"c": "[a-z]+"}},
    "leaderElection": {"seconds": 30},
    "test": {"image": "busybox", "labels": {"tier": "gold"}},
    "podLabels": {"team": "x"},
    "podAnnotations": {"note": "y"},
}
"""A value other than the default for everything that makes or changes an object."""


@pytest.mark.parametrize(
    "values",
    [
        {},
        ALL,
        {**ALL, "watchNamespaces": ["default", "kube-public"], "runs": {"namespaces": ["default", "kube-public"]}},
        {"replicas": 1, "leaderElection": {"enabled": False}},
        {"rbac": {"create": False, "aggregateToDefaultRoles": False}, "serviceAccount": {"create": False, "name": "x"}},
        {"serve": {"enabled": True, "namespace": "default"}, "metrics": {"service": {"enabled": False}}},
        {"crds": {"keep": False}, "test": {"enabled": False}, "podDisruptionBudget": {"enabled": False}},
    ],
    ids=["default", "all", "namespaces", "alone", "without-rights", "single-user", "little"],
)
def test_api_server_accepts_every_rendered_object(helm: Helm, bare: ControlPlane, values: Object, tmp_path: Path):
    """Strictly: a field that it does not know, or a value that it would refuse, fails."""
    kubectl = bare.kubectl
    if not kubectl.find("", "namespace", SYSTEM):
        kubectl("create", "namespace", SYSTEM)
    file = tmp_path / "values.yaml"
    file.write_text(json.dumps(values))
    rendered = helm("template", "mine", str(CHART), "-n", SYSTEM, "--kube-version=1.34.0", "-f", str(file))
    kubectl("create", "--dry-run=server", "--validate=strict", "-f", "-", input=rendered)


def test_crds_of_a_release_are_installed_kept_and_removed_as_configured(helm: Helm, bare: ControlPlane):
    """With the whole cluster's release: CRDs are brought up to date, and neither an upgrade nor an uninstall takes a run."""
    kubectl, here = bare.kubectl, Helm(helm.program, bare.kubeconfig)
    here("install", "runwright", str(PREVIOUS), "-n", SYSTEM, "--create-namespace")
    crds = ("crd", "-l", "app.kubernetes.io/part-of=runwright")
    kubectl.wait_established(*crds)
    run = pipeline_run({"spec": instant()}, "kept")
    kubectl("create", "-n", "default", "-f", "-", input=json.dumps(run))
    status = {"status": {"phase": "Succeeded", "finishedAt": "2026-11-26T12:00:00Z"}}
    kubectl("patch", "-n", "default", "prun", "kept", "--subresource=status", "--type=merge", "-p", json.dumps(status))

    def kept() -> Object:
        found = kubectl.get("default", "prun", "kept")
        found["metadata"].pop("managedFields", None)
        return found

    before, old = kept(), labels_of_crds(kubectl)
    assert set(old.values()) == {"runwright-0.0.9"} and len(old) == 4
    here("upgrade", "runwright", str(CHART), "-n", SYSTEM)
    assert set(labels_of_crds(kubectl).values()) == {"runwright-0.1.0"}
    assert kept() == before
    here("rollback", "runwright", "1", "-n", SYSTEM)
    # A rollback keeps a CRD, and its objects, that the older release does not have.
    rolled_back = labels_of_crds(kubectl)
    assert rolled_back == {"pipelinemanifests.runwright.dev": "runwright-0.1.0"} | old
    assert kept() == before
    here("uninstall", "runwright", "-n", SYSTEM)
    assert set(labels_of_crds(kubectl)) == set(rolled_back)
    assert kept() == before
    here("install", "runwright", str(CHART), "-n", SYSTEM)
    assert kept() == before
    here("upgrade", "runwright", str(CHART), "-n", SYSTEM, "--set=crds.keep=false")
    here("uninstall", "runwright", "-n", SYSTEM)
    left = json.loads(kubectl("get", *crds, "-o", "json"))["items"]
    assert not [one for one in left if "deletionTimestamp" not in one["metadata"]]


def labels_of_crds(kubectl: Kubectl) -> dict[str, str]:
    """Our CRDs, and which chart they are of."""
    found = json.loads(kubectl("get", "crd", "-l", "app.kubernetes.io/part-of=runwright", "-o", "json"))["items"]
    return {one["metadata"]["name"]: one["metadata"]["labels"]["helm.sh/chart"] for one in found}
