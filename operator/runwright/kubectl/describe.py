"""The description of a run that `get` prints: summary, conditions, parameters, outputs, metrics and nodes, as lines."""

from __future__ import annotations

from datetime import datetime
from typing import cast

from runwright.kube.objects import Json, as_mapping, as_text, spec_of, status_of
from runwright.kubectl.metrics import metric_rows
from runwright.kubectl.summary import summary_rows
from runwright.kubectl.tables import columns
from runwright.kubectl.tree import Tree, lines_of, node_rows, omission

MAX_PRINTED = 2000
"""Nodes that are printed of a run. A live tree shows as many as the terminal has lines."""


def describe_run(run: Json, tree: Tree, now: datetime, *, wide: bool = False) -> list[str]:
    """Describe a run; `wide` adds types and ids of nodes."""
    spec, status = spec_of(run), status_of(run)
    lines = [*columns(summary_rows(run, now)), ""]
    lines += columns([("CONDITION", "STATUS", "REASON", "MESSAGE"), *condition_rows(status)])
    for title, rows in (
        ("PARAMETER", parameter_rows(spec.get("parameters"))),
        ("OUTPUT", parameter_rows(as_mapping(status.get("outputs")).get("parameters"))),
    ):
        if rows:
            lines += ["", *columns([(title, "VALUE"), *rows])]
    metrics = metric_rows(run)
    if metrics:
        lines += ["", *columns(metrics)]
    return lines + ["", *tree_lines(tree, now, wide=wide)]


def condition_rows(status: Json) -> list[tuple[str, ...]]:
    """Type, status, reason and message of each condition."""
    found = [as_mapping(one) for one in cast(list[object], status.get("conditions") or [])]
    return [tuple(as_text(one.get(field)) for field in ("type", "status", "reason", "message")) for one in found]


def parameter_rows(values: object) -> list[tuple[str, str]]:
    """Names and values of parameters."""
    found = [as_mapping(one) for one in cast(list[object], values or [])]
    return [(as_text(one.get("name")), as_text(one.get("value"))) for one in found]


def tree_lines(tree: Tree, now: datetime, *, wide: bool = False) -> list[str]:
    """The nodes under a header, and how many are not shown."""
    shown, left = lines_of(tree, MAX_PRINTED)
    if not shown:
        return ["No nodes yet."]
    return columns(node_rows(shown, now, wide=wide)) + ([omission(left)] if left else [])
