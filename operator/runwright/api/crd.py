"""The CustomResourceDefinition of `PipelineRun`, made from the pydantic models.

A structural schema (apiextensions.k8s.io/v1) has no `$ref`, no `anyOf` with null and no title; an optional field is one
that `required` leaves out. Everything that the models cannot say about Kubernetes stands in the tables here and in
`runwright.api.rules`.
"""

from __future__ import annotations

from typing import Any

from runwright.api.model import GROUP, VERSION, Model
from runwright.api.pipelinerun import (
    KIND,
    PLURAL,
    SHORT_NAME,
    STORAGE_STATE_LABEL,
    Condition,
    Metric,
    NodeStatus,
    OutputArtifact,
    OutputParameter,
    Parameter,
    PipelineRun,
    Reference,
)
from runwright.api.rules import PATTERN_MESSAGES, RULES, Rule

Schema = dict[str, Any]

LIST_KEYS: dict[type[Model], tuple[str, ...]] = {
    Parameter: ("name",),
    Reference: ("type", "id", "relationship"),
    Condition: ("type",),
    Metric: ("nodeID", "name"),
    NodeStatus: (),
    OutputParameter: (),
    OutputArtifact: (),
}
"""What tells the items of a list apart: server-side apply merges by these keys, and the API server refuses doubles.

A list without keys is atomic: it has one writer, and managedFields would name every field of every item (measured with 20
nodes: 3.9 KB of managedFields with keys, 0.7 KB without).
"""

PRINTER_COLUMNS: tuple[Schema, ...] = (
    {
        "name": "Phase",
        "type": "string",
        "jsonPath": ".status.phase",
        "description": "Where the run is.",
    },
    {
        "name": "Reason",
        "type": "string",
        "jsonPath": '.status.conditions[?(@.type=="Succeeded")].reason',
        "description": "Why, in one word: the reason of the condition Succeeded.",
    },
    {
        "name": "Progress",
        "type": "string",
        "jsonPath": ".status.progress",
        "description": "Pods done of those that are known.",
    },
    {
        "name": "Duration",
        "type": "string",
        "jsonPath": ".status.duration",
        "description": "From start to end, once the run has ended.",
    },
    {
        "name": "Age",
        "type": "date",
        "jsonPath": ".metadata.creationTimestamp",
        "description": "Time since the run was created.",
    },
    {
        "name": "Display Name",
        "type": "string",
        "jsonPath": ".spec.displayName",
        "description": "What people call the run.",
        "priority": 1,
    },
    {
        "name": "Workflow",
        "type": "string",
        "jsonPath": ".status.workflow.name",
        "description": "The Workflow that carries the run out.",
        "priority": 1,
    },
    {
        "name": "Storage",
        "type": "string",
        "jsonPath": f".metadata.labels.{STORAGE_STATE_LABEL.replace('.', chr(92) + '.')}",
        "description": f"The label {STORAGE_STATE_LABEL}: Archived, or Available, or nothing, which means the same.",
        "priority": 1,
    },
    {
        "name": "Message",
        "type": "string",
        "jsonPath": ".status.message",
        "description": "What Argo says about the Workflow, or why the run has none.",
        "priority": 1,
    },
)
"""What `kubectl get` shows; those of priority 1 with `-o wide` only."""

SELECTABLE_FIELDS: tuple[str, ...] = (
    ".status.phase",
    ".status.storageState",
    ".spec.displayName",
    ".spec.serviceAccountName",
    ".spec.pipeline.id",
    ".spec.shutdown",
    ".spec.workflow.templateRef.name",
    ".spec.workflow.manifestFrom.configMapKeyRef.name",
)
"""What `kubectl get --field-selector` can ask for, besides metadata.name and namespace. The API server allows eight."""

_STANDARD_FIELDS: Schema = {
    "apiVersion": {
        "description": f"Group and version that this object is written in: {GROUP}/{VERSION}.",
        "type": "string",
    },
    "kind": {"description": f"What this object is: {KIND}.", "type": "string"},
    "metadata": {"type": "object", "properties": {"name": {"type": "string"}}},
}

_KEPT = ("description", "type", "format", "enum", "default", "minimum", "maximum", "minLength", "maxLength", "maxItems")
_INT32_MAX = 2**31 - 1


def openapi_schema() -> Schema:
    """The structural schema of a PipelineRun, with list keys and CEL rules.

    Raises KeyError where a rule stands on a field that the models do not have, TypeError where a list has items that
    `LIST_KEYS` does not know, ValueError where the models use what a structural schema cannot hold.
    """
    document = PipelineRun.model_json_schema(by_alias=True, mode="validation")
    definitions: dict[str, Schema] = document["$defs"]
    schema = _structural(document, definitions)
    schema["properties"] |= _STANDARD_FIELDS
    for rule in RULES:
        node = schema
        for name in filter(None, rule.path.split(".")):
            node = node["properties"][name]
        node.setdefault("x-kubernetes-validations", []).append(_validation(rule))
    return schema


def custom_resource_definition() -> Schema:
    """The whole CustomResourceDefinition, as it is applied."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": [SHORT_NAME],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [dict(column) for column in PRINTER_COLUMNS],
                    "selectableFields": [{"jsonPath": path} for path in SELECTABLE_FIELDS],
                    "schema": {"openAPIV3Schema": openapi_schema()},
                }
            ],
        },
    }


def _structural(node: Schema, definitions: dict[str, Schema]) -> Schema:
    """`node` of pydantic's JSON schema as a structural schema; a field's own description wins over its model's."""
    node = _resolved(node, definitions)
    schema = {key: node[key] for key in _KEPT if key in node}
    match node.get("type"):
        case "object" if "properties" in node:
            schema["properties"] = {name: _structural(field, definitions) for name, field in node["properties"].items()}
            if "required" in node:
                schema["required"] = list(node["required"])
        case "object" if node.get("additionalProperties") is True:
            # A map of values without a schema, not an object without one: see `rules`. One manager owns the whole of it,
            # which keeps managedFields from listing the Workflow's fields.
            # Nullable, or a rule over a null in it could not be evaluated and would refuse every update.
            schema["additionalProperties"] = {"x-kubernetes-preserve-unknown-fields": True, "nullable": True}
            schema["x-kubernetes-map-type"] = "atomic"
        case "array":
            schema["items"] = _structural(node["items"], definitions)
            keys = _list_keys(node["items"])
            schema["x-kubernetes-list-type"] = "map" if keys else "atomic"
            if keys:
                schema["x-kubernetes-list-map-keys"] = list(keys)
        case "integer":
            schema["format"] = "int32" if node.get("maximum", _INT32_MAX + 1) <= _INT32_MAX else "int64"
        case "number":
            schema["format"] = "double"
        case "string" if pattern := node.get("pattern"):
            schema["x-kubernetes-validations"] = [
                {"rule": f"self.matches(r'{pattern}')", "message": PATTERN_MESSAGES[pattern]}
            ]
        case "string" | "boolean":
            pass
        case other:
            raise ValueError(f"a structural schema has no place for type {other!r}: {node}")
    return schema


def _resolved(node: Schema, definitions: dict[str, Schema]) -> Schema:
    """`node` with its `$ref` followed, and without null: on the wire an absent field stands for pydantic's None."""
    own = {key: value for key, value in node.items() if key not in ("$ref", "anyOf", "const")}
    if own.get("default", ...) is None:
        del own["default"]
    if "$ref" in node:
        return _resolved(definitions[node["$ref"].rpartition("/")[2]], definitions) | own
    if "anyOf" in node:
        (value,) = (choice for choice in node["anyOf"] if choice.get("type") != "null")
        return _resolved(value, definitions) | own
    if "const" in node:
        own["enum"] = [node["const"]]
    return own


def _list_keys(items: Schema) -> tuple[str, ...]:
    name = str(items.get("$ref", "")).rpartition("/")[2]
    for model, keys in LIST_KEYS.items():
        if model.__name__ == name:
            return keys
    raise TypeError(f"LIST_KEYS does not say what tells the items of a list of {name or items} apart")


def _validation(rule: Rule) -> Schema:
    entry: Schema = {"rule": rule.expression, "message": rule.message, "reason": rule.reason}
    if rule.field_path:
        entry["fieldPath"] = rule.field_path
    return entry
