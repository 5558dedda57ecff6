"""The reference page: every field, rule, column, selector and label stands on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from runwright.api.crd import PRINTER_COLUMNS, SELECTABLE_FIELDS, openapi_schema
from runwright.api.pipelinerun import RUN_LABEL, STORAGE_STATE_LABEL
from runwright.api.reference import reference_page
from runwright.api.rules import RULES

PAGE = reference_page()


def paths(path: str, schema: dict[str, Any]) -> Iterator[str]:
    for name, field in schema.get("properties", {}).items():
        yield f"{path}.{name}"
        yield from paths(f"{path}.{name}", field)
        yield from paths(f"{path}.{name}[]", field.get("items", {}))


def row(first: str) -> list[str]:
    """The cells of the only table row that starts with `first`."""
    (line,) = (line for line in PAGE.splitlines() if line.startswith(f"| `{first}` |"))
    return [cell.strip() for cell in line.strip("|").split(" |")]


@pytest.mark.parametrize("part", ["spec", "status"])
def test_every_field_has_a_row(part: str):
    for path in paths(part, openapi_schema()["properties"][part]):
        if path.startswith("spec.workflow") and path.count(".") == 1:
            continue  # stands among the rules too
        assert f"\n| `{path}` |" in PAGE


@pytest.mark.parametrize(
    ("field", "cells"),
    [
        ("spec.references[].relationship", ["string", "`OWNER`", "one of `OWNER`, `CREATOR`"]),
        ("spec.workflow.templateRef.clusterScope", ["boolean", "`false`", ""]),
        ("spec.workflow.spec", ["object of any form", "", ""]),
        ("spec.workflow.manifest", ["string", "", "1 to 1,000,000 characters"]),
        ("spec.parameters[].value", ["string", "", "required; at most 65,536 characters"]),
        ("status.conditions[].message", ["string", '`""`', "at most 2,048 characters"]),
        ("status.startedAt", ["time (RFC 3339)", "", ""]),
        ("status.nodes", ["list of objects", "", "at most 512 items"]),
    ],
)
def test_type_default_and_constraints(field: str, cells: list[str]):
    assert row(field)[1:4] == cells


def test_a_constraint_is_told_in_words_and_not_as_an_expression():
    assert "such as 90s, 15m, 36h, 7d or 1h30m" in row("spec.retention.archiveAfter")[3]
    assert "items told apart by `type`, `id`, `relationship`" in PAGE
    assert "self." not in PAGE and "[0-9]" not in PAGE


def test_rules_columns_selectors_and_labels():
    for rule in RULES:
        assert f"| {rule.message} |" in PAGE
    for column in PRINTER_COLUMNS:
        assert f"\n| {column['name']} | `{column['jsonPath']}` |" in PAGE
    for path in SELECTABLE_FIELDS:
        assert f"\n- `{path[1:]}`" in PAGE
    for label in (STORAGE_STATE_LABEL, RUN_LABEL):
        assert f"\n| `{label}` |" in PAGE


def test_tables_are_whole():
    """Every line of a table has as many cells as its head."""
    width = 0
    for line in PAGE.splitlines():
        cells = line.replace("\\|", "").count("|")
        width = 0 if not cells else width or cells
        assert cells == width, line
