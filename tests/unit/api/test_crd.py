"""The CustomResourceDefinition is a structural schema with everything that the models and `kinds` specify."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest

from runwright.api import crd
from runwright.api.crd import LIST_KEYS, custom_resource_definition, openapi_schema
from runwright.api.kinds import KINDS, PIPELINE_RUN, RETENTION_POLICY, WORKFLOW_SNAPSHOT, Kind
from runwright.api.model import Model
from runwright.api.pipelinerun import Parameter
from runwright.api.rules import PATTERN_MESSAGES, Rule

SCHEMA = openapi_schema(PIPELINE_RUN)


def fields(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Path, schema and whether required, of every field below `schema`; `[]` stands for a list's items."""
    for name, field in schema.get("properties", {}).items():
        here = f"{path}.{name}".removeprefix(".")
        yield here, field, name in schema.get("required", [])
        yield from fields(field, here)
        if "items" in field:
            yield f"{here}[]", field["items"], True
            yield from fields(field["items"], f"{here}[]")


FIELDS = {path: field for path, field, _ in fields(SCHEMA)}
REQUIRED = {path for path, _, required in fields(SCHEMA) if required}
EVERY = {kind.name: list(fields(openapi_schema(kind))) for kind in KINDS}
OWN = {
    f"{kind}.{path}": field
    for kind, found in EVERY.items()
    for path, field, _ in found
    if path.partition(".")[0] != "metadata"
}
"""Of all kinds, without metadata, whose schema Kubernetes knows; a CRD may only name it."""
ALWAYS = {
    f"{kind}.{path}"
    for kind, found in EVERY.items()
    for path, field, required in found
    if required or "default" in field
}


def keywords(node: Any) -> Iterator[str]:
    """Every keyword of a schema, without the names of its fields."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield key
            yield from (
                (word for field in value.values() for word in keywords(field))
                if key == "properties"
                else (() if key == "default" else keywords(value))
            )
    elif isinstance(node, list):
        for item in node:
            yield from keywords(item)


def test_the_schema_is_structural():
    for kind in KINDS:
        used = set(keywords(openapi_schema(kind)))
        assert not used & {"$ref", "$defs", "anyOf", "oneOf", "allOf", "not", "title", "const", "pattern"}
    for path, field in OWN.items():
        assert isinstance(field["type"], str), path


def test_null_is_allowed_only_inside_the_inline_spec():
    assert list(keywords(SCHEMA)).count("nullable") == 1
    assert list(keywords(SCHEMA)).count("x-kubernetes-preserve-unknown-fields") == 1
    assert FIELDS["spec.workflow.spec"] == {
        "description": FIELDS["spec.workflow.spec"]["description"],
        "type": "object",
        "additionalProperties": {"x-kubernetes-preserve-unknown-fields": True, "nullable": True},
        "x-kubernetes-map-type": "atomic",
    }


@pytest.mark.parametrize("path", list(OWN))
def test_every_field_is_explained(path: str):
    description = OWN[path]["description"]
    assert len(description) >= 8 and "  " not in description and "\n" not in description
    assert description.endswith((".", "…")), description


@pytest.mark.parametrize("path", [path for path, field in OWN.items() if field["type"] == "string"])
def test_every_string_is_bounded(path: str):
    field = OWN[path]
    bounded = "maxLength" in field or "enum" in field or field.get("format") == "date-time"
    assert bounded or path.endswith((".apiVersion", ".kind"))


@pytest.mark.parametrize("path", [path for path, field in OWN.items() if field["type"] == "array"])
def test_every_list_is_bounded_and_says_how_it_merges(path: str):
    field = OWN[path]
    assert field["maxItems"] > 0
    keys = field.get("x-kubernetes-list-map-keys", [])
    assert field["x-kubernetes-list-type"] == ("map" if keys else "atomic")
    for key in keys:
        assert f"{path}[].{key}" in ALWAYS, "a key is always there"


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("spec.parameters", ["name"]),
        ("spec.references", ["type", "id", "relationship"]),
        ("status.conditions", ["type"]),
    ],
)
def test_lists_that_server_side_apply_merges(path: str, keys: list[str]):
    assert FIELDS[path]["x-kubernetes-list-map-keys"] == keys


def test_defaults_are_those_of_the_models():
    assert {path: field["default"] for path, field in FIELDS.items() if "default" in field} == {
        "spec.workflow.templateRef.clusterScope": False,
        "spec.references[].relationship": "OWNER",
        "spec.retries": 0,
        "status.conditions[].message": "",
        "status.metrics[].format": "UNSPECIFIED",
    }


def test_required_fields_are_those_without_a_default():
    assert {path for path in REQUIRED if path.startswith("spec") and not path.endswith("[]")} == {
        "spec",
        "spec.workflow",
        "spec.workflow.templateRef.name",
        "spec.workflow.manifestFrom.pipelineManifestRef.name",
        "spec.workflow.manifestFrom.configMapKeyRef.name",
        "spec.workflow.manifestFrom.configMapKeyRef.key",
        "spec.parameters[].name",
        "spec.parameters[].value",
        "spec.references[].type",
        "spec.references[].id",
    }


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("spec.retries", {"type": "integer", "format": "int32", "minimum": 0, "maximum": 1000, "default": 0}),
        ("status.observedGeneration", {"type": "integer", "format": "int64"}),
        ("status.startedAt", {"type": "string", "format": "date-time"}),
        ("status.metrics[].value", {"type": "number", "format": "double"}),
        ("spec.shutdown", {"type": "string", "enum": ["Stop", "Terminate"]}),
        ("spec.workflow.manifest", {"type": "string", "minLength": 1, "maxLength": 1_000_000}),
    ],
)
def test_types_and_bounds(path: str, expected: dict[str, Any]):
    assert {key: value for key, value in FIELDS[path].items() if key != "description"} == expected


def test_a_pattern_becomes_a_rule_that_says_what_to_write():
    field = FIELDS["spec.retention.deleteAfter"]
    (rule,) = field["x-kubernetes-validations"]
    assert rule["message"] in PATTERN_MESSAGES.values()
    assert rule["rule"].startswith("self.matches(r'^") and "'" not in rule["rule"][len("self.matches(r'") : -2]


def test_a_list_without_list_keys_is_refused(monkeypatch: pytest.MonkeyPatch):
    without: dict[type[Model], tuple[str, ...]] = {k: v for k, v in LIST_KEYS.items() if k is not Parameter}
    monkeypatch.setattr(crd, "LIST_KEYS", without)
    with pytest.raises(TypeError, match="Parameter"):
        openapi_schema(PIPELINE_RUN)


def test_a_rule_on_an_unknown_field_is_refused():
    rules = (*PIPELINE_RUN.rules, Rule(path="spec.workflows", expression="true", message="never"))
    with pytest.raises(KeyError, match="workflows"):
        openapi_schema(dataclasses.replace(PIPELINE_RUN, rules=rules))


NAMES = {
    "PipelineRun": ("PipelineRunList", "pipelineruns", "pipelinerun", ["prun"]),
    "RetentionPolicy": ("RetentionPolicyList", "retentionpolicies", "retentionpolicy", None),
    "PipelineExperiment": ("PipelineExperimentList", "pipelineexperiments", "pipelineexperiment", ["pexp"]),
    "PipelineManifest": ("PipelineManifestList", "pipelinemanifests", "pipelinemanifest", None),
    "WorkflowSnapshot": ("WorkflowSnapshotList", "workflowsnapshots", "workflowsnapshot", None),
}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_names_and_subresources(kind: Kind):
    document = custom_resource_definition(kind)
    spec = document["spec"]
    names = spec["names"]
    assert (names["listKind"], names["plural"], names["singular"], names.get("shortNames")) == NAMES[names["kind"]]
    assert document["metadata"]["name"] == f"{names['plural']}.runwright.dev"
    assert spec["scope"] == "Namespaced"
    (version,) = spec["versions"]
    assert version.get("subresources") == ({"status": {}} if kind is PIPELINE_RUN else None)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_columns_and_selectable_fields_are_fields_that_exist(kind: Kind):
    (version,) = custom_resource_definition(kind)["spec"]["versions"]
    there = {path: field for path, field, _ in EVERY[kind.name]}
    selectable = [entry["jsonPath"].removeprefix(".") for entry in version.get("selectableFields", [])]
    assert len(selectable) <= 8
    for path in selectable:
        assert there[path]["type"] == "string"
    plain = {
        column["jsonPath"].removeprefix("."): column["type"]
        for column in version["additionalPrinterColumns"]
        if not column["jsonPath"].startswith(".metadata") and "[" not in column["jsonPath"]
    }
    assert plain == {path: there[path]["type"] for path in plain}


@pytest.mark.parametrize(
    ("kind", "narrow"),
    [
        (PIPELINE_RUN, "Phase, Reason, Progress, Duration, Age"),
        (RETENTION_POLICY, "Archive After, Delete After, Keep Workflow, Keep Succeeded, Keep Failed, Age"),
        (WORKFLOW_SNAPSHOT, "Attempt, Age"),
    ],
    ids=lambda part: getattr(part, "name", ""),
)
def test_what_a_list_shows(kind: Kind, narrow: str):
    (version,) = custom_resource_definition(kind)["spec"]["versions"]
    assert ", ".join(c["name"] for c in version["additionalPrinterColumns"] if not c.get("priority")) == narrow


@pytest.mark.parametrize(
    ("kind", "required"),
    [(PIPELINE_RUN, ["spec"]), (RETENTION_POLICY, ["spec"]), (WORKFLOW_SNAPSHOT, ["attempt", "workflowUID", "data"])],
    ids=lambda part: getattr(part, "name", ""),
)
def test_the_models_and_the_schema_have_the_same_top(kind: Kind, required: list[str]):
    schema = openapi_schema(kind)
    assert set(schema["properties"]) == {field.alias or name for name, field in kind.model.model_fields.items()}
    assert schema["required"] == required
