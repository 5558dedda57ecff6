"""The resource as people and tools meet it: applied server-side, listed, selected, waited for, explained.

Nothing here needs the operator, and nothing minds that it runs.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from runwright.api.crd import custom_resource_definition
from runwright.api.kinds import KINDS, PIPELINE_RUN, Kind
from tests.e2e.cluster import Kubectl
from tests.e2e.conftest import Apply
from tests.e2e.manifests import of_kind, of_spec
from tests.e2e.runs import ABSENT, FROM, SUSPENDED, Run, refused, source


def test_appliers_of_different_parameters_are_merged_by_name(run: Run, apply: Apply):
    def set_by(manager: str, *names: str, value: str) -> str:
        parameters = [{"name": name, "value": value} for name in names]
        return apply(of_spec(ABSENT | {"parameters": parameters}), "--server-side", f"--field-manager={manager}")

    def now() -> dict[str, str]:
        return {parameter["name"]: parameter["value"] for parameter in run.get()["spec"]["parameters"]}

    set_by("one", "a", "b", value="1")
    set_by("two", "c", value="2")
    assert now() == {"a": "1", "b": "1", "c": "2"}
    set_by("one", "a", value="1")
    assert now() == {"a": "1", "c": "2"}, "what its only owner no longer applies is gone"
    conflict = refused(set_by, "two", "a", value="2")
    assert 'conflict with "one": .spec.parameters[name="a"].value' in conflict


def test_an_inline_spec_has_one_field_owner(run: Run, apply: Apply):
    apply(of_spec(source(**SUSPENDED)), "--server-side", "--field-manager=one")
    conflict = refused(
        apply,
        of_spec(source(**SUSPENDED | {"parallelism": 2})),
        "--server-side",
        "--field-manager=two",
        "--dry-run=server",
    )
    assert 'conflict with "one": .spec.workflow.spec' in conflict
    (owned,) = (m["fieldsV1"] for m in run.get()["metadata"]["managedFields"] if m["manager"] == "one")
    assert owned["f:spec"]["f:workflow"] == {"f:spec": {}}


# ---------------------------------------------------------------------------------------------------- what people read
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_cluster_has_the_crds_of_this_checkout(kubectl: Kubectl, kind: Kind):
    wanted = custom_resource_definition(kind)
    found = json.loads(kubectl("get", "crd", wanted["metadata"]["name"], "-o", "json"))
    assert found["spec"]["versions"] == wanted["spec"]["versions"], "apply crds/ or run `make deploy`"
    conditions = {condition["type"]: condition["status"] for condition in found["status"]["conditions"]}
    assert conditions["Established"] == conditions["NamesAccepted"] == "True"
    assert conditions.get("NonStructuralSchema", "False") == "False"


def test_short_names_work_and_no_category_lists_runs(kubectl: Kubectl):
    lines = kubectl("api-resources", "--api-group=runwright.dev", "-o", "wide", "--no-headers").splitlines()
    verbs = "delete,deletecollection,get,list,patch,create,update,watch"
    assert [line.split() for line in lines] == [
        ["pipelineexperiments", "pexp", "runwright.dev/v1alpha1", "true", "PipelineExperiment", verbs],
        ["pipelinemanifests", "runwright.dev/v1alpha1", "true", "PipelineManifest", verbs],
        ["pipelineruns", "prun", "runwright.dev/v1alpha1", "true", "PipelineRun", verbs],
        ["retentionpolicies", "runwright.dev/v1alpha1", "true", "RetentionPolicy", verbs],
        ["workflowsnapshots", "runwright.dev/v1alpha1", "true", "WorkflowSnapshot", verbs],
    ], "no category: `get all` is Kubernetes' own"


ARCHIVED = {"runwright.dev/storage-state": "Archived"}
"""A run that has this label, and a status that says so too, is none of the operator's business."""

FINISHED = {
    "phase": "Skipped",
    "message": "nothing-to-do",
    "progress": "3/5",
    "duration": "1m12s",
    "storageState": "Archived",
    "workflow": {"name": "the-workflow", "uid": "8a0c"},
    "conditions": [
        {"type": type_, "status": "False", "reason": reason, "lastTransitionTime": "2026-01-01T00:00:00Z"}
        for type_, reason in (("Stalled", "NotThisOne"), ("Succeeded", "WasSkipped"))
    ],
}


def test_printed_columns_show_a_finished_run(run: Run):
    """With a status that a finished run has, which the operator leaves alone."""
    run.create(ABSENT | {"displayName": "nightly"}, labels=ARCHIVED)
    run.patch({"status": FINISHED}, "--subresource=status")
    head, row = run.kubectl("get", *run.where, "prun").splitlines()
    assert head.split() == ["NAME", "PHASE", "REASON", "PROGRESS", "DURATION", "AGE"]
    assert row.split()[:-1] == ["run", "Skipped", "WasSkipped", "3/5", "1m12s"]
    head, row = run.kubectl("get", *run.where, "prun", "-o", "wide").splitlines()
    assert " ".join(head.split()[5:]) == "AGE DISPLAY NAME WORKFLOW STORAGE MESSAGE"
    assert row.split()[6:] == ["nightly", "the-workflow", "Archived", "nothing-to-do"]


def test_printed_columns_show_policies_and_snapshots(kubectl: Kubectl, namespace: str, apply: Apply):
    spec = {"archiveAfter": "1d", "deleteAfter": "30d", "keepWorkflow": "1h", "keepSucceeded": 100, "keepFailed": 0}
    apply(of_kind("RetentionPolicy", "default", spec=spec))
    apply(of_kind("WorkflowSnapshot", "train", attempt=2, workflowUID="8a0c", data="H4sI"))
    head, row = kubectl("get", "-n", namespace, "retentionpolicies").splitlines()
    assert " ".join(head.split()) == "NAME ARCHIVE AFTER DELETE AFTER KEEP WORKFLOW KEEP SUCCEEDED KEEP FAILED AGE"
    assert row.split()[:-1] == ["default", "1d", "30d", "1h", "100", "0"]
    head, row = kubectl("get", "-n", namespace, "workflowsnapshots", "-o", "wide").splitlines()
    assert " ".join(head.split()) == "NAME ATTEMPT WORKFLOW UID AGE"
    assert row.split()[:3] == ["train", "2", "8a0c"]


def test_a_snapshot_of_the_largest_size_is_stored(kubectl: Kubectl, namespace: str, apply: Apply):
    apply(of_kind("WorkflowSnapshot", "train", attempt=0, workflowUID="8a0c", data="H" * 1_400_000), "--server-side")
    assert len(kubectl.get(namespace, "workflowsnapshot", "train")["data"]) == 1_400_000


def test_every_selectable_field_selects_on_the_server(kubectl: Kubectl, namespace: str):
    """Every selectable field picks its own run among the others, on the server."""
    runs: dict[str, tuple[str, dict[str, Any]]] = {
        "display": ("spec.displayName=nightly", ABSENT | {"displayName": "nightly"}),
        "account": ("spec.serviceAccountName=robot", ABSENT | {"serviceAccountName": "robot"}),
        "pipeline": ("spec.pipeline.id=7", ABSENT | {"pipeline": {"id": "7"}}),
        "shutdown": ("spec.shutdown=Stop", ABSENT | {"shutdown": "Stop"}),
        "template": ("spec.workflow.templateRef.name=other", {"workflow": {"templateRef": {"name": "other"}}}),
        "configmap": ("spec.workflow.manifestFrom.configMapKeyRef.name=a", {"workflow": {"manifestFrom": FROM}}),
        "phase": ("status.phase=Skipped", ABSENT),
        "storage": ("status.storageState=Archived", ABSENT),
    }
    for name, (_, spec) in runs.items():
        Run(kubectl, namespace, name).create(spec, labels=ARCHIVED if name == "storage" else {})
    for name, status in (("phase", {"phase": "Skipped"}), ("storage", {"storageState": "Archived"})):
        Run(kubectl, namespace, name).patch({"status": status}, "--subresource=status")

    for name, (selector, _) in runs.items():
        assert kubectl("get", "-n", namespace, "prun", "-o", "name", "--field-selector", selector).split() == [
            f"pipelinerun.runwright.dev/{name}"
        ]
    assert set(PIPELINE_RUN.selectable_fields) == {f".{selector.partition('=')[0]}" for selector, _ in runs.values()}
    assert "field label not supported" in refused(
        kubectl, "get", "-n", namespace, "prun", "--field-selector", "spec.retries=0"
    )


def test_kubectl_wait_by_condition_and_phase_returns(run: Run):
    run.create(ABSENT)
    succeeded = {"type": "Succeeded", "status": "True", "reason": "Done", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    run.patch({"status": {"phase": "Succeeded", "conditions": [succeeded]}}, "--subresource=status")
    run.kubectl("wait", *run.where, "prun/run", "--for=condition=Succeeded", "--timeout=20s")
    run.kubectl("wait", *run.where, "prun/run", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=20s")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("prun", "DESCRIPTION: A PipelineRun runs an Argo Workflow once"),
        ("prun.spec", "workflow <Object> -required- What to run: exactly one of manifest, spec, templateRef and manifestFrom"),
        ("prun.spec.workflow.templateRef", "clusterScope <boolean> true: a ClusterWorkflowTemplate. false: a WorkflowTemplate in"),
        ("prun.spec.workflow.spec", "FIELD: spec <map[string]Object> DESCRIPTION: An Argo WorkflowSpec: the `spec` of a Workflow."),
        ("prun.spec.parameters", "value <string> -required- Value of the parameter; write numbers and lists as JSON text."),
        ("prun.spec.shutdown", "ENUM: Stop Terminate DESCRIPTION: Ends the run early. Stop: ends the running steps"),
        ("prun.spec.retention.deleteAfter", "FIELD: deleteAfter <string> DESCRIPTION: Delete the run this long after its end."),
        ("prun.status.phase", "ENUM: Pending Running Succeeded Skipped Failed Error"),
        ("prun.status.metrics.nodeID", "Id of the node that reported it."),
        ("prun.status.storageState", "Archived once the operator has carried out the label"),
        ("retentionpolicy.spec", "keepFailed <integer> Keep this many of the Failed and Error runs"),
        ("workflowsnapshot", "workflowUID <string> -required- UID of the Workflow."),
    ],
)  # fmt: skip
def test_kubectl_explain_describes_every_field(kubectl: Kubectl, path: str, words: str):
    assert words in " ".join(kubectl("explain", path).split())
