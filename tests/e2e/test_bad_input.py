"""Input that cannot run: the run says what is wrong and where, makes no Workflow, and runs once it is put right.

What the API server itself refuses (no source or two, names over 63 characters, a namespace that is being deleted) is in
test_admission.py and test_edits.py.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
import yaml

from tests.e2e.cluster import Kubectl, Object, condition, stalled
from tests.e2e.conftest import OPERATOR_LOGS, Apply, WaitRun
from tests.e2e.manifests import instant, pipeline_run, shell, workflow

PARAMETERS = {"parameters": [{"name": "region"}, {"name": "size", "value": "1"}]}
CRON = {
    "kind": "CronWorkflow",
    "metadata": {"name": "a"},
    "spec": {"schedules": ["* * * * *"], "workflowSpec": instant()},
}
ARGO = "argoproj.io/v1alpha1"


def manifest(document: Any) -> Object:
    return {"manifest": json.dumps(document)}


def spec(**fields: Any) -> Object:
    return {"spec": instant() | fields}


# What is wrong: the run, the reason of its condition, and what its message must tell.
BAD: dict[str, tuple[Object, str, str]] = {
    "not YAML": (
        pipeline_run({"manifest": "kind: [Workflow"}),
        "ManifestUnreadable",
        "spec.workflow.manifest: expected YAML or JSON: line 2",
    ),
    "broken JSON": (pipeline_run({"manifest": '{"kind": "Workflow",'}), "ManifestUnreadable", "as JSON: line 1"),
    "plain words": (pipeline_run({"manifest": "run it"}), "NotAWorkflow", "it is a string; expected one Workflow"),
    "nothing but a comment": (
        pipeline_run({"manifest": "# later\n"}),
        "NotAWorkflow",
        "it is empty; expected one Workflow",
    ),
    "a list": (pipeline_run(manifest([workflow(instant())])), "NotAWorkflow", "it is a list; expected one Workflow"),
    "a List": (
        pipeline_run(manifest({"apiVersion": "v1", "kind": "List", "items": [workflow(instant())]})),
        "NotAWorkflow",
        "create a run for each Workflow of the list",
    ),
    "two documents": (
        pipeline_run({"manifest": yaml.safe_dump_all([workflow(instant())] * 2)}),
        "NotAWorkflow",
        "it has 2 documents (Workflow, Workflow)",
    ),
    "a CronWorkflow": (
        pipeline_run(manifest({"apiVersion": ARGO} | CRON)),
        "NotAWorkflow",
        "copy its spec.workflowSpec to spec.workflow.spec of the run",
    ),
    "a Pod": (
        pipeline_run(manifest({"apiVersion": "v1", "kind": "Pod", "spec": {}})),
        "NotAWorkflow",
        'its kind is "Pod"',
    ),
    "another version": (
        pipeline_run(manifest(workflow(instant()) | {"apiVersion": "argoproj.io/v2"})),
        "APIVersionUnsupported",
        f"expected {ARGO}",
    ),
    "no spec": (pipeline_run(manifest(workflow({}) | {"spec": None})), "SpecInvalid", "spec: expected a mapping"),
    "no templates": (
        pipeline_run({"spec": {"entrypoint": "main"}}),
        "TemplatesMissing",
        "expected at least one template",
    ),
    "no entrypoint": (
        pipeline_run(spec(entrypoint="")),
        "EntrypointMissing",
        'expected the name of a template: "main"',
    ),
    "an entrypoint that is not there": (
        pipeline_run(spec(entrypoint="mian")),
        "EntrypointMissing",
        'there is no template "mian" in spec.templates, only "main"',
    ),
    "an unknown parameter": (
        pipeline_run(spec(arguments=PARAMETERS), parameters={"region": "eu", "sise": "2"}),
        "ParameterUnknown",
        'declares no parameter "sise" in spec.arguments.parameters. Did you mean "size"?',
    ),
    "a parameter without a value": (
        pipeline_run(spec(arguments=PARAMETERS), parameters={"size": "2"}),
        "ParameterMissing",
        'spec.parameters: "region" must be given',
    ),
    "a template that is not there": (
        pipeline_run({"templateRef": {"name": "absent"}}),
        "TemplateNotFound",
        'spec.workflow.templateRef.name: there is no WorkflowTemplate "absent" in namespace',
    ),
    "a cluster's template that is not there": (
        pipeline_run({"templateRef": {"name": "absent", "clusterScope": True}}),
        "TemplateNotFound",
        'there is no ClusterWorkflowTemplate "absent"; expected one, create it or name another',
    ),
    "a ConfigMap that is not there": (
        pipeline_run({"manifestFrom": {"configMapKeyRef": {"name": "absent", "key": "a"}}}),
        "ConfigMapNotFound",
        'there is no ConfigMap "absent" in namespace',
    ),
    "a key that is not there": (
        pipeline_run({"manifestFrom": {"configMapKeyRef": {"name": "kube-root-ca.crt", "key": "a"}}}),
        "ConfigMapNotFound",
        'there is no ConfigMap "kube-root-ca.crt" in namespace',
    ),
    "a ConfigMap without the label": (
        pipeline_run({"manifestFrom": {"configMapKeyRef": {"name": "kube-root-ca.crt", "key": "ca.crt"}}}),
        "ConfigMapNotFound",
        "with the label runwright.dev/manifest, from which runs may read manifests; create it, or label it",
    ),
    "a PipelineManifest that is not there": (
        pipeline_run({"manifestFrom": {"pipelineManifestRef": {"name": "absent"}}}),
        "PipelineManifestNotFound",
        'spec.workflow.manifestFrom.pipelineManifestRef.name: there is no PipelineManifest "absent" in namespace',
    ),
    "a service account that is not there": (
        pipeline_run(spec(), serviceAccountName="absent"),
        "ServiceAccountNotFound",
        'spec.serviceAccountName: there is no ServiceAccount "absent" in namespace',
    ),
    "a manifest's service account that is not there": (
        pipeline_run(manifest(workflow(instant(serviceAccountName="absent")))),
        "ServiceAccountNotFound",
        'spec.serviceAccountName of the Workflow: there is no ServiceAccount "absent"',
    ),
    "what only Argo refuses": (
        pipeline_run({"spec": {"entrypoint": "main", "templates": [shell("echo {{inputs.parameters.absent}}")]}}),
        "WorkflowRefused",
        "failed to resolve {{inputs.parameters.absent}}",
    ),
    "a Workflow over the size limit": (
        pipeline_run({"spec": {"entrypoint": "main", "templates": [shell("x" * 1_410_000)]}}),
        "WorkflowTooLarge",
        "more than the 1400000 that fit into etcd",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_run_is_stalled_with_its_reason(what: str, kubectl: Kubectl, namespace: str, wait_run: WaitRun):
    """Stalled for that reason, and not finished; with a Warning; and nothing was started."""
    document, reason, message = BAD[what]
    # Not `apply`, which keeps a copy in an annotation: that is refused of large ones.
    kubectl("create", "-n", namespace, "-f", "-", input=json.dumps(document))
    run = wait_run("run", lambda found: stalled(found) != "")
    stalled_condition = condition(run, "Stalled")
    assert stalled_condition["reason"] == reason, stalled_condition
    assert message in stalled_condition["message"]
    outcome = condition(run, "Succeeded")
    assert (outcome["status"], outcome["reason"]) == ("Unknown", reason)
    assert run["status"]["phase"] == "Pending"
    assert "finishedAt" not in run["status"]
    event = kubectl.wait_event(namespace, "run", lambda found: found["reason"] == reason)
    assert event["type"] == "Warning"
    assert event["message"][:200] == stalled_condition["message"][:200]
    assert all(one["status"].get("nodes") is None for one in kubectl.list(namespace, "workflow"))


def test_a_manifest_over_the_size_limit_is_refused(kubectl: Kubectl, namespace: str):
    """A million characters are the most; the API server says so by itself."""
    document = pipeline_run(manifest(workflow({"entrypoint": "main", "templates": [shell("x" * 1_000_000)]})))
    with pytest.raises(subprocess.CalledProcessError) as caught:
        kubectl("create", "-n", namespace, "-f", "-", input=json.dumps(document))
    assert "spec.workflow.manifest: Too long: may not be more than 1000000" in caught.value.stderr


def test_bad_runs_cause_no_further_writes(kubectl: Kubectl, namespace: str, wait_run: WaitRun):
    """All of them at once: after their first word, nothing is written any more, and no error is logged."""
    names: list[str] = []
    for number, (document, _, _) in enumerate(BAD.values()):
        name = f"bad-{number}"
        text = json.dumps(document | {"metadata": {"name": name}})
        kubectl("create", "-n", namespace, "-f", "-", input=text)
        names.append(name)
    before = {name: wait_run(name, lambda found: stalled(found) != "") for name in names}
    # Long enough for those that may heal to be tried again a few times.
    changes = [
        (event, found["metadata"]["name"])
        for event, found in kubectl.watch(namespace, "prun", "--watch-only", timeout=8)
    ]
    assert changes == []
    after = {one["metadata"]["name"]: one for one in kubectl.list(namespace, "prun")}
    assert {name: after[name]["metadata"]["resourceVersion"] for name in names} == {
        name: run["metadata"]["resourceVersion"] for name, run in before.items()
    }
    try:
        log = kubectl("logs", *OPERATOR_LOGS, "--since=10m").splitlines()
    except subprocess.CalledProcessError:
        return  # The operator runs in somebody's shell: its log is there.
    about = [json.loads(line) for line in log if f'"namespace": "{namespace}"' in line]
    assert about, "the operator logged nothing about these runs"
    assert [line for line in about if line["level"] == "error" or "exception" in line] == []


# -------------------------------------------------------------------------------------------------------- put right
TEMPLATE = {"apiVersion": ARGO, "kind": "WorkflowTemplate", "metadata": {"name": "absent"}, "spec": instant()}
CONFIG_MAP = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "absent", "labels": {"runwright.dev/manifest": "true"}},
    "data": {"a": yaml.safe_dump(workflow(instant()))},
}
ACCOUNT = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "absent"}}

HEALS = {
    "a template that is not there": TEMPLATE,
    "a ConfigMap that is not there": CONFIG_MAP,
    "a service account that is not there": ACCOUNT,
}


@pytest.mark.parametrize("what", HEALS)
def test_a_stalled_run_starts_when_the_missing_object_is_created(what: str, apply: Apply, wait_run: WaitRun):
    apply(BAD[what][0])
    wait_run("run", lambda found: stalled(found) == BAD[what][1])
    apply(HEALS[what])
    run = wait_run("run", "Succeeded")
    assert (condition(run, "Stalled")["status"], condition(run, "Stalled")["reason"]) == ("False", "Cleared")


GOOD = {
    "spec": {"workflow": {"spec": instant(arguments=PARAMETERS)}, "parameters": [{"name": "region", "value": "eu"}]}
}

EDITS = (
    "not YAML",
    "an entrypoint that is not there",
    "an unknown parameter",
    "a template that is not there",
    "what only Argo refuses",
)


@pytest.mark.parametrize("what", EDITS)
def test_a_stalled_run_starts_when_its_spec_is_corrected(
    what: str, kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun
):
    document, reason, _ = BAD[what]
    apply(document)
    wait_run("run", lambda found: stalled(found) == reason)
    apply(document | GOOD)
    run = wait_run("run", "Succeeded")
    assert condition(run, "Stalled")["status"] == "False"
    assert run["status"]["observedGeneration"] == run["metadata"]["generation"] == 2
    (made,) = kubectl.list(namespace, "workflow")
    assert made["metadata"]["uid"] == run["status"]["workflow"]["uid"]
    values = {one["name"]: one["value"] for one in made["spec"]["arguments"]["parameters"]}
    assert values == {"region": "eu", "size": "1"}


def test_a_second_mistake_is_reported_after_the_first_is_corrected(apply: Apply, wait_run: WaitRun):
    """An edit that corrects one field and breaks another is reported again."""
    apply(BAD["not YAML"][0])
    wait_run("run", lambda found: stalled(found) == "ManifestUnreadable")
    apply(BAD["a CronWorkflow"][0])
    run = wait_run("run", lambda found: stalled(found) == "NotAWorkflow")
    assert condition(run, "Succeeded")["reason"] == "NotAWorkflow"


def test_a_foreign_workflow_of_the_same_name_stalls_the_run(
    kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun
):
    """It is left alone; once somebody deletes it, the run starts."""
    apply(workflow(instant(), "run"))
    foreign = kubectl.wait(
        namespace, "workflow", "run", lambda found: found.get("status", {}).get("phase") == "Succeeded"
    )
    apply(pipeline_run({"spec": instant()}))
    run = wait_run("run", lambda found: stalled(found) == "WorkflowNameTaken")
    assert "delete that Workflow, or give the run another name" in condition(run, "Stalled")["message"]
    still = kubectl.get(namespace, "workflow", "run")
    assert still["metadata"]["resourceVersion"] == foreign["metadata"]["resourceVersion"]
    kubectl("delete", "-n", namespace, "workflow", "run")
    run = wait_run("run", "Succeeded")
    assert run["status"]["workflow"]["uid"] != foreign["metadata"]["uid"]
