"""Draws the results in bench/results as SVG and writes their table into docs/benchmarks.md: `python -m bench.plots`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from bench.table import Row, figure, kept, markdown

DOCS = Path(__file__).resolve().parents[1] / "docs"
IMAGES, PAGE = DOCS / "images", DOCS / "benchmarks.md"
BEGIN, END = "<!-- written by python -m bench.plots -->\n", "\n<!-- end of the table -->"
ORDER = (
    *("create_to_finished", "throughput", "apply_to_workflow", "api_writes", "many_runs", "peer_operator"),
    *("mirror_lag", "large_workflow", "etcd_bytes", "archive_scale", "archived_runs", "run_metrics"),
)
WIDTH, LEFT, RIGHT, LINE, TOP = 860, 380, 110, 26, 46
INK, FAINT, OURS, THEIRS, BAD = "#1f2430", "#5d6678", "#2f6fdb", "#b9c2d3", "#c43d3d"

Kept = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Bar:
    """One bar: Runwright's figure, or the one to compare with."""

    label: str
    value: float
    text: str
    ours: bool = True


def ratios(rows: Sequence[Row], caption: str) -> str:
    """Every row's ratio on a logarithmic scale: left of 1 Runwright takes less, right of 1 more. Quartiles are a line, goals a tick."""
    shown = [row for row in rows if row.ratio]
    marks = [mark for row in shown for mark in (row.ratio, row.low, row.high) if mark]
    low, high = min([0.1, *marks]), max([10.0, *marks])

    def at(ratio: float) -> float:
        share = (math.log(ratio) - math.log(low)) / (math.log(high) - math.log(low))
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    parts = [line(at(1), TOP, at(1), TOP + LINE * len(shown), FAINT)]
    parts.append(text(at(1), TOP - 6, "1: the same as without Runwright, or as the peer", FAINT, "middle"))
    for number, row in enumerate(shown):
        y, ratio = TOP + LINE * number + LINE / 2, row.ratio or 1
        parts.append(text(LEFT - 10, y + 4, row.what, INK, "end"))
        if row.low and row.high:
            parts.append(line(at(row.low), y, at(row.high), y, OURS, 2))
        for goal in (row.at_most, row.at_least):
            if goal is not None and not row.absolute:
                parts.append(line(at(goal), y - 8, at(goal), y + 8, BAD, 2))
        parts.append(f'<circle cx="{at(ratio):.1f}" cy="{y:.1f}" r="5" fill="{OURS if row.met else BAD}"/>')
        parts.append(text(WIDTH - RIGHT + 14, y + 4, f"{ratio:.3g}", INK))
    return drawing("Cost of Runwright, as a ratio to the same work without it", len(shown), parts, caption)


def bars(title: str, shown: Sequence[Bar], caption: str) -> str:
    """Horizontal bars on one scale from 0."""
    longest = max(bar.value for bar in shown)
    parts: list[str] = []
    for number, bar in enumerate(shown):
        y, length = TOP + LINE * number, bar.value / longest * (WIDTH - LEFT - RIGHT)
        colour = OURS if bar.ours else THEIRS
        parts.append(text(LEFT - 10, y + LINE / 2 + 4, bar.label, INK, "end"))
        parts.append(f'<rect x="{LEFT}" y="{y + 4}" width="{length:.1f}" height="{LINE - 8}" rx="2" fill="{colour}"/>')
        parts.append(text(LEFT + length + 8, y + LINE / 2 + 4, bar.text, INK))
    return drawing(title, len(shown), parts, caption)


def drawing(title: str, lines: int, parts: list[str], caption: str) -> str:
    """The SVG, on a white background, so that it is readable on a dark page too."""
    height = TOP + LINE * lines + 34
    head = text(16, 22, title, INK, weight="600", size=14)
    foot = text(16, height - 10, caption, FAINT, size=10)
    body = "\n".join([head, *parts, foot])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'font-family="system-ui, sans-serif" role="img" aria-label="{escape(title)}">\n'
        f'<rect width="{WIDTH}" height="{height}" rx="6" fill="#ffffff"/>\n{body}\n</svg>\n'
    )


def text(
    x: float, y: float, words: str, colour: str, anchor: str = "start", *, weight: str = "400", size: int = 12
) -> str:
    """A text element."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}" font-weight="{weight}" '
        f'font-size="{size}">{escape(words)}</text>'
    )


def line(x1: float, y1: float, x2: float, y2: float, colour: str, width: int = 1) -> str:
    """A line element."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width}"/>'


def pairs(rows: Sequence[Row]) -> list[Bar]:
    """Two bars per row: Runwright's figure and the one to compare with, which is drawn once if several rows share it."""
    found: list[Bar] = []
    seen: set[tuple[str, float]] = set()
    for row in rows:
        found.append(Bar(row.what, row.ours, figure(row.ours, row.unit)))
        if row.beside is not None and (row.against, row.beside) not in seen:
            seen.add((row.against, row.beside))
            found.append(Bar(row.against, row.beside, figure(row.beside, row.unit), ours=False))
    return found


def caption(*documents: dict[str, Any]) -> str:
    """Commits and machines of the results."""
    commits = ", ".join(sorted({document["commit"] for document in documents}))
    machines = "; ".join(sorted({document["machine"].partition(", load")[0] for document in documents}))
    return f"commit {commits} on {machines}"


def pictures(found: Kept) -> dict[str, str]:
    """The SVGs by file name, for the measurements that have results."""
    drawn: dict[str, str] = {}
    beside = [document for document in found.values() if any(row.ratio for row in document["rows"])]
    if beside:
        rows = [row for document in beside for row in document["rows"]]
        drawn["bench-ratios.svg"] = ratios(rows, caption(*beside))
    for name, file, title in (
        ("etcd_bytes", "bench-etcd-bytes.svg", "Bytes in etcd, of a run with its Workflow or snapshot"),
        ("mirror_lag", "bench-mirror-lag.svg", "From a Workflow's end to the end of its run, milliseconds"),
    ):
        if name in found and found[name]["rows"]:
            drawn[file] = bars(title, pairs(found[name]["rows"]), caption(found[name]))
    if "archive_scale" in found:
        document = found["archive_scale"]
        for unit, file, title in (
            ("s", "bench-restart.svg", "Restart of the operator, seconds until it knows all live runs"),
            ("MiB", "bench-memory.svg", "Memory of the operator after its start, MiB"),
        ):
            chosen = [row for row in document["rows"] if row.unit == unit and row.beside is not None]
            if chosen:
                drawn[file] = bars(title, scale(chosen), caption(document))
    return drawn


def scale(rows: Sequence[Row]) -> list[Bar]:
    """One bar without runs, and one per row."""
    none = Bar(rows[0].against, rows[0].beside or 0, figure(rows[0].beside, rows[0].unit), ours=False)
    return [none] + [Bar(row.what, row.ours, figure(row.ours, row.unit)) for row in rows]


def with_table(page: str, found: Kept) -> str:
    """The page with the kept results as its table. Raises ValueError if the page lacks the two markers."""
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n{markdown([found[name] for name in ORDER if name in found])}\n{END}{after}"


def main() -> None:
    """Write all pictures and the table."""
    IMAGES.mkdir(exist_ok=True)
    for name, picture in pictures(kept()).items():
        (IMAGES / name).write_text(picture)
        print(f"docs/images/{name}")
    PAGE.write_text(with_table(PAGE.read_text(), kept()))
    print("docs/benchmarks.md")


if __name__ == "__main__":
    main()
