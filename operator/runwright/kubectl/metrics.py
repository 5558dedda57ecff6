"""`metrics`: the metrics that a run's steps reported."""

from __future__ import annotations

import sys
from typing import Any, cast

import click

from runwright.kube.objects import Json, as_mapping, as_text, status_of
from runwright.kubectl.options import output_option, pop_target, run_argument, target_options
from runwright.kubectl.output import dump_document, write_text
from runwright.kubectl.session import Target, connect_to, run_command
from runwright.kubectl.tables import columns

HEADER = ("METRIC", "VALUE", "NODE")


@click.command("metrics")
@run_argument
@output_option("json", "yaml")
@target_options
def metrics_command(name: str, output: str, **given: Any) -> None:
    """Print the metrics that a run's steps reported."""
    run_command(print_metrics(pop_target(given), name, output))


def metric_rows(run: Json) -> list[tuple[str, str, str]]:
    """The run's metrics under a header; empty for a run without metrics."""
    metrics = run_metrics(run)
    names = node_names(run)
    rows = [
        (
            as_text(one.get("name")),
            format_metric(one),
            names.get(as_text(one.get("nodeID")), as_text(one.get("nodeID"))),
        )
        for one in metrics
    ]
    return [HEADER, *rows] if rows else []


def run_metrics(run: Json) -> list[Json]:
    """`status.metrics` of the run."""
    return [as_mapping(one) for one in cast(list[object], status_of(run).get("metrics") or [])]


def node_names(run: Json) -> dict[str, str]:
    """Display names, by id, of the nodes in the run's status."""
    nodes = [as_mapping(one) for one in cast(list[object], status_of(run).get("nodes") or [])]
    return {as_text(one.get("id")): as_text(one.get("name")) for one in nodes}


def format_metric(metric: Json) -> str:
    """The value in the format of its reporter: 0.973 as PERCENTAGE is 97.3%."""
    value: Any = metric.get("value")
    if not isinstance(value, int | float):
        return ""
    return f"{value * 100:.6g}%" if metric.get("format") == "PERCENTAGE" else f"{value:.12g}"


async def print_metrics(target: Target, name: str, output: str) -> None:
    """Print the metrics as a table, or as a JSON or YAML list. Raises ApiError, ConfigError."""
    async with connect_to(target) as here:
        run = await here.read_run(here.key(name))
        if output in ("json", "yaml"):
            write_text(dump_document([dict(one) for one in run_metrics(run)], output))
            return
        rows = metric_rows(run)
        if rows:
            write_text("\n".join(columns(rows)) + "\n")
        else:
            sys.stderr.write(f"No metrics in run {name}.\n")
