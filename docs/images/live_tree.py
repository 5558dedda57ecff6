"""Draws docs/images/live-tree.svg: `kubectl runwright get -w` on an example run, in the middle of its work.

`python -m docs.images.live_tree` writes the picture again. The times are fixed, so equal code gives equal bytes.
"""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from runwright.kubectl.tree import run_tree, tree_of_workflow

PICTURE = Path(__file__).with_name("live-tree.svg")
COMMAND = "kubectl runwright get churn-0412 -w"
WIDTH = 72
START = datetime(2026, 4, 12, 2, 0, tzinfo=UTC)
NOW = START + timedelta(seconds=171)

THEME = TerminalTheme(
    background=(30, 34, 42),
    foreground=(208, 212, 220),
    normal=[
        (75, 81, 98),
        (232, 106, 114),
        (140, 200, 120),
        (222, 184, 106),
        (97, 168, 239),
        (198, 130, 221),
        (86, 182, 194),
        (208, 212, 220),
    ],
)

FORMAT = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="A run as a live tree">
<style>
.{unique_id}-matrix {{ font: {char_height}px/{line_height}px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; }}
.{unique_id}-title {{ font: 600 16px system-ui, sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix" xml:space="preserve">
{matrix}
</g>
</g>
</svg>
"""
"""rich's own template loads a font from another host; this one uses the reader's."""


def picture() -> str:
    """The picture as SVG."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.assemble(("$ ", "bold green"), (COMMAND, "bold")))
    console.print(run_tree(run(), tree_of_workflow(workflow()), NOW))
    console.print()
    svg = console.export_svg(title="kubectl runwright", theme=THEME, code_format=FORMAT, unique_id="live-tree")
    return "\n".join(line.rstrip() for line in svg.splitlines() if line.strip()) + "\n"


# --------------------------------------------------------------------------------------------------------- the example
def run() -> dict[str, Any]:
    """A run with one step in its second attempt."""
    return {
        "metadata": {"name": "churn-0412", "namespace": "ml", "creationTimestamp": at(-1)},
        "spec": {"displayName": "Churn, nightly"},
        "status": {"phase": "Running", "progress": "4/6", "startedAt": at(0)},
    }


def workflow() -> dict[str, Any]:
    """The run's Workflow, with nodes as Argo records them."""
    nodes = [
        node("churn-0412", "DAG", "Running", 0),
        node("churn-0412.load", "Pod", "Succeeded", 0, 24),
        node("churn-0412.features", "TaskGroup", "Succeeded", 26, 91),
        node("churn-0412.features(0:eu)", "Pod", "Succeeded", 26, 79),
        node("churn-0412.features(1:us)", "Pod", "Succeeded", 26, 91),
        node("churn-0412.features(2:asia)", "Pod", "Succeeded", 27, 70),
        node("churn-0412.train", "Retry", "Running", 93, message="Retrying"),
        node("churn-0412.train(0)", "Pod", "Failed", 93, 128, "OOMKilled (exit code 137)"),
        node("churn-0412.train(1)", "Pod", "Running", 138),
        node("churn-0412.report", "Pod", "Pending", 168, message="PodInitializing"),
    ]
    return {
        "metadata": {"name": "churn-0412", "namespace": "ml"},
        "status": {"phase": "Running", "nodes": {one["id"]: one for one in nodes}},
    }


def node(name: str, kind: str, phase: str, start: int, end: int | None = None, message: str = "") -> dict[str, Any]:
    """One node; times in seconds after the start of the run."""
    found = {
        "id": name,
        "name": name,
        "displayName": name.removeprefix("churn-0412."),
        "type": kind,
        "phase": phase,
        "startedAt": at(start),
        "message": message,
    }
    return found | ({"finishedAt": at(end)} if end is not None else {})


def at(seconds: int) -> str:
    """The time `seconds` after the start of the run, in Kubernetes' format."""
    return (START + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
