"""Generates the CustomResourceDefinition of a kind from its pydantic model.

A structural schema (apiextensions.k8s.io/v1) has no `$ref`, no `anyOf` with null and no title; an optional field is missing
from `required`. `LIST_KEYS`, `runwright.api.kinds` and `runwright.api.rules` add what a pydantic model cannot express.
"""

from __future__ import annotations

from typing import Any

from runwright.api.kinds import Column, Kind
from runwright.api.model import Model
from runwright.api.pipelinerun import (
    Condition,
    Metric,
    NodeStatus,
    OutputArtifact,
    OutputParameter,
    Parameter,
    Reference,
)
from runwright.api.resources import API_VERSION, GROUP, VERSION
from runwright.api.rules import PATTERN_MESSAGES, Rule

Schema = dict[str, Any]

LIST_KEYS: dict[type[Model], tuple[str, ...]] = {
    Parameter: ("name",),
    Reference: ("type", "id", "relationship"),
    Condition: ("type",),
    Metric: (),
    NodeStatus: (),
    OutputParameter: (),
    OutputArtifact: (),
}
"""List map keys, by item model. Server-side apply merges by these keys, and the API server refuses duplicates.

A list without keys is atomic: it has one writer, and keys would put every field of every item into managedFields (measured
with 20 nodes: 3.9 KB of managedFields with keys, 0.7 KB without).
"""

_KEPT = ("description", "type", "format", "enum", "default", "minimum", "maximum", "minLength", "maxLength", "maxItems")
_INT32_MAX = 2**31 - 1


def openapi_schema(kind: Kind) -> Schema:
    """The structural schema of a kind, with list keys and CEL rules.

    Raises:
        KeyError: a rule refers to a field that the models do not have.
        TypeError: `LIST_KEYS` has no entry for the items of a list.
        ValueError: a model uses a type that a structural schema does not support.
    """
    document = kind.model.model_json_schema(by_alias=True, mode="validation")
    schema = _structural(document, document.get("$defs", {}))
    schema["properties"] |= _standard_fields(kind)
    for rule in kind.rules:
        node = schema
        for name in filter(None, rule.path.split(".")):
            node = node["properties"][name]
        node.setdefault("x-kubernetes-validations", []).append(_validation(rule))
    return schema


def custom_resource_definition(kind: Kind, versions: tuple[str, ...] = (VERSION,)) -> Schema:
    """The complete CustomResourceDefinition of a kind.

    Every version is served and has the same fields; the last one is the storage version. So Kubernetes converts by changing
    `apiVersion` only (conversion strategy None), without a webhook. docs/upgrade.md describes the procedure.
    """
    return _definition(kind, [_version(kind, name, storage=name == versions[-1]) for name in versions])


def _version(kind: Kind, name: str, *, storage: bool) -> Schema:
    version: Schema = {"name": name, "served": True, "storage": storage}
    if kind.has_status:
        version["subresources"] = {"status": {}}
    version["additionalPrinterColumns"] = [_printer_column(column) for column in kind.columns]
    if kind.selectable_fields:
        version["selectableFields"] = [{"jsonPath": path} for path in kind.selectable_fields]
    version["schema"] = {"openAPIV3Schema": openapi_schema(kind)}
    return version


def _definition(kind: Kind, versions: list[Schema]) -> Schema:
    names: Schema = {
        "kind": kind.name,
        "listKind": f"{kind.name}List",
        "plural": kind.plural,
        "singular": kind.name.lower(),
    }
    if kind.short_name:
        names["shortNames"] = [kind.short_name]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {"group": GROUP, "names": names, "scope": "Namespaced", "versions": versions},
    }


def _standard_fields(kind: Kind) -> Schema:
    return {
        "apiVersion": {
            "description": f"API group and version of this object: {API_VERSION}.",
            "type": "string",
        },
        "kind": {"description": f"Kind of this object: {kind.name}.", "type": "string"},
        "metadata": {"type": "object", "properties": {"name": {"type": "string"}}},
    }


def _printer_column(column: Column) -> Schema:
    entry: Schema = {
        "name": column.name,
        "type": column.type,
        "jsonPath": column.path,
        "description": column.description,
    }
    return entry | {"priority": 1} if column.wide else entry


def _structural(node: Schema, definitions: dict[str, Schema]) -> Schema:
    """Converts `node` of pydantic's JSON schema to a structural schema; a field's description wins over its model's."""
    node = _resolved(node, definitions)
    schema = {key: node[key] for key in _KEPT if key in node}
    match node.get("type"):
        case "object" if "properties" in node:
            schema["properties"] = {name: _structural(field, definitions) for name, field in node["properties"].items()}
            if "required" in node:
                schema["required"] = list(node["required"])
        case "object" if node.get("additionalProperties") is True:
            # A map of values without a schema instead of an object without one: see `rules`. Atomic, so that managedFields
            # does not list the Workflow's fields. Nullable, because CEL could not evaluate a rule over a null value and
            # would refuse every update.
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
            raise ValueError(f"a structural schema does not support type {other!r}: {node}")
    return schema


def _resolved(node: Schema, definitions: dict[str, Schema]) -> Schema:
    """Resolves the `$ref` of `node` and removes null from `anyOf`: in JSON, an absent field stands for None."""
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
    raise TypeError(f"LIST_KEYS has no entry for the items of a list of {name or items}")


def _validation(rule: Rule) -> Schema:
    entry: Schema = {"rule": rule.expression, "message": rule.message, "reason": rule.reason}
    if rule.field_path:
        entry["fieldPath"] = rule.field_path
    return entry
