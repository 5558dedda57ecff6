"""Runs that a GitOps tool applies again and again: nothing of the tool travels on, nothing fights it, its view is right.

No Argo CD is installed here. It is stood in for by what it does: `kubectl apply`, client-side and server-side, and its
Lua scripts, from a ConfigMap as installed, whose output is sent as a merge patch (util/lua and server/application of 3.6).
"""

from __future__ import annotations

import base64
import gzip
import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from runwright.core.status.patch import merge_patch
from tests.e2e.cluster import Kubectl, Object, condition, finished, stalled
from tests.e2e.conftest import REPOSITORY, Apply, WaitRun
from tests.e2e.manifests import instant, of_spec, one_step, pipeline_run, shell, suspended, workflow
from tests.unit.deploy.argocd.lua_vm import act, discover, health

HOW: dict[str, tuple[str, ...]] = {
    "client-side": (),
    "server-side": ("--server-side", "--force-conflicts", "--field-manager=argocd-controller"),
}
"""How Argo CD applies, without and with its sync option ServerSideApply=true."""

LABELS = {
    "app.kubernetes.io/instance": "training",
    "app.kubernetes.io/managed-by": "Helm",
    "helm.toolkit.fluxcd.io/name": "training",
    "kustomize.toolkit.fluxcd.io/name": "training",
}
ANNOTATIONS = {
    "argocd.argoproj.io/installation-id": "training",
    "argocd.argoproj.io/sync-wave": "1",
    "argocd.argoproj.io/tracking-id": "training:runwright.dev/PipelineRun:ml/run",
    "meta.helm.sh/release-name": "training",
}
SHORT = {"activeDeadlineSeconds": 1}
"""Of a suspended Workflow: it fails after a second, without a pod."""


# ------------------------------------------------------------------------------------------- what Argo CD does to a run
@dataclass(frozen=True)
class ArgoCD:
    """The part of Argo CD that runs Lua, configured by the ConfigMap argocd-cm of the test's namespace."""

    kubectl: Kubectl
    namespace: str
    scripts: dict[str, str]

    def health(self, run: Object) -> str:
        return health(run, self.scripts["health"])["status"]

    def act(self, name: str, action: str) -> None:
        """Do what a click on the action does. Fails where the action is not offered."""
        live = self.kubectl.get(self.namespace, "prun", name)
        offered = discover(live, self.scripts["discovery"])
        assert not offered[action]["disabled"], f"{action} is disabled: {json.dumps(live)}"
        patch = merge_patch(live, act(live, self.scripts[action]))
        self.patch(name, patch)

    def patch(self, name: str, patch: dict[str, Any]) -> None:
        where = ("-n", self.namespace, "prun", name, "--type=merge", "--field-manager=argocd-server")
        self.kubectl("patch", *where, "-p", json.dumps(patch))


@pytest.fixture
def argo_cd(kubectl: Kubectl, namespace: str) -> ArgoCD:
    """Argo CD with deploy/argocd installed as docs/gitops.md says."""
    kubectl("create", "configmap", "argocd-cm", "-n", namespace, "--from-literal=url=kept")
    where = ("-n", namespace, "configmap", "argocd-cm", "--type=merge")
    kubectl("patch", *where, f"--patch-file={REPOSITORY / 'deploy' / 'argocd' / 'argocd-cm.yaml'}")
    data = kubectl.get(namespace, "configmap", "argocd-cm")["data"]
    assert data["url"] == "kept"
    actions = yaml.safe_load(data["resource.customizations.actions.runwright.dev_PipelineRun"])
    scripts = {one["name"]: one["action.lua"] for one in actions["definitions"]}
    health = data["resource.customizations.health.runwright.dev_PipelineRun"]
    return ArgoCD(kubectl, namespace, {**scripts, "health": health, "discovery": actions["discovery.lua"]})


# ------------------------------------------------------------------------------------------------- the states of a run
def is_archived(run: Object) -> bool:
    return run["status"].get("storageState") == "Archived" and condition(run, "Archived").get("status") == "True"


def is_back(run: Object) -> bool:
    return condition(run, "Archived").get("status") == "False"


def is_retried(run: Object) -> bool:
    return finished(run) and run["status"].get("retries") == 1


def node_runs(kind: str) -> Callable[[Object], bool]:
    def runs(run: Object) -> bool:
        nodes = (run.get("status") or {}).get("nodes") or []
        return any(node["type"] == kind and node["phase"] == "Running" for node in nodes)

    return runs


@dataclass(frozen=True)
class State:
    """A state that a run stays in, how it comes to it from its manifest, and what Argo CD is to show."""

    source: Object
    reached: tuple[tuple[str | None, Callable[[Object], bool]], ...]
    """Actions, one after the other, each with what is waited for after it."""
    health: str


STATES = {
    "stalled": State({"templateRef": {"name": "absent"}}, ((None, lambda run: bool(stalled(run))),), "Degraded"),
    "running": State({"spec": one_step("sleep 600")}, ((None, node_runs("Pod")),), "Progressing"),
    "suspended": State({"spec": suspended()}, ((None, node_runs("Suspend")),), "Suspended"),
    "succeeded": State({"spec": instant()}, ((None, finished),), "Healthy"),
    "failed": State({"spec": suspended(**SHORT)}, ((None, finished),), "Degraded"),
    "terminated": State({"spec": suspended()}, ((None, node_runs("Suspend")), ("terminate", finished)), "Degraded"),
    "retried": State({"spec": suspended(**SHORT)}, ((None, finished), ("retry", is_retried)), "Degraded"),
    "archived": State({"spec": instant()}, ((None, finished), ("archive", is_archived)), "Healthy"),
    "unarchived": State(
        {"spec": suspended(**SHORT)}, ((None, finished), ("archive", is_archived), ("unarchive", is_back)), "Degraded"
    ),
}


@pytest.mark.parametrize("state", STATES.values(), ids=STATES.keys())
def test_applying_a_manifest_again_changes_nothing(
    kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun, argo_cd: ArgoCD, state: State
):
    """Whatever became of the run, and whatever was done to it: neither is a difference to what was applied."""
    manifests = {how: of_spec({"workflow": state.source}, how, annotations=ANNOTATIONS) for how in HOW}
    for how, options in HOW.items():
        apply(manifests[how], *options)
    for action, until in state.reached:
        for how in HOW:
            if action:
                argo_cd.act(how, action)
        for how in HOW:
            wait_run(how, until)
    for how, options in HOW.items():
        before = kubectl.get(namespace, "prun", how)
        assert argo_cd.health(before) == state.health
        again = json.loads(apply(manifests[how], *options, "-o", "json"))
        assert again["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"], how
        assert "status" not in manifests[how]
        kubectl("diff", "-n", namespace, *options, "-f", "-", input=json.dumps(manifests[how]))
        assert kubectl.get(namespace, "prun", how) == before


def test_the_operator_owns_the_status_and_its_own_labels(
    kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun, argo_cd: ArgoCD
):
    """So a tool that compares what it owns never sees what the operator wrote."""
    apply(pipeline_run({"spec": suspended(**SHORT)}), *HOW["server-side"])
    wait_run("run", "Failed")
    argo_cd.act("run", "retry")
    wait_run("run", is_retried)
    argo_cd.act("run", "archive")
    wait_run("run", is_archived)
    found = json.loads(kubectl("get", "-n", namespace, "prun", "run", "-o", "json", "--show-managed-fields"))
    owned = {
        (one["manager"], one.get("subresource", "")): one["fieldsV1"] for one in found["metadata"]["managedFields"]
    }
    assert set(owned.pop(("runwright", "status"))) == {"f:status"}
    applied = owned.pop(("argocd-controller", ""))
    assert set(applied) == {"f:spec"} and set(applied["f:spec"]) == {"f:workflow"}
    clicked = owned.pop(("argocd-server", ""))
    assert set(clicked) <= {"f:metadata", "f:spec"} and set(clicked["f:spec"]) == {"f:retries"}
    labels = owned.pop(("runwright", ""), {"f:metadata": {"f:labels": {}}})
    assert set(labels) == {"f:metadata"} and set(labels["f:metadata"]) == {"f:labels"}
    assert all(key == "." or key.startswith("f:runwright.dev/") for key in labels["f:metadata"]["f:labels"])
    assert not owned, "nobody else has written"


# ------------------------------------------------------------------------------------------------------------- actions
def test_argo_cd_actions_stop_resume_terminate_retry_and_archive_a_run(
    kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun, argo_cd: ArgoCD
):
    """A run is stopped, goes on, is terminated, is retried to its end, archived and brought back, by nothing but actions."""
    wait = {"name": "wait", "suspend": {}}
    steps = [[{"name": "once", "template": "once"}], [{"name": "wait", "template": "wait"}]]
    spec = {
        "entrypoint": "main",
        "onExit": "clean",
        "templates": [{"name": "main", "steps": steps}, shell("true", "once"), wait, {**wait, "name": "clean"}],
    }
    apply(pipeline_run({"spec": spec}), *HOW["server-side"])
    wait_run("run", node_runs("Suspend"))
    argo_cd.act("run", "stop")
    run = wait_run("run", lambda found: any(node["name"] == "run.onExit" for node in found["status"].get("nodes", [])))
    assert condition(run, "Succeeded")["reason"] == "Terminating"
    argo_cd.act("run", "terminate")
    run = wait_run("run", finished)
    assert condition(run, "Succeeded")["reason"] == "Terminated"
    once = next(node for node in run["status"]["nodes"] if node["name"] == "once")

    argo_cd.act("run", "retry")
    run = wait_run("run", lambda found: found["status"].get("retries") == 1 and node_runs("Suspend")(found))
    assert "shutdown" not in run["spec"]
    assert argo_cd.health(run) == "Suspended"
    assert once in run["status"]["nodes"], "it succeeded before, and does not run again"
    argo_cd.act("run", "terminate")
    wait_run("run", finished)

    nodes = kubectl.get(namespace, "workflow", "run")["status"]["nodes"]
    argo_cd.act("run", "archive")
    wait_run("run", is_archived)
    kubectl.wait_gone(namespace, "workflow", "run")
    argo_cd.act("run", "unarchive")
    wait_run("run", is_back)
    assert kubectl.get(namespace, "workflow", "run")["status"]["nodes"] == nodes


def test_a_disabled_argo_cd_action_is_refused(
    kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun, argo_cd: ArgoCD
):
    """Argo CD's API carries an action out although its page shows it as disabled."""
    apply(pipeline_run({"spec": instant()}))
    wait_run("run", "Succeeded")
    run = kubectl.get(namespace, "prun", "run")
    offered = discover(run, argo_cd.scripts["discovery"])
    for action in ("stop", "terminate", "retry"):
        assert offered[action]["disabled"]
        with pytest.raises(subprocess.CalledProcessError) as refused:
            argo_cd.patch("run", merge_patch(run, act(run, argo_cd.scripts[action])))
        assert "Forbidden" in refused.value.stderr
    assert kubectl.get(namespace, "prun", "run") == run


NOT_FOR_LUA: dict[str, Object] = {
    "a null": suspended(volumes=None),
    "an empty map in a list": {
        "entrypoint": "main",
        "templates": [
            {"name": "main", "steps": [[{"name": "a", "template": "wait", "withItems": [{}]}]]},
            {"name": "wait", "suspend": {}},
        ],
    },
}


@pytest.mark.parametrize("spec", NOT_FOR_LUA.values(), ids=NOT_FOR_LUA.keys())
def test_an_action_on_a_run_that_lua_cannot_represent_fails_and_loses_nothing(
    kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun, argo_cd: ArgoCD, spec: Object
):
    """As docs/gitops.md says: an action of Argo CD on such a run fails, and the run goes on."""
    apply(pipeline_run({"spec": spec}), *HOW["server-side"])  # client-side, kubectl leaves a null out
    wait_run("run", node_runs("Suspend"))
    with pytest.raises(subprocess.CalledProcessError) as refused:
        argo_cd.act("run", "stop")
    assert "spec.workflow: Forbidden: cannot change" in refused.value.stderr
    assert kubectl.get(namespace, "prun", "run")["spec"]["workflow"]["spec"] == spec


# ----------------------------------------------------------------------------------------------- what does not travel on
def marks(found: Object) -> set[str]:
    """Which of the labels and annotations of the tools an object has, and whatever else names their application."""
    metadata = found["metadata"]
    both = {**metadata.get("labels", {}), **metadata.get("annotations", {})}
    return {key for key, value in both.items() if key in LABELS or key in ANNOTATIONS or "training" in value}


@pytest.mark.parametrize("source", ["spec", "manifest"])
def test_tracking_metadata_is_not_copied_to_the_workflow(
    kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun, argo_cd: ArgoCD, source: str
):
    """Argo CD would prune a Workflow that carries its tracking (tektoncd/pipeline#3202)."""
    spec = one_step("true")
    kept = {key: LABELS[key] for key in ("app.kubernetes.io/instance",)}
    tracked = {key: value for key, value in ANNOTATIONS.items() if key.startswith("argocd.argoproj.io/")}
    manifest = json.dumps(workflow(spec, labels=kept, annotations=tracked))
    given = {"spec": {"spec": spec}, "manifest": {"manifest": manifest}}[source]
    apply(of_spec({"workflow": given}, "run", labels=LABELS, annotations=ANNOTATIONS))
    wait_run("run", "Succeeded")
    pods = kubectl.list(namespace, "pods", "-l", "workflows.argoproj.io/workflow=run")
    assert pods
    for found in [kubectl.get(namespace, "workflow", "run"), *pods]:
        assert marks(found) == set(), found["kind"]
    argo_cd.act("run", "archive")
    wait_run("run", is_archived)
    snapshot = kubectl.get(namespace, "workflowsnapshot", "run")
    assert marks(snapshot) == set()
    assert marks(json.loads(gzip.decompress(base64.b64decode(snapshot["data"])))) == set()


# ----------------------------------------------------------------------------------------------------------- retention
def test_a_tracked_run_is_archived_instead_of_deleted_by_default_retention(
    kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun, argo_cd: ArgoCD
):
    """Deleted, it would be OutOfSync, and created and run again (argo-cd#13851). What its own spec says counts always."""
    policy = {"apiVersion": "runwright.dev/v1alpha1", "kind": "RetentionPolicy", "metadata": {"name": "default"}}
    apply({**policy, "spec": {"deleteAfter": "1s"}})
    tracked = {"argocd.argoproj.io/tracking-id": f"training:runwright.dev/PipelineRun:{namespace}/tracked"}
    manifest = of_spec({"workflow": {"spec": instant()}}, "tracked", annotations=tracked)
    apply(manifest)
    apply(of_spec({"workflow": {"spec": instant()}, "retention": {"deleteAfter": "1s"}}, "own", annotations=tracked))
    apply(of_spec({"workflow": {"spec": instant()}}, "plain"))
    run = wait_run("tracked", is_archived)
    kubectl.wait_gone(namespace, "prun", "plain")
    kubectl.wait_gone(namespace, "prun", "own")
    assert argo_cd.health(run) == "Healthy"
    assert "nodes" not in run["status"]
    kubectl.wait_gone(namespace, "workflow", "tracked")
    again = json.loads(apply(manifest, "-o", "json"))
    assert again["metadata"]["uid"] == run["metadata"]["uid"]
    assert (
        again["metadata"]["resourceVersion"] == kubectl.get(namespace, "prun", "tracked")["metadata"]["resourceVersion"]
    )
    assert again["status"]["storageState"] == "Archived"


# -------------------------------------------------------------------------------------------------------- installation
def test_component_adds_the_scripts_to_the_argo_cd_config_map(kubectl: Kubectl, tmp_path: Path):
    base = tmp_path / "argocd"
    base.mkdir()
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-cm"}, "data": {"url": "kept"}}
    (base / "argocd-cm.yaml").write_text(json.dumps(config_map))
    component = tmp_path / "runwright"
    component.mkdir()
    for name in ("kustomization.yaml", "argocd-cm.yaml"):
        (component / name).write_text((REPOSITORY / "deploy" / "argocd" / name).read_text())
    (base / "kustomization.yaml").write_text(
        json.dumps({"namespace": "argocd", "resources": ["argocd-cm.yaml"], "components": ["../runwright"]})
    )
    built = yaml.safe_load(kubectl("kustomize", str(base)))
    given = yaml.safe_load((component / "argocd-cm.yaml").read_text())["data"]
    assert built["metadata"]["namespace"] == "argocd"
    assert built["data"] == {"url": "kept", **given}
