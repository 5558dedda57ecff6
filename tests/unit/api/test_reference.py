"""The reference page has every field, rule, column, selector and label."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from runwright.api.crd import openapi_schema
from runwright.api.kinds import KINDS, PIPELINE_RUN, WORKFLOW_SNAPSHOT, Kind
from runwright.api.reference import reference_page

PAGE = reference_page(PIPELINE_RUN)


def paths(prefix: str, schema: dict[str, Any]) -> Iterator[str]:
    for name, field in schema.get("properties", {}).items():
        yield f"{prefix}{name}"
        yield from paths(f"{prefix}{name}.", field)
        yield from paths(f"{prefix}{name}[].", field.get("items", {}))


def row(first: str) -> list[str]:
    """The cells of the only table row that starts with `first`."""
    (line,) = (line for line in PAGE.splitlines() if line.startswith(f"| `{first}` |"))
    return [cell.strip() for cell in line.strip("|").split(" |")]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_field_has_a_row(kind: Kind):
    page = reference_page(kind)
    assert page.startswith(
        f"<!-- Generated from operator/runwright/api by `make generate`; edit there. -->\n# {kind.name}\n"
    )
    fields = [
        path for path in paths("", openapi_schema(kind)) if path.partition(".")[0] not in ("apiVersion", "metadata")
    ]
    assert len(fields) > 1
    for path in fields:
        if path in ("spec", "status"):
            assert f"\n## {path}\n" in page
        elif path != "kind":
            assert f"\n| `{path}` |" in page


def test_the_page_of_runs_says_of_every_field_of_spec_when_it_can_be_edited():
    listed = [field for one in PIPELINE_RUN.edits for field in one.fields]
    assert sorted(listed) == sorted(
        f"spec.{name}" for name in openapi_schema(PIPELINE_RUN)["properties"]["spec"]["properties"]
    )
    for one in PIPELINE_RUN.edits:
        assert f"| {', '.join(f'`{field}`' for field in one.fields)} | {one.when} |" in PAGE


def test_a_kind_without_a_spec_has_one_table():
    page = reference_page(WORKFLOW_SNAPSHOT)
    assert "\n## Fields\n" in page and "\n## spec" not in page
    for absent in ("## Rules", "## Field selectors", "## Labels"):
        assert absent not in page


def test_no_break_within_code():
    for kind in KINDS:
        for line in reference_page(kind).splitlines():
            assert line.count("`") % 2 == 0, line


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


def test_a_constraint_is_a_message_and_not_an_expression():
    assert "such as 90s, 15m, 36h, 7d or 1h30m" in row("spec.retention.archiveAfter")[3]
    assert "list keys: `type`, `id`, `relationship`" in PAGE
    assert "self." not in PAGE and "[0-9]" not in PAGE


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_rules_columns_selectors_and_labels(kind: Kind):
    page = reference_page(kind)
    for rule in kind.rules:
        assert f"| {rule.message} |" in page
    for column in kind.columns:
        assert f"\n| {column.name} | `{column.path}` |" in page
    for path in kind.selectable_fields:
        assert f"\n- `{path[1:]}`" in page
    for label in kind.labels:
        assert f"\n| `{label.name}` | {label.on} |" in page


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_tables_are_whole(kind: Kind):
    """Every line of a table has as many cells as its head."""
    width = 0
    for line in reference_page(kind).splitlines():
        cells = line.replace("\\|", "").count("|")
        width = 0 if not line.startswith("|") else width or cells
        assert not width or cells == width, line
