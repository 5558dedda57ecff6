"""The limits on what runs may be: the API server refuses what an admin has not allowed, and names the limit."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.cluster import Kubectl, Object, WaitError, condition
from tests.e2e.conftest import REPOSITORY, Apply, WaitRun, fresh_namespace
from tests.e2e.control_plane import ControlPlane
from tests.e2e.helm import Helm
from tests.e2e.manifests import one_step, pipeline_run, suspended, workflow

POLICIES = REPOSITORY / "deploy" / "policies"
SUFFIX = "-of-"


WORKFLOW_POD: Object = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "probe", "labels": {"workflows.argoproj.io/workflow": "probe"}},
    "spec": {"containers": [{"name": "main", "image": "not-allowed"}]},
}


class Limits:
    """The shipped policies with limits, bound to one namespace alone."""

    def __init__(self, kubectl: Kubectl, namespace: str) -> None:
        self._kubectl = kubectl
        self._namespace = namespace

    def put(self, accounts: tuple[str, ...] = (), images: tuple[str, ...] = (), **parameters: str) -> None:
        """Have these limits hold from now on; returns once they do."""
        # What no run may be, by which one sees that the limits have come to hold.
        marker = f"at-{time.time_ns()}"
        documents = limited(accounts, images, parameters | {"probe": marker})
        for one in documents:
            one["metadata"]["name"] += SUFFIX + self._namespace
            if one["kind"].endswith("Binding"):
                one["spec"]["policyName"] += SUFFIX + self._namespace
                selector = {"matchLabels": {"kubernetes.io/metadata.name": self._namespace}}
                one["spec"]["matchResources"] = {"namespaceSelector": selector}
        self._kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": documents}))
        probe = pipeline_run({"spec": suspended()}, "probe", parameters={"probe": "x"})
        waited(self._kubectl, self._namespace, probe, marker)
        if images and not accounts:
            # The API server takes over each policy at its own time: that of pods can be late.
            waited(self._kubectl, self._namespace, WORKFLOW_POD, f"Allowed prefixes: {', '.join(images)}")

    def take_away(self) -> None:
        """Take the policies out of the cluster."""
        names = [
            f"{one['kind']}/{one['metadata']['name']}{SUFFIX}{self._namespace}"
            for name in ("bindings", "policies")
            for one in loaded(name)
        ]
        self._kubectl("delete", "--ignore-not-found", *names)


def paused(duration: str) -> Object:
    """A spec whose one step needs no pod and ends by itself."""
    return {"entrypoint": "main", "templates": [{"name": "main", "suspend": {"duration": duration}}]}


def limited(accounts: tuple[str, ...], images: tuple[str, ...], parameters: dict[str, str]) -> list[Object]:
    """The policies and their bindings, with these limits in the place of none."""
    limits = {"accounts": accounts, "prefixes": images, "patterns": parameters}
    documents = loaded("policies") + loaded("bindings")
    for one in documents:
        for variable in one["spec"].get("variables", ()):
            if variable["name"] in limits:
                assert variable["expression"] in ("[]", "{}")
                variable["expression"] = json.dumps(limits[variable["name"]])
    return documents


def loaded(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((POLICIES / f"{name}.yaml").read_text()))


def refusal(kubectl: Kubectl, namespace: str, run: Object) -> str:
    """Why the API server would not take the run; empty where it would."""
    command = kubectl.command("create", "-n", namespace, "--dry-run=server", "-f", "-")
    done = subprocess.run(command, input=json.dumps(run), capture_output=True, text=True, timeout=30)
    return done.stderr if done.returncode else ""


@pytest.fixture
def limits(kubectl: Kubectl, namespace: str) -> Iterator[Limits]:
    held = Limits(kubectl, namespace)
    try:
        yield held
    finally:
        held.take_away()


def test_a_forbidden_run_is_refused_at_admission(kubectl: Kubectl, namespace: str, limits: Limits):
    limits.put(("pipeline-runner", "default"), size="(small|medium)", count="[0-9]{1,3}")
    spec: Object = {"spec": suspended()}

    def tried(account: str = "", **parameters: str) -> str:
        run = pipeline_run(spec, parameters=parameters)
        return refusal(
            kubectl, namespace, run | {"spec": run["spec"] | ({"serviceAccountName": account} if account else {})}
        )

    assert tried("default", size="small", count="7", other="anything") == ""
    assert tried() == ""
    said = tried("admin")
    assert "spec.serviceAccountName: admin is not allowed. Allowed service accounts: pipeline-runner, default" in said
    said = tried(size="large", count="7")
    assert "spec.parameters: size must match (small|medium)" in said
    assert "spec.parameters: count" in tried(count="1000")
    assert "spec.parameters: count" in tried(count="7; rm"), "the whole value must match"


def test_a_forbidden_manifest_is_refused_at_the_workflow(
    kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun, limits: Limits
):
    """The run is Stalled with the policy's own words; and starts when the admin allows it."""
    limits.put(images=("registry.example.com/team/",))
    image = one_step()["templates"][0]["container"]["image"]
    apply(pipeline_run({"spec": one_step()}, "inline"))
    apply(pipeline_run({"manifest": yaml.safe_dump(workflow(one_step()))}, "text"))
    apply(pipeline_run({"spec": paused("1s")}, "without"))
    wait_run("without", "Succeeded")
    for name in ("inline", "text"):
        run = wait_run(name, lambda found: "conditions" in found.get("status", {}))
        stalled = condition(run, "Stalled")
        assert (stalled["status"], stalled["reason"]) == ("True", "Forbidden")
        assert f"the images {image} are not allowed. Allowed prefixes: registry.example.com/team/" in stalled["message"]
    limits.put(images=("registry.example.com/team/", image.rpartition(":")[0], "quay.io/argoproj/argoexec:"))
    for name in ("inline", "text"):
        wait_run(name, lambda found: found["status"].get("phase") in ("Running", "Succeeded"), timeout=90)


def test_a_forbidden_parameter_value_is_refused_at_the_pod(
    kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun, limits: Limits
):
    """No Workflow tells which image this is."""
    spec = one_step()
    image = spec["templates"][0]["container"]["image"]
    spec["templates"][0]["container"]["image"] = "{{workflow.parameters.image}}"
    spec["arguments"] = {"parameters": [{"name": "image", "value": image}]}
    limits.put(images=("registry.example.com/team/",))
    apply(pipeline_run({"spec": spec}))
    run = wait_run("run", lambda found: found.get("status", {}).get("phase") in ("Failed", "Error"))
    assert "are not allowed. Allowed prefixes" in json.dumps(run["status"])
    assert not kubectl.list(namespace, "pods")


def test_accepted_runs_continue_under_narrower_limits(
    kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun, limits: Limits
):
    """It ends, is labelled and archived; only a new spec must keep to them."""
    apply(pipeline_run({"spec": paused("4s")}, "old"))
    wait_run("old", "Running")
    limits.put(("nobody-has-this-one",), ("nowhere/",))
    wait_run("old", "Succeeded")
    kubectl("label", "-n", namespace, "prun", "old", "runwright.dev/storage-state=Archived")
    wait_run("old", lambda found: found["status"].get("storageState") == "Archived")


def test_shipped_component_limits_nothing_until_configured(bare: ControlPlane, tmp_path: Path):
    """Without limits it limits nothing; with them, all namespaces but those that an admin has taken out."""
    plane = bare.kubectl
    deploy = os.path.relpath(REPOSITORY / "deploy", tmp_path)
    overlay: Object = {"resources": [f"{deploy}/base"], "components": [f"{deploy}/policies"]}
    (tmp_path / "kustomization.yaml").write_text(json.dumps(overlay))
    plane("apply", "--server-side", "-k", str(tmp_path))
    plane.wait_established("crd/pipelineruns.runwright.dev")
    run = pipeline_run({"spec": suspended()})
    admin = run | {"spec": run["spec"] | {"serviceAccountName": "admin"}}
    for namespace, label in (("held", "a=b"), ("free", "runwright.dev/limits=none")):
        plane("create", "namespace", namespace)
        plane("label", "namespace", namespace, label)
    assert refusal(plane, "held", admin) == ""
    limits = (REPOSITORY / "docs" / "policies.md").read_text().partition("```yaml\npatches:")[2].partition("```")[0]
    overlay["patches"] = yaml.safe_load(f"patches:{limits}")["patches"]
    (tmp_path / "kustomization.yaml").write_text(json.dumps(overlay))
    plane("apply", "--server-side", "-k", str(tmp_path))
    waited(plane, "held", admin, "spec.serviceAccountName: admin")
    assert refusal(plane, "held", run) == ""
    assert refusal(plane, "free", admin) == ""
    for one in json.loads(plane("get", "validatingadmissionpolicy", "-o", "json"))["items"]:
        assert not one.get("status", {}).get("typeChecking", {}).get("expressionWarnings")


def waited(kubectl: Kubectl, namespace: str, document: Object, words: str) -> None:
    """Return once the API server refuses an object with these words."""
    deadline, said = time.monotonic() + 30, ""
    while time.monotonic() < deadline:
        said = refusal(kubectl, namespace, document)
        if words in said:
            return
        time.sleep(0.2)  # there is nothing to watch: the API server reads its policies now and then
    raise WaitError(f"{document['kind']} is not refused with {words!r}; last: {said}")


def test_chart_renders_the_policies_of_the_component(helm: Helm):
    """The policies of the component, with the limits of the values in them."""
    values = {
        "enabled": True,
        "serviceAccounts": ["pipeline-runner", "it's"],
        "images": ["a/"],
        "parameters": {"size": "(small|medium)"},
    }
    made = helm.rendered("--set-json", f"policies={json.dumps(values)}")
    expected = limited(("pipeline-runner", "it's"), ("a/",), {"size": "(small|medium)"})
    found = {key[2]: one["spec"] for key, one in made.items() if key[0] == "ValidatingAdmissionPolicy"}
    assert not [key for key in helm.rendered() if key[0].startswith("ValidatingAdmissionPolicy")]
    for one in expected:
        if one["kind"].endswith("Policy"):
            spec = found[one["metadata"]["name"]]
            for variable in (*spec["variables"], *one["spec"]["variables"]):
                if variable["name"] in ("accounts", "prefixes", "patterns"):
                    variable["expression"] = json.loads(variable["expression"])
            assert spec == json.loads(json.dumps(one["spec"]), object_hook=as_lists)


def as_lists(found: Object) -> Object:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in found.items()}


# ------------------------------------------------------------------------------------- every way to a service account
ADMIN: Object = {"serviceAccountName": "admin"}
ALLOWED = "Allowed service accounts: pipeline-runner"
TOKEN = "admin.service-account-token"
CONTAINER: Object = {"name": "init", "image": "a"}
FROM_TOKEN: Object = {"name": "A", "valueFrom": {"secretKeyRef": {"name": TOKEN, "key": "token"}}}


@pytest.fixture(scope="module")
def limited_namespace(kubectl: Kubectl) -> Iterator[str]:
    """A namespace in which runs may use one service account."""
    with fresh_namespace(kubectl) as namespace:
        for name in ("pipeline-runner", "admin"):
            account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}
            kubectl("apply", "-n", namespace, "-f", "-", input=json.dumps(account))
        held = Limits(kubectl, namespace)
        try:
            held.put(("pipeline-runner",))
            for bad in (workflow(one_step(**ADMIN), "probe"), WORKFLOW_POD | {"spec": WORKFLOW_POD["spec"] | ADMIN}):
                waited(kubectl, namespace, bad, ALLOWED)
            yield namespace
        finally:
            held.take_away()


def with_template(**fields: Any) -> Object:
    """A WorkflowSpec whose one template has these fields too."""
    spec = one_step()
    return spec | {"templates": [spec["templates"][0] | fields]}


@pytest.mark.parametrize(
    "spec",
    [
        one_step(**ADMIN),
        one_step(executor=ADMIN),
        one_step(templateDefaults=ADMIN),
        one_step(templateDefaults={"executor": ADMIN}),
        one_step(artifactGC={"strategy": "OnWorkflowDeletion", **ADMIN}),
        with_template(**ADMIN),
        with_template(executor=ADMIN),
        with_template(outputs={"artifacts": [{"name": "a", "path": "/a", "artifactGC": ADMIN}]}),
    ],
    ids=[
        "spec",
        "executor",
        "defaults",
        "default executor",
        "artifact GC",
        "template",
        "template executor",
        "artifact",
    ],
)
@pytest.mark.parametrize("kind", ["Workflow", "WorkflowTemplate"])
def test_each_field_that_names_a_service_account_is_limited(
    kubectl: Kubectl, limited_namespace: str, spec: Object, kind: str
):
    document = workflow(spec, "probe") | {"kind": kind}
    assert ALLOWED in refusal(kubectl, limited_namespace, document)
    allowed = json.loads(json.dumps(document).replace('"admin"', '"pipeline-runner"'))
    assert refusal(kubectl, limited_namespace, allowed) == ""


@pytest.mark.parametrize(
    "spec",
    [
        ADMIN,
        {"serviceAccountName": None, "serviceAccount": "admin"},
        {"volumes": [{"name": "exec-sa-token", "secret": {"secretName": "anything"}}]},
        {"volumes": [{"name": "a", "secret": {"secretName": TOKEN}}]},
        {"volumes": [{"name": "a", "projected": {"sources": [{"secret": {"name": TOKEN}}]}}]},
        {"initContainers": [CONTAINER | {"envFrom": [{"secretRef": {"name": TOKEN}}]}]},
        {"initContainers": [CONTAINER | {"env": [FROM_TOKEN]}]},
    ],
    ids=["account", "old field", "executor", "volume", "projected", "envFrom", "env"],
)
def test_each_way_of_a_pod_to_a_service_account_is_limited(kubectl: Kubectl, limited_namespace: str, spec: Object):
    """Also those that a podSpecPatch, an inline template or a ClusterWorkflowTemplate leads to."""
    runner = {"serviceAccountName": "pipeline-runner"}
    pod = WORKFLOW_POD | {"spec": WORKFLOW_POD["spec"] | runner | spec}
    assert ALLOWED in refusal(kubectl, limited_namespace, pod)
    token = "pipeline-runner.service-account-token"
    allowed = json.dumps(pod).replace("admin", "pipeline-runner").replace("anything", token)
    assert refusal(kubectl, limited_namespace, json.loads(allowed)) == ""


def test_default_of_a_parameter_is_limited_in_the_manifest_and_in_the_template(
    kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun, limits: Limits
):
    limits.put(size="(small|medium)")
    said = "size must have a value that matches (small|medium)"

    def sized(**fields: Any) -> Object:
        return paused("1s") | {"arguments": {"parameters": [{"name": "size", **fields}]}}

    waited(kubectl, namespace, workflow(sized(value="huge"), "probe"), said)
    source = {"configMapKeyRef": {"name": "a", "key": "b"}}
    assert said in refusal(kubectl, namespace, workflow(sized(valueFrom=source), "probe"))
    for name, value in (("large", "huge"), ("little", "small")):
        apply(workflow(sized(value=value), name) | {"kind": "WorkflowTemplate"})
        apply(pipeline_run({"templateRef": {"name": name}}, f"by-{name}"))
    apply(pipeline_run({"spec": sized(value="huge")}, "inline"))
    apply(pipeline_run({"spec": sized(default="huge")}, "default"))
    apply(pipeline_run({"templateRef": {"name": "large"}}, "given", parameters={"size": "medium"}))
    for name in ("by-large", "inline", "default"):
        run = wait_run(name, lambda found: "conditions" in found.get("status", {}))
        stalled = condition(run, "Stalled")
        assert (stalled["status"], stalled["reason"]) == ("True", "Forbidden")
        assert said in stalled["message"]
    for name in ("by-little", "given"):
        wait_run(name, "Succeeded")
