"""`metrics`: the numbers that a run's steps reported."""

from __future__ import annotations

import sys
from typing import Any, cast

from runwright.kube.objects import Json, as_mapping, as_text, status_of
from runwright.kubectl.output import dumped, say
from runwright.kubectl.session import Target, session
from runwright.kubectl.tables import columns

HEADER = ("METRIC", "VALUE", "NODE")


def metric_rows(run: Json) -> list[tuple[str, str, str]]:
    """The run's metrics under a header; none where it has none."""
    metrics = metrics_of(run)
    names = node_names(run)
    rows = [
        (as_text(one.get("name")), shown(one), names.get(as_text(one.get("nodeID")), as_text(one.get("nodeID"))))
        for one in metrics
    ]
    return [HEADER, *rows] if rows else []


def metrics_of(run: Json) -> list[Json]:
    """What stands in the run's status."""
    return [as_mapping(one) for one in cast(list[object], status_of(run).get("metrics") or [])]


def node_names(run: Json) -> dict[str, str]:
    """What people call the nodes that the run's status keeps."""
    nodes = [as_mapping(one) for one in cast(list[object], status_of(run).get("nodes") or [])]
    return {as_text(one.get("id")): as_text(one.get("name")) for one in nodes}


def shown(metric: Json) -> str:
    """The number as its reporter wants it shown: 0.973 as PERCENTAGE is 97.3%."""
    value: Any = metric.get("value")
    if not isinstance(value, int | float):
        return ""
    return f"{value * 100:.6g}%" if metric.get("format") == "PERCENTAGE" else f"{value:.12g}"


async def print_metrics(target: Target, name: str, output: str) -> None:
    """Print them as a table, or as a list for programs. Raises ApiError."""
    async with session(target) as here:
        run = await here.run(here.key(name))
        if output in ("json", "yaml"):
            say(dumped([dict(one) for one in metrics_of(run)], output))
            return
        rows = metric_rows(run)
        if rows:
            say("\n".join(columns(rows)) + "\n")
        else:
            sys.stderr.write(f"No metrics in run {name}.\n")
