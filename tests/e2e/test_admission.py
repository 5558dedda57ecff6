"""What the API server itself says to a new object: refused with what to write instead, defaulted, taken.

Nothing here needs the operator, and nothing minds that it runs.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.cluster import Kubectl
from tests.e2e.conftest import Apply
from tests.e2e.manifests import of_kind, of_spec
from tests.e2e.runs import ABSENT, FROM, refused

SOURCES = "manifest, spec, templateRef and manifestFrom"
DURATION = "write a duration as numbers with units (ms, s, m, h, d), such as 90s, 15m, 36h, 7d or 1h30m"
TOO_LONG = "metadata.name: Forbidden: use a name of at most 63 characters: it is also the Workflow's name"

BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a name of 64 characters": (of_spec(ABSENT, "a" * 64), TOO_LONG),
    "a name of 253 characters": (of_spec(ABSENT, "a" * 253), TOO_LONG),
    "a name that no object may have": (of_spec(ABSENT, "Run_1"), "a lowercase RFC 1123 subdomain must consist of"),
    "no workflow": (of_spec({"displayName": "a"}), "spec.workflow: Required value"),
    "no source": (
        of_spec({"workflow": {}}),
        f"spec.workflow: Required value: set one of {SOURCES}: without one there is nothing to run",
    ),
    "a source that is null": (
        of_spec({"workflow": {"spec": None}}),
        f"spec.workflow: Required value: set one of {SOURCES}",
    ),
    "manifest and spec": (
        of_spec({"workflow": {"manifest": "a", "spec": {}}}),
        f"spec.workflow: Forbidden: set only one of {SOURCES}",
    ),
    "templateRef and manifestFrom": (
        of_spec({"workflow": {"templateRef": {"name": "a"}, "manifestFrom": FROM}}),
        f"spec.workflow: Forbidden: set only one of {SOURCES}",
    ),
    "all sources": (
        of_spec({"workflow": {"manifest": "a", "spec": {}, "templateRef": {"name": "a"}, "manifestFrom": FROM}}),
        f"spec.workflow: Forbidden: set only one of {SOURCES}",
    ),
    "an empty manifest": (
        of_spec({"workflow": {"manifest": ""}}),
        "spec.workflow.manifest in body should be at least 1 chars long",
    ),
    "a manifest over the size limit": (
        of_spec({"workflow": {"manifest": "a" * 1_000_001}}),
        "spec.workflow.manifest: Too long: may not be more than 1000000",
    ),
    "a spec that is no object": (
        of_spec({"workflow": {"spec": "a"}}),
        "spec.workflow.spec in body must be of type object",
    ),
    "a template without a name": (
        of_spec({"workflow": {"templateRef": {}}}),
        "spec.workflow.templateRef.name: Required value",
    ),
    "a ConfigMap without a key": (
        of_spec({"workflow": {"manifestFrom": {"configMapKeyRef": {"name": "a"}}}}),
        "spec.workflow.manifestFrom.configMapKeyRef.key: Required value",
    ),
    "a PipelineManifest and a ConfigMap": (
        of_spec({"workflow": {"manifestFrom": FROM | {"pipelineManifestRef": {"name": "a"}}}}),
        "spec.workflow.manifestFrom: Forbidden: set exactly one of pipelineManifestRef and configMapKeyRef",
    ),
    "neither a PipelineManifest nor a ConfigMap": (
        of_spec({"workflow": {"manifestFrom": {"digest": "sha256:" + "0" * 64}}}),
        "spec.workflow.manifestFrom: Forbidden: set exactly one of pipelineManifestRef and configMapKeyRef",
    ),
    "a digest of another kind": (
        of_spec({"workflow": {"manifestFrom": FROM | {"digest": "md5:0cc175b9c0f1b6a831c399e269772661"}}}),
        "write the digest as sha256: and 64 lower-case hex digits, as sha256sum prints them",
    ),
    "a field that does not exist": (
        of_spec(ABSENT | {"serviceAccount": "a"}),
        'unknown field "spec.serviceAccount"',
    ),
    "a parameter twice": (
        of_spec(ABSENT | {"parameters": [{"name": "a", "value": "1"}, {"name": "a", "value": "2"}]}),
        'spec.parameters[1]: Duplicate value: {"name":"a"}',
    ),
    "a parameter that is a number": (
        of_spec(ABSENT | {"parameters": [{"name": "a", "value": 1}]}),
        "spec.parameters[0].value in body must be of type string",
    ),
    "a parameter without a value": (
        of_spec(ABSENT | {"parameters": [{"name": "a"}]}),
        "spec.parameters[0].value: Required value",
    ),
    "too many parameters": (
        of_spec(ABSENT | {"parameters": [{"name": f"p{i}", "value": ""} for i in range(513)]}),
        "spec.parameters: Too many: 513: must have at most 512 items",
    ),
    "a reference twice, once with the default spelt out": (
        of_spec(
            ABSENT | {"references": [{"type": "JOB", "id": "a"}, {"type": "JOB", "id": "a", "relationship": "OWNER"}]}
        ),
        "spec.references[1]: Duplicate value",
    ),
    "a reference of no known kind": (
        of_spec(ABSENT | {"references": [{"type": "TEAM", "id": "a"}]}),
        'Unsupported value: "TEAM": supported values: "EXPERIMENT", "JOB", "PIPELINE", "PIPELINE_VERSION", "NAMESPACE"',
    ),
    "a shutdown of no known kind": (
        of_spec(ABSENT | {"shutdown": "Kill"}),
        'spec.shutdown: Unsupported value: "Kill": supported values: "Stop", "Terminate"',
    ),
    "negative retries": (
        of_spec(ABSENT | {"retries": -1}),
        "spec.retries in body should be greater than or equal to 0",
    ),
    "retries without end": (
        of_spec(ABSENT | {"retries": 1001}),
        "spec.retries in body should be less than or equal to 1000",
    ),
    "a duration in words": (
        of_spec(ABSENT | {"retention": {"deleteAfter": "a week"}}),
        f'spec.retention.deleteAfter: Invalid value: "string": {DURATION}',
    ),
    "a duration without a unit": (of_spec(ABSENT | {"retention": {"archiveAfter": "90"}}), DURATION),
    "a duration below zero": (of_spec(ABSENT | {"retention": {"keepWorkflow": "-1h"}}), DURATION),
    "a policy of another name": (
        of_kind("RetentionPolicy", "weekly", spec={}),
        "metadata.name: Forbidden: use the name default: a namespace has at most one RetentionPolicy",
    ),
    "a policy that says nothing": (of_kind("RetentionPolicy", "default"), "spec: Required value"),
    "a policy with a duration in words": (
        of_kind("RetentionPolicy", "default", spec={"archiveAfter": "a week"}),
        f'spec.archiveAfter: Invalid value: "string": {DURATION}',
    ),
    "a policy that keeps fewer than none": (
        of_kind("RetentionPolicy", "default", spec={"keepFailed": -1}),
        "spec.keepFailed in body should be greater than or equal to 0",
    ),
    "a policy that keeps too many": (
        of_kind("RetentionPolicy", "default", spec={"keepSucceeded": 100_001}),
        "spec.keepSucceeded in body should be less than or equal to 100000",
    ),
    "a snapshot of nothing": (
        of_kind("WorkflowSnapshot", "a", attempt=0, workflowUID="8a0c", data=""),
        "data in body should be at least 1 chars long",
    ),
    "a snapshot over the size limit": (
        of_kind("WorkflowSnapshot", "a", attempt=0, workflowUID="8a0c", data="a" * 1_400_001),
        "data: Too long: may not be more than 1400000",
    ),
}


@pytest.mark.parametrize(("document", "message"), BAD.values(), ids=BAD.keys())
def test_a_bad_object_is_refused_with_what_to_write_instead(
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
def test_server_side_apply_refuses_a_bad_object(apply: Apply, spec: dict[str, Any], message: str):
    assert message in refused(apply, of_spec(spec), "--server-side", "--dry-run=server")


GOOD: dict[str, dict[str, Any]] = {
    "manifest": of_spec({"workflow": {"manifest": "a" * 1_000_000}}),
    "spec": of_spec({"workflow": {"spec": {"anything": [{"goes": None}]}}}),
    "an empty spec": of_spec({"workflow": {"spec": {}}}),
    "templateRef": of_spec({"workflow": {"templateRef": {"name": "a", "clusterScope": True}}}),
    "manifestFrom": of_spec({"workflow": {"manifestFrom": FROM | {"digest": "sha256:" + "0123456789abcdef" * 4}}}),
    "a name of 63 characters": of_spec(ABSENT, "a" * 63),
    "a name with dots": of_spec(ABSENT, "train-1.2.3"),
    "everything else": of_spec(
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
def test_a_valid_run_is_stored_unchanged(apply: Apply, document: dict[str, Any]):
    taken = json.loads(apply(document, "--server-side", "--dry-run=server", "-o", "json"))
    assert contains(taken["spec"], document["spec"])


def contains(found: Any, wanted: Any) -> bool:
    """Whether `found` is `wanted`, but for what was defaulted."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(k in found and contains(found[k], v) for k, v in wanted.items())
    if isinstance(wanted, list):
        return isinstance(found, list) and len(found) == len(wanted) and all(map(contains, found, wanted))
    return found == wanted


def test_a_minimal_run_gets_the_documented_defaults(apply: Apply):
    taken = json.loads(
        apply(of_spec(ABSENT | {"references": [{"type": "JOB", "id": "a"}]}), "--dry-run=server", "-o", "json")
    )
    assert taken["spec"]["retries"] == 0
    assert taken["spec"]["workflow"]["templateRef"]["clusterScope"] is False
    assert taken["spec"]["references"][0]["relationship"] == "OWNER"


def test_a_generated_name_within_the_limit_runs(kubectl: Kubectl, namespace: str):
    document = of_spec(ABSENT)
    document["metadata"] = {"generateName": "a" * 100 + "-"}
    made = json.loads(kubectl("create", "-n", namespace, "-f", "-", "-o", "json", input=json.dumps(document)))
    assert len(made["metadata"]["name"]) <= 63
