"""What the API server itself says to a PipelineRun: refused at admission, defaulted, merged, selected, shown and explained.

Nothing here needs the operator, and nothing minds that it runs: runs that must stay as they are refer to a template that
does not exist, and those that are taken as accepted are suspended.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from runwright.api.crd import custom_resource_definition

Kubectl = Callable[..., str]
Apply = Callable[..., str]

ABSENT = {"workflow": {"templateRef": {"name": "absent"}}}
SUSPENDED = {
    "suspend": True,
    "entrypoint": "main",
    "parallelism": 1,
    "volumes": None,
    "templates": [{"name": "main", "container": {"image": "busybox", "command": ["true"]}}],
}


def pipeline_run(spec: dict[str, Any], name: str = "run", **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "runwright.dev/v1alpha1",
        "kind": "PipelineRun",
        "metadata": {"name": name, **metadata},
        "spec": spec,
    }


def refused(call: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    """What the API server said, on one line; fails when it let the call pass."""
    with pytest.raises(subprocess.CalledProcessError) as caught:
        call(*arguments, **options)
    return " ".join(caught.value.stderr.split())


# --------------------------------------------------------------------------------------------------------- at creation
SOURCES = "manifest, spec, templateRef and manifestFrom"
FROM = {"configMapKeyRef": {"name": "a", "key": "b"}}
DURATION = "write a duration as numbers with units (ms, s, m, h, d), such as 90s, 15m, 36h, 7d or 1h30m"
TOO_LONG = "metadata.name: Forbidden: use a name of at most 63 characters: it is also the Workflow's name"

BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a name of 64 characters": (pipeline_run(ABSENT, "a" * 64), TOO_LONG),
    "a name of 253 characters": (pipeline_run(ABSENT, "a" * 253), TOO_LONG),
    "a name that no object may have": (pipeline_run(ABSENT, "Run_1"), "a lowercase RFC 1123 subdomain must consist of"),
    "no workflow": (pipeline_run({"displayName": "a"}), "spec.workflow: Required value"),
    "no source": (
        pipeline_run({"workflow": {}}),
        f"spec.workflow: Required value: set one of {SOURCES}: without one there is nothing to run",
    ),
    "a source that is null": (
        pipeline_run({"workflow": {"spec": None}}),
        f"spec.workflow: Required value: set one of {SOURCES}",
    ),
    "manifest and spec": (
        pipeline_run({"workflow": {"manifest": "a", "spec": {}}}),
        f"spec.workflow: Forbidden: set only one of {SOURCES}",
    ),
    "templateRef and manifestFrom": (
        pipeline_run({"workflow": {"templateRef": {"name": "a"}, "manifestFrom": FROM}}),
        f"spec.workflow: Forbidden: set only one of {SOURCES}",
    ),
    "all sources": (
        pipeline_run({"workflow": {"manifest": "a", "spec": {}, "templateRef": {"name": "a"}, "manifestFrom": FROM}}),
        f"spec.workflow: Forbidden: set only one of {SOURCES}",
    ),
    "an empty manifest": (
        pipeline_run({"workflow": {"manifest": ""}}),
        "spec.workflow.manifest in body should be at least 1 chars long",
    ),
    "a manifest over the size limit": (
        pipeline_run({"workflow": {"manifest": "a" * 1_000_001}}),
        "spec.workflow.manifest: Too long: may not be more than 1000000",
    ),
    "a spec that is no object": (
        pipeline_run({"workflow": {"spec": "a"}}),
        "spec.workflow.spec in body must be of type object",
    ),
    "a template without a name": (
        pipeline_run({"workflow": {"templateRef": {}}}),
        "spec.workflow.templateRef.name: Required value",
    ),
    "a ConfigMap without a key": (
        pipeline_run({"workflow": {"manifestFrom": {"configMapKeyRef": {"name": "a"}}}}),
        "spec.workflow.manifestFrom.configMapKeyRef.key: Required value",
    ),
    "a digest of another kind": (
        pipeline_run({"workflow": {"manifestFrom": FROM | {"digest": "md5:0cc175b9c0f1b6a831c399e269772661"}}}),
        "write the digest as sha256: and 64 lower-case hex digits, such as sha256sum prints",
    ),
    "a field that does not exist": (
        pipeline_run(ABSENT | {"serviceAccount": "a"}),
        'unknown field "spec.serviceAccount"',
    ),
    "a parameter twice": (
        pipeline_run(ABSENT | {"parameters": [{"name": "a", "value": "1"}, {"name": "a", "value": "2"}]}),
        'spec.parameters[1]: Duplicate value: {"name":"a"}',
    ),
    "a parameter that is a number": (
        pipeline_run(ABSENT | {"parameters": [{"name": "a", "value": 1}]}),
        "spec.parameters[0].value in body must be of type string",
    ),
    "a parameter without a value": (
        pipeline_run(ABSENT | {"parameters": [{"name": "a"}]}),
        "spec.parameters[0].value: Required value",
    ),
    "too many parameters": (
        pipeline_run(ABSENT | {"parameters": [{"name": f"p{i}", "value": ""} for i in range(513)]}),
        "spec.parameters: Too many: 513: must have at most 512 items",
    ),
    "a reference twice, once with the default spelt out": (
        pipeline_run(
            ABSENT | {"references": [{"type": "JOB", "id": "a"}, {"type": "JOB", "id": "a", "relationship": "OWNER"}]}
        ),
        "spec.references[1]: Duplicate value",
    ),
    "a reference of no known kind": (
        pipeline_run(ABSENT | {"references": [{"type": "TEAM", "id": "a"}]}),
        'Unsupported value: "TEAM": supported values: "EXPERIMENT", "JOB", "PIPELINE", "PIPELINE_VERSION", "NAMESPACE"',
    ),
    "a shutdown of no known kind": (
        pipeline_run(ABSENT | {"shutdown": "Kill"}),
        'spec.shutdown: Unsupported value: "Kill": supported values: "Stop", "Terminate"',
    ),
    "negative retries": (
        pipeline_run(ABSENT | {"retries": -1}),
        "spec.retries in body should be greater than or equal to 0",
    ),
    "retries without end": (
        pipeline_run(ABSENT | {"retries": 1001}),
        "spec.retries in body should be less than or equal to 1000",
    ),
    "a duration in words": (
        pipeline_run(ABSENT | {"retention": {"deleteAfter": "a week"}}),
        f'spec.retention.deleteAfter: Invalid value: "string": {DURATION}',
    ),
    "a duration without a unit": (pipeline_run(ABSENT | {"retention": {"archiveAfter": "90"}}), DURATION),
    "a duration below zero": (pipeline_run(ABSENT | {"retention": {"keepWorkflow": "-1h"}}), DURATION),
}


@pytest.mark.parametrize(("document", "message"), BAD.values(), ids=BAD.keys())
def test_a_bad_run_is_refused_with_what_to_write_instead(
    kubectl: Kubectl, namespace: str, document: dict[str, Any], message: str
):
    create = ("create", "-n", namespace, "--dry-run=server", "-f", "-")
    assert message in refused(kubectl, *create, input=json.dumps(document))


BY_SERVER_SIDE_APPLY = {
    "a field that does not exist": (
        ABSENT | {"serviceAccount": "a"},
        ".spec.serviceAccount: field not declared in schema",
    ),
    "a parameter twice": (
        ABSENT | {"parameters": [{"name": "a", "value": "1"}, {"name": "a", "value": "2"}]},
        '.spec.parameters: duplicate entries for key [name="a"]',
    ),
    "a parameter that is a number": (
        ABSENT | {"parameters": [{"name": "a", "value": 1}]},
        '.spec.parameters[name="a"].value: expected string',
    ),
    "two sources": ({"workflow": {"manifest": "a", "spec": {}}}, f"set only one of {SOURCES}"),
    "no source": ({"workflow": {}}, f"set one of {SOURCES}"),
}


@pytest.mark.parametrize(("spec", "message"), BY_SERVER_SIDE_APPLY.values(), ids=BY_SERVER_SIDE_APPLY.keys())
def test_server_side_apply_refuses_too_in_words_of_its_own(apply: Apply, spec: dict[str, Any], message: str):
    assert message in refused(apply, pipeline_run(spec), "--server-side", "--dry-run=server")


GOOD: dict[str, dict[str, Any]] = {
    "manifest": pipeline_run({"workflow": {"manifest": "a" * 1_000_000}}),
    "spec": pipeline_run({"workflow": {"spec": {"anything": [{"goes": None}]}}}),
    "an empty spec": pipeline_run({"workflow": {"spec": {}}}),
    "templateRef": pipeline_run({"workflow": {"templateRef": {"name": "a", "clusterScope": True}}}),
    "manifestFrom": pipeline_run({"workflow": {"manifestFrom": FROM | {"digest": "sha256:" + "0123456789abcdef" * 4}}}),
    "a name of 63 characters": pipeline_run(ABSENT, "a" * 63),
    "a name with dots": pipeline_run(ABSENT, "train-1.2.3"),
    "everything else": pipeline_run(
        ABSENT
        | {
            "displayName": "Überprüfung № 1",
            "description": "d" * 4096,
            "parameters": [{"name": "a", "value": ""}, {"name": "b", "value": "x" * 65_536}],
            "serviceAccountName": "a",
            "references": [
                {"type": "EXPERIMENT", "id": "a"},
                {"type": "EXPERIMENT", "id": "a", "relationship": "CREATOR"},
                {"type": "JOB", "id": "a", "name": "b"},
            ],
            "pipeline": {"id": "a", "name": "b", "manifest": "c"},
            "shutdown": "Stop",
            "retries": 1000,
            "retention": {"archiveAfter": "0s", "deleteAfter": "1d12h", "keepWorkflow": "1.5h"},
        }
    ),
}


@pytest.mark.parametrize("document", GOOD.values(), ids=GOOD.keys())
def test_a_good_run_is_taken_as_it_is(apply: Apply, document: dict[str, Any]):
    taken = json.loads(apply(document, "--server-side", "--dry-run=server", "-o", "json"))
    assert contains(taken["spec"], document["spec"])


def contains(found: Any, wanted: Any) -> bool:
    """Whether `found` is `wanted`, but for what was defaulted."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(k in found and contains(found[k], v) for k, v in wanted.items())
    if isinstance(wanted, list):
        return isinstance(found, list) and len(found) == len(wanted) and all(map(contains, found, wanted))
    return found == wanted


def test_defaults(apply: Apply):
    taken = json.loads(
        apply(pipeline_run(ABSENT | {"references": [{"type": "JOB", "id": "a"}]}), "--dry-run=server", "-o", "json")
    )
    assert taken["spec"]["retries"] == 0
    assert taken["spec"]["workflow"]["templateRef"]["clusterScope"] is False
    assert taken["spec"]["references"][0]["relationship"] == "OWNER"


def test_a_generated_name_always_fits(kubectl: Kubectl, namespace: str):
    document = pipeline_run(ABSENT)
    document["metadata"] = {"generateName": "a" * 100 + "-"}
    made = json.loads(kubectl("create", "-n", namespace, "-f", "-", "-o", "json", input=json.dumps(document)))
    assert len(made["metadata"]["name"]) <= 63


# ------------------------------------------------------------------------------------------------------------- on edit
class Run:
    """One PipelineRun of the test's namespace, and kubectl's edits of it."""

    def __init__(self, kubectl: Kubectl, namespace: str, name: str = "run") -> None:
        self.kubectl = kubectl
        self.where = ("-n", namespace)
        self.name = name

    def create(self, spec: dict[str, Any], **metadata: Any) -> Run:
        self.kubectl("create", *self.where, "-f", "-", input=json.dumps(pipeline_run(spec, self.name, **metadata)))
        return self

    def patch(self, document: dict[str, Any], *arguments: str) -> dict[str, Any]:
        """A JSON merge patch; returns the object as it then is."""
        command = ("patch", *self.where, "prun", self.name, "--type=merge", "-p", json.dumps(document), "-o", "json")
        return json.loads(self.kubectl(*command, *arguments))

    def spec(self, **fields: Any) -> dict[str, Any]:
        return self.patch({"spec": fields})

    def accept(self) -> Run:
        """What the operator writes once it has created the Workflow."""
        self.patch({"status": {"workflow": {"name": self.name, "uid": "8a0c"}}}, "--subresource=status")
        return self

    def get(self) -> dict[str, Any]:
        return json.loads(self.kubectl("get", *self.where, "prun", self.name, "-o", "json", "--show-managed-fields"))


@pytest.fixture
def run(kubectl: Kubectl, namespace: str) -> Run:
    return Run(kubectl, namespace)


def source(**changes: Any) -> dict[str, Any]:
    return {"workflow": {"spec": changes}}


FROZEN = "cannot change once the run's Workflow was created: apply a PipelineRun of another name instead"
PARAMETERS = [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}]

FROZEN_EDITS: dict[str, tuple[dict[str, Any], str]] = {
    "a key of the inline spec changed": (source(parallelism=2), "spec.workflow"),
    "a key added": (source(priority=1), "spec.workflow"),
    "a key removed": (source(parallelism=None), "spec.workflow"),
    "a key exchanged for another": (source(parallelism=None, priority=1), "spec.workflow"),
    "an image deep inside changed": (
        source(templates=[{"name": "main", "container": {"image": "alpine", "command": ["true"]}}]),
        "spec.workflow",
    ),
    "a null filled in": (source(volumes=[]), "spec.workflow"),
    "another source": ({"workflow": {"spec": None, "manifest": "a"}}, "spec.workflow"),
    "a parameter's value": ({"parameters": [PARAMETERS[0], {"name": "b", "value": "3"}]}, "spec.parameters"),
    "a parameter more": ({"parameters": [*PARAMETERS, {"name": "c", "value": "3"}]}, "spec.parameters"),
    "a parameter less": ({"parameters": PARAMETERS[:1]}, "spec.parameters"),
    "no parameters": ({"parameters": None}, "spec.parameters"),
}


def test_what_a_run_was_made_from_is_frozen_once_it_was_accepted(run: Run):
    run.create({**source(**SUSPENDED), "parameters": PARAMETERS}).accept()
    before = run.get()["spec"]
    assert before["workflow"]["spec"]["volumes"] is None, "or the edit of a null proves nothing"
    for edit, (fields, field) in FROZEN_EDITS.items():
        assert f"{field}: Forbidden: {FROZEN}" in refused(run.spec, **fields), edit
    assert run.get()["spec"] == before


def test_parameters_cannot_be_added_to_an_accepted_run_that_had_none(run: Run):
    run.create(source(**SUSPENDED)).accept()
    assert f"spec.parameters: Forbidden: {FROZEN}" in refused(run.spec, parameters=PARAMETERS)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"manifest": "a"}, {"manifest": "b"}),
        ({"templateRef": {"name": "a"}}, {"templateRef": {"clusterScope": True}}),
        ({"manifestFrom": FROM}, {"manifestFrom": {"digest": "sha256:" + "0" * 64}}),
    ],
    ids=["manifest", "templateRef", "manifestFrom"],
)
def test_every_source_is_frozen(run: Run, before: dict[str, Any], after: dict[str, Any]):
    run.create({"workflow": before}).accept()
    assert f"spec.workflow: Forbidden: {FROZEN}" in refused(run.spec, workflow=after)


def test_a_run_that_was_not_accepted_can_be_mended(run: Run):
    """A Stalled run has no Workflow: mending its spec is what it waits for."""
    run.create(ABSENT | {"parameters": PARAMETERS[:1]})
    run.spec(parameters=PARAMETERS, workflow={"templateRef": {"name": "another"}})
    assert run.spec(workflow={"templateRef": None, "manifest": "a"})["spec"]["workflow"] == {"manifest": "a"}


def test_what_stays_possible_on_an_accepted_run(run: Run):
    run.create({**source(**SUSPENDED), "parameters": PARAMETERS}, finalizers=["runwright.dev/test"]).accept()
    run.spec(parameters=PARAMETERS[::-1])
    run.spec(displayName="a", description="b", retention={"deleteAfter": "1h"}, references=[{"type": "JOB", "id": "a"}])
    run.patch({"metadata": {"labels": {"runwright.dev/storage-state": "Archived"}, "annotations": {"a": "b"}}})
    assert run.patch({"status": {"phase": "Running"}}, "--subresource=status")["status"]["phase"] == "Running"
    run.kubectl("delete", *run.where, "prun", run.name, "--wait=false")
    run.patch({"metadata": {"finalizers": None}})
    assert run.kubectl("get", *run.where, "prun", "--ignore-not-found", run.name) == ""


@pytest.mark.parametrize("how", [(), ("--server-side",)], ids=["client-side", "server-side"])
def test_applying_an_accepted_run_again_changes_nothing(run: Run, apply: Apply, how: tuple[str, ...]):
    """As Argo CD and every other GitOps tool does."""
    document = pipeline_run({**source(**SUSPENDED), "parameters": PARAMETERS})
    apply(document, *how)
    before = run.accept().get()["metadata"]
    apply(document, *how)
    assert run.get()["metadata"]["generation"] == before["generation"]


@pytest.mark.parametrize(
    "spec",
    [
        {"workflow": {"manifest": "é" * 600_000}},
        {
            "workflow": {
                "spec": {"arguments": {"parameters": [{"name": f"p{i}", "value": "x" * 1000} for i in range(800)]}}
            }
        },
        ABSENT | {"parameters": [{"name": f"p{i}", "value": "x" * 1500} for i in range(512)]},
    ],
    ids=["manifest", "spec", "parameters"],
)
def test_the_rules_are_within_the_budget_for_the_largest_runs(run: Run, apply: Apply, spec: dict[str, Any]):
    """A rule that costs too much at run time would refuse every later edit, the operator's too."""
    apply(pipeline_run(spec), "--server-side")
    run.accept().patch({"metadata": {"labels": {"a": "b"}}})
    assert run.patch({"status": {"message": "seen"}}, "--subresource=status")["status"]["message"] == "seen"
    assert FROZEN in refused(
        run.spec, workflow={"templateRef": {"name": "a"}, "manifest": None, "spec": None}, parameters=None
    )


def test_a_namespace_that_is_being_deleted_takes_no_run(run: Run):
    """A run with a finalizer holds the namespace in that state."""
    run.create(ABSENT, finalizers=["runwright.dev/test"])
    namespace = run.where[1]
    run.kubectl("delete", "namespace", namespace, "--wait=false")
    late = Run(run.kubectl, namespace, "late")
    assert f"unable to create new content in namespace {namespace} because it is being terminated" in refused(
        late.create, ABSENT
    )
    run.patch({"metadata": {"finalizers": None}})


def test_retries_only_grows(run: Run):
    run.create(ABSENT | {"retries": 1})
    assert run.spec(retries=2)["spec"]["retries"] == 2
    message = "spec.retries: Forbidden: only grows: to retry a failed run, set it to status.retries + 1"
    assert message in refused(run.spec, retries=1)
    assert message in refused(run.spec, retries=None)


def test_a_shutdown_is_not_taken_back(run: Run):
    message = "spec.shutdown: Forbidden: cannot be taken back, nor changed from Terminate to Stop: keep it, or raise spec.retries"
    run.create(ABSENT | {"shutdown": "Terminate"})
    assert message in refused(run.spec, shutdown="Stop")
    assert message in refused(run.spec, shutdown=None)
    assert run.spec(shutdown="Stop", retries=1)["spec"]["shutdown"] == "Stop"
    assert message in refused(run.spec, shutdown=None)
    assert "shutdown" not in run.spec(shutdown=None, retries=2)["spec"]


def test_a_run_that_has_ended_takes_no_shutdown(run: Run):
    message = "spec.shutdown: Forbidden: cannot be set on a run that has ended: there is nothing left to shut down"
    run.create(ABSENT)
    run.patch({"status": {"phase": "Succeeded"}}, "--subresource=status")
    for how in ("Stop", "Terminate"):
        assert message in refused(run.spec, shutdown=how)
    assert run.spec(shutdown="Stop", retries=1)["spec"]["shutdown"] == "Stop"
    assert message in refused(run.spec, shutdown="Terminate")
    run.patch({"metadata": {"labels": {"a": "b"}}})


# ---------------------------------------------------------------------------------------------------------- the status
def test_only_the_status_subresource_changes_the_status(run: Run, apply: Apply):
    """Each edit is judged by the object that it returned: an operator may write in between."""
    created = json.loads(
        apply(pipeline_run(ABSENT) | {"status": {"phase": "Skipped", "message": "by hand"}}, "-o", "json")
    )
    assert "status" not in created
    edited = run.patch({"spec": {"displayName": "a"}, "status": {"message": "by hand"}})
    assert edited["spec"]["displayName"] == "a" and edited.get("status", {}).get("message") != "by hand"


def test_the_status_subresource_changes_nothing_else(run: Run):
    run.create(ABSENT)
    before = run.get()["metadata"]
    edited = run.patch(
        {"status": {"phase": "Skipped"}, "spec": {"retries": 5}, "metadata": {"labels": {"a": "b"}}},
        "--subresource=status",
    )
    assert edited["status"]["phase"] == "Skipped" and edited["spec"]["retries"] == 0
    assert edited["metadata"]["generation"] == before["generation"] and "labels" not in edited["metadata"]


BAD_STATUS: dict[str, tuple[dict[str, Any], str]] = {
    "phase": ({"phase": "Done"}, 'status.phase: Unsupported value: "Done": supported values: "Pending", "Running"'),
    "condition": (
        {"conditions": [{"type": "Succeeded", "status": "Yes"}]},
        'status.conditions[0].status: Unsupported value: "Yes"',
    ),
    "time": (
        {"startedAt": "today"},
        'status.startedAt: Invalid value: "today": startedAt in body must be of type date-time',
    ),
    "metric": (
        {"metrics": [{"nodeID": "a", "name": "m", "value": 1}, {"nodeID": "a", "name": "m", "value": 2}]},
        "status.metrics[1]: Duplicate value",
    ),
}


@pytest.mark.parametrize("status, message", BAD_STATUS.values(), ids=BAD_STATUS.keys())
def test_a_bad_status_is_refused(run: Run, status: dict[str, Any], message: str):
    run.create(ABSENT)
    assert message in refused(run.patch, {"status": status}, "--subresource=status")


# -------------------------------------------------------------------------------------------------- server-side apply
def test_appliers_of_different_parameters_are_merged_by_name(run: Run, apply: Apply):
    def set_by(manager: str, *names: str, value: str) -> str:
        parameters = [{"name": name, "value": value} for name in names]
        return apply(pipeline_run(ABSENT | {"parameters": parameters}), "--server-side", f"--field-manager={manager}")

    def now() -> dict[str, str]:
        return {parameter["name"]: parameter["value"] for parameter in run.get()["spec"]["parameters"]}

    set_by("one", "a", "b", value="1")
    set_by("two", "c", value="2")
    assert now() == {"a": "1", "b": "1", "c": "2"}
    set_by("one", "a", value="1")
    assert now() == {"a": "1", "c": "2"}, "what its only owner no longer applies is gone"
    conflict = refused(set_by, "two", "a", value="2")
    assert 'conflict with "one": .spec.parameters[name="a"].value' in conflict


def test_an_inline_spec_has_one_owner_and_does_not_swell_the_object(run: Run, apply: Apply):
    apply(pipeline_run(source(**SUSPENDED)), "--server-side", "--field-manager=one")
    conflict = refused(
        apply,
        pipeline_run(source(**SUSPENDED | {"parallelism": 2})),
        "--server-side",
        "--field-manager=two",
        "--dry-run=server",
    )
    assert 'conflict with "one": .spec.workflow.spec' in conflict
    (owned,) = (m["fieldsV1"] for m in run.get()["metadata"]["managedFields"] if m["manager"] == "one")
    assert owned["f:spec"]["f:workflow"] == {"f:spec": {}}


# ---------------------------------------------------------------------------------------------------- what people read
def test_the_cluster_has_the_crd_of_this_checkout(kubectl: Kubectl):
    wanted = custom_resource_definition()
    found = json.loads(kubectl("get", "crd", wanted["metadata"]["name"], "-o", "json"))
    assert found["spec"]["versions"] == wanted["spec"]["versions"], "apply crds/ or run `make deploy`"
    conditions = {condition["type"]: condition["status"] for condition in found["status"]["conditions"]}
    assert conditions["Established"] == conditions["NamesAccepted"] == "True"
    assert conditions.get("NonStructuralSchema", "False") == "False"


def test_short_name_and_no_category(kubectl: Kubectl):
    (line,) = kubectl("api-resources", "--api-group=runwright.dev", "-o", "wide", "--no-headers").splitlines()
    assert line.split()[:5] == ["pipelineruns", "prun", "runwright.dev/v1alpha1", "true", "PipelineRun"]
    assert line.split()[5:] == ["delete,deletecollection,get,list,patch,create,update,watch"], (
        "no category: `get all` is Kubernetes' own"
    )


FINISHED = {
    "phase": "Skipped",
    "message": "nothing-to-do",
    "progress": "3/5",
    "duration": "1m12s",
    "workflow": {"name": "the-workflow", "uid": "8a0c"},
    "conditions": [
        {"type": type_, "status": "False", "reason": reason, "lastTransitionTime": "2026-01-01T00:00:00Z"}
        for type_, reason in (("Stalled", "NotThisOne"), ("Succeeded", "WasSkipped"))
    ],
}


def test_columns(run: Run):
    """With a status that a finished run has, which the operator leaves alone."""
    run.create(ABSENT | {"displayName": "nightly"}, labels={"runwright.dev/storage-state": "Archived"})
    run.patch({"status": FINISHED}, "--subresource=status")
    head, row = run.kubectl("get", *run.where, "prun").splitlines()
    assert head.split() == ["NAME", "PHASE", "REASON", "PROGRESS", "DURATION", "AGE"]
    assert row.split()[:-1] == ["run", "Skipped", "WasSkipped", "3/5", "1m12s"]
    head, row = run.kubectl("get", *run.where, "prun", "-o", "wide").splitlines()
    assert " ".join(head.split()[5:]) == "AGE DISPLAY NAME WORKFLOW STORAGE MESSAGE"
    assert row.split()[6:] == ["nightly", "the-workflow", "Archived", "nothing-to-do"]


def test_field_selectors(kubectl: Kubectl, namespace: str):
    """Every selectable field picks its own run among the others, on the server."""
    runs: dict[str, tuple[str, dict[str, Any]]] = {
        "display": ("spec.displayName=nightly", ABSENT | {"displayName": "nightly"}),
        "account": ("spec.serviceAccountName=robot", ABSENT | {"serviceAccountName": "robot"}),
        "pipeline": ("spec.pipeline.id=7", ABSENT | {"pipeline": {"id": "7"}}),
        "shutdown": ("spec.shutdown=Stop", ABSENT | {"shutdown": "Stop"}),
        "template": ("spec.workflow.templateRef.name=other", {"workflow": {"templateRef": {"name": "other"}}}),
        "configmap": ("spec.workflow.manifestFrom.configMapKeyRef.name=a", {"workflow": {"manifestFrom": FROM}}),
        "phase": ("status.phase=Skipped", ABSENT),
    }
    for name, (_, spec) in runs.items():
        Run(kubectl, namespace, name).create(spec)
    Run(kubectl, namespace, "phase").patch({"status": FINISHED}, "--subresource=status")

    for name, (selector, _) in runs.items():
        assert kubectl("get", "-n", namespace, "prun", "-o", "name", "--field-selector", selector).split() == [
            f"pipelinerun.runwright.dev/{name}"
        ]
    selectable = {
        entry["jsonPath"] for entry in custom_resource_definition()["spec"]["versions"][0]["selectableFields"]
    }
    assert selectable == {f".{selector.partition('=')[0]}" for selector, _ in runs.values()}
    assert "field label not supported" in refused(
        kubectl, "get", "-n", namespace, "prun", "--field-selector", "spec.retries=0"
    )


def test_wait_by_condition_and_by_phase(run: Run):
    run.create(ABSENT)
    succeeded = {"type": "Succeeded", "status": "True", "reason": "Done", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    run.patch({"status": {"phase": "Succeeded", "conditions": [succeeded]}}, "--subresource=status")
    run.kubectl("wait", *run.where, "prun/run", "--for=condition=Succeeded", "--timeout=20s")
    run.kubectl("wait", *run.where, "prun/run", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=20s")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("prun", "DESCRIPTION: A PipelineRun is one run of a pipeline: a Workflow of Argo"),
        ("prun.spec", "workflow <Object> -required- What to run: exactly one of manifest, spec, templateRef and manifestFrom"),
        ("prun.spec.workflow.templateRef", "clusterScope <boolean> true: a ClusterWorkflowTemplate. false: a WorkflowTemplate in"),
        ("prun.spec.workflow.spec", "FIELD: spec <map[string]Object> DESCRIPTION: An Argo WorkflowSpec, inline"),
        ("prun.spec.parameters", "value <string> -required- The value; numbers and lists as JSON text."),
        ("prun.spec.shutdown", "ENUM: Stop Terminate DESCRIPTION: Ends the run early. Stop: running steps end"),
        ("prun.spec.retention.deleteAfter", "FIELD: deleteAfter <string> DESCRIPTION: Delete the run this long after its end."),
        ("prun.status.phase", "ENUM: Pending Running Succeeded Skipped Failed Error"),
        ("prun.status.metrics.nodeID", "Id of the node that reported it."),
    ],
)  # fmt: skip
def test_explain(kubectl: Kubectl, path: str, words: str):
    assert words in " ".join(kubectl("explain", path).split())
