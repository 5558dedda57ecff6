"""Generates the pages under `docs/reference`: every field of a kind, from the schema that the API server enforces."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from typing import Any

from runwright.api.crd import Schema, openapi_schema
from runwright.api.kinds import Kind
from runwright.api.resources import API_VERSION


def reference_page(kind: Kind) -> str:
    """The page of a kind, as Markdown."""
    schema = openapi_schema(kind)
    parts = [*_head(kind, schema), *_fields(schema)]
    if kind.edits:
        rows = ((", ".join(f"`{field}`" for field in one.fields), one.when) for one in kind.edits)
        parts += [
            "## Edits",
            "An edit that changes nothing, such as applying the same manifest again, is always accepted.",
            _table(("Field", "Can be changed"), rows),
        ]
    if kind.rules:
        parts += [
            "## Rules",
            f"The API server refuses a {kind.name} that breaks a rule. To check one in advance, use `kubectl apply --dry-run=server`.",
            _table(("Field", "Message of the API server", "Checked"), _rules(kind)),
        ]
    parts += ["## Columns of `kubectl get`", _table(("Column", "Field", "Meaning", "Shown"), _columns(kind))]
    if kind.selectable_fields:
        parts += [
            "## Field selectors",
            f"The API server (1.32 or later) evaluates `kubectl get {_short(kind)} --field-selector status.phase=Failed`. "
            "In addition to `metadata.name` and `metadata.namespace`, it supports these fields, with `=` and `!=`:",
            "\n".join(f"- `{path.removeprefix('.')}`" for path in kind.selectable_fields),
        ]
    if kind.labels:
        rows = ((f"`{label.name}`", label.on, label.meaning) for label in kind.labels)
        parts += ["## Labels", _table(("Label", "On", "Meaning"), rows)]
    return "\n\n".join(parts) + "\n"


_FIELD_HEAD = "| Field | Type | Default | Constraints | Meaning |\n| --- | --- | --- | --- | --- |\n"
_STANDARD = ("apiVersion", "kind", "metadata")


def _head(kind: Kind, schema: Schema) -> Iterator[str]:
    names = f"`kubectl get {kind.plural}`" + (f", or `{kind.short_name}` for short" if kind.short_name else "")
    yield f"<!-- Generated from operator/runwright/api by `make generate`; edit there. -->\n# {kind.name}"
    yield _wrapped(f"`{API_VERSION}`, namespaced; {names}. `kubectl explain {_short(kind)}` prints the same texts.")
    yield _wrapped(f"{schema['description']} {kind.notes}")


def _wrapped(paragraph: str) -> str:
    """Wraps a paragraph to lines of at most 130 characters, without a break inside `code`."""
    whole = re.sub(r"`[^`]*`", lambda code: code[0].replace(" ", "\0"), paragraph)
    return textwrap.fill(whole, 130, break_long_words=False, break_on_hyphens=False).replace("\0", " ")


def _short(kind: Kind) -> str:
    return kind.short_name or kind.name.lower()


def _fields(schema: Schema) -> Iterator[str]:
    """One section each for `spec` and `status`, or one for all fields of a kind without them."""
    own = {name: field for name, field in schema["properties"].items() if name not in _STANDARD}
    if all("properties" in field for field in own.values()):
        for name, field in own.items():
            yield from (f"## {name}", field["description"], _FIELD_HEAD + "\n".join(_rows(f"{name}.", field)))
    else:
        top = {**schema, "properties": own}
        yield from ("## Fields", _FIELD_HEAD + "\n".join(_rows("", top)))


def _rows(prefix: str, schema: Schema) -> Iterator[str]:
    """Table rows of all fields below `schema`, parents before children; `prefix` precedes the field names."""
    required = schema.get("required", [])
    for name, field in schema["properties"].items():
        here = f"{prefix}{name}"
        default = f"`{_literal(field['default'])}`" if "default" in field else ""
        constraints = "; ".join(_constraints(field, name in required))
        yield f"| `{here}` | {_type(field)} | {default} | {_cell(constraints)} | {_cell(field['description'])} |"
        if "properties" in field:
            yield from _rows(f"{here}.", field)
        elif field["type"] == "array":
            yield from _rows(f"{here}[].", field["items"])


def _type(field: Schema) -> str:
    match field["type"]:
        case "array":
            return "list of objects"
        case "object" if "properties" not in field:
            return "object of any form"
        case other:
            return {"date-time": "time (RFC 3339)"}.get(field.get("format", ""), str(other))


def _constraints(field: Schema, required: bool) -> Iterator[str]:
    if required:
        yield "required"
    if "enum" in field:
        yield "one of " + ", ".join(f"`{value}`" for value in field["enum"])
    yield from _bounds(field)
    if keys := field.get("x-kubernetes-list-map-keys"):
        yield "list keys: " + ", ".join(f"`{key}`" for key in keys)
    if field["type"] == "string":
        yield from (rule["message"] for rule in field.get("x-kubernetes-validations", []))


def _bounds(field: Schema) -> Iterator[str]:
    for low, high, unit in (
        ("minLength", "maxLength", " characters"),
        ("minimum", "maximum", ""),
        ("", "maxItems", " items"),
    ):
        if low in field and high in field:
            yield f"{field[low]:,} to {field[high]:,}{unit}"
        elif low in field:
            yield f"at least {field[low]:,}{unit}"
        elif high in field:
            yield f"at most {field[high]:,}{unit}"


def _columns(kind: Kind) -> Iterator[tuple[str, ...]]:
    for column in kind.columns:
        yield column.name, f"`{column.path}`", column.description, "with `-o wide`" if column.wide else "always"


def _rules(kind: Kind) -> Iterator[tuple[str, ...]]:
    for rule in kind.rules:
        field = f"{rule.path}{rule.field_path}".removeprefix(".")
        yield f"`{field}`", rule.message, "on update" if "oldSelf" in rule.expression else "always"


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _literal(value: Any) -> str:
    return {True: "true", False: "false"}.get(value, "") if isinstance(value, bool) else f"{value}" or '""'
