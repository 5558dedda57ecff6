"""The page `docs/reference/pipelinerun.md`: every field of a PipelineRun, made from the schema that the API server enforces."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from runwright.api.crd import PRINTER_COLUMNS, SELECTABLE_FIELDS, Schema, openapi_schema
from runwright.api.model import API_VERSION, GROUP
from runwright.api.pipelinerun import DELETE_ON_LABEL, KIND, PLURAL, RUN_LABEL, SHORT_NAME, STORAGE_STATE_LABEL
from runwright.api.rules import RULES


def reference_page() -> str:
    """The whole page, as Markdown."""
    schema = openapi_schema()
    parts = [_HEAD]
    for name in ("spec", "status"):
        part = schema["properties"][name]
        parts += [f"## {name}", part["description"], _FIELD_HEAD + "\n".join(_rows(name, part))]
    parts += [
        "## Rules",
        "The API server refuses a PipelineRun that breaks one of these; `kubectl apply --dry-run=server` tells in advance.",
        _table(("Field", "What is refused, in the API server's words", "When"), _rules(schema)),
        "## What `kubectl get` shows",
        _table(
            ("Column", "From", "Meaning", "Shown"),
            (
                (
                    column["name"],
                    f"`{column['jsonPath']}`",
                    column["description"],
                    "with `-o wide`" if column.get("priority") else "always",
                )
                for column in PRINTER_COLUMNS
            ),
        ),
        "## Field selectors",
        f"`kubectl get {SHORT_NAME} --field-selector status.phase=Failed` is answered by the API server (1.32 or later). "
        "Beside `metadata.name` and `metadata.namespace`, these fields can be asked for, with `=` and `!=`:",
        "\n".join(f"- `{path.removeprefix('.')}`" for path in SELECTABLE_FIELDS),
        "## Labels",
        _table(
            ("Label", "On", "Meaning"),
            (
                (
                    f"`{STORAGE_STATE_LABEL}`",
                    KIND,
                    "`Archived`; or `Available`, which is also what its absence means. `storage_state` in the KFP API.",
                ),
                (
                    f"`{DELETE_ON_LABEL}`",
                    KIND,
                    "Date in UTC, such as `2026-11-24`, from which the retention of an archived run deletes it; the operator's.",
                ),
                (f"`{RUN_LABEL}`", "Workflow", f"Name of the {KIND} that the Workflow belongs to."),
            ),
        ),
    ]
    return "\n\n".join(parts) + "\n"


_HEAD = f"""\
<!-- Made from operator/runwright/api by `make generate`; edit there. -->
# {KIND}

`{API_VERSION}`, namespaced; `kubectl get {PLURAL}`, or `{SHORT_NAME}` for short. `kubectl explain {SHORT_NAME}.spec` prints what
stands here. The group is `{GROUP}`.

A path with `[]` is a field of each item of a list. Server-side apply merges a list by the keys that are named for it. A field
without a default may be absent. `kubectl apply` without `--server-side` keeps a copy of the object in an annotation that ends at
262,144 bytes: use `kubectl apply --server-side` or `kubectl create` for a larger manifest."""

_FIELD_HEAD = "| Field | Type | Default | Constraints | Meaning |\n| --- | --- | --- | --- | --- |\n"


def _rows(path: str, schema: Schema) -> Iterator[str]:
    """A table row for every field below `schema`, parents before their children."""
    required = schema.get("required", [])
    for name, field in schema["properties"].items():
        here = f"{path}.{name}"
        default = f"`{_literal(field['default'])}`" if "default" in field else ""
        constraints = "; ".join(_constraints(field, name in required))
        yield f"| `{here}` | {_type(field)} | {default} | {_cell(constraints)} | {_cell(field['description'])} |"
        if "properties" in field:
            yield from _rows(here, field)
        elif field["type"] == "array":
            yield from _rows(f"{here}[]", field["items"])


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
        yield "items told apart by " + ", ".join(f"`{key}`" for key in keys)
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


def _rules(schema: Schema) -> Iterator[tuple[str, str, str]]:
    for rule in RULES:
        field = f"{rule.path}{rule.field_path}".removeprefix(".")
        yield f"`{field}`", rule.message, "on update" if "oldSelf" in rule.expression else "always"


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]] | tuple[tuple[str, ...], ...]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _literal(value: Any) -> str:
    return {True: "true", False: "false"}.get(value, "") if isinstance(value, bool) else f"{value}" or '""'
