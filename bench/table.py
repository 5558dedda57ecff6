"""Results of a measurement: rows that compare Runwright with the same work without it or by a peer. As a table and as data."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"
HEADS = ("what", "ours", "compared", "ratio", "goal", "compared with", "command")


@dataclass(frozen=True)
class Row:
    """One result."""

    what: str
    ours: float
    beside: float | None
    """The figure to compare with; None if nothing does the same work."""
    unit: str
    against: str = ""
    """What `beside` was measured on."""
    at_most: float | None = None
    """A goal for the ratio, or for `ours` without a ratio."""
    at_least: float | None = None
    low: float | None = None
    """Lower quartile of the ratio, if it is the median of many pairs."""
    high: float | None = None
    note: str = ""
    absolute: bool = False
    """The goal applies to `ours`, not to the ratio."""
    given_ratio: float | None = None
    """The ratio, if it is not that of the two figures but the median of the pairs' ratios."""

    @property
    def ratio(self) -> float | None:
        """`ours` divided by `beside`, unless given."""
        if self.given_ratio is not None:
            return self.given_ratio
        return self.ours / self.beside if self.beside else None

    @property
    def judged(self) -> float:
        """The number that the goal applies to."""
        return self.ours if self.absolute or self.ratio is None else self.ratio

    @property
    def met(self) -> bool:
        """True if the goal is met or there is none."""
        low = self.at_least is None or self.judged >= self.at_least
        return low and (self.at_most is None or self.judged <= self.at_most)

    @property
    def goal(self) -> str:
        """The goal and whether it is met, as text."""
        parts = [f"≤ {self.at_most:g}"] if self.at_most is not None else []
        parts += [f"≥ {self.at_least:g}"] if self.at_least is not None else []
        return f"{' and '.join(parts)}: {'met' if self.met else 'MISSED'}" if parts else ""


def figure(value: float | None, unit: str = "") -> str:
    """A number with up to four significant digits and its unit."""
    if value is None:
        return ""
    digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 100 else 2 if abs(value) >= 10 else 3
    return f"{value:,.{digits}f} {unit}".rstrip()


def table(measured: Mapping[str, Sequence[Row]]) -> str:
    """All rows as a text table, with the command of each."""
    lines = [HEADS] + [
        (
            row.what,
            figure(row.ours, row.unit),
            figure(row.beside, row.unit),
            f"{row.ratio:.3f}" if row.ratio is not None else "",
            row.goal,
            row.against,
            f"python -m bench {name}",
        )
        for name, rows in measured.items()
        for row in rows
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADS))]
    right = {1, 2, 3}
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def markdown(documents: Sequence[dict[str, Any]]) -> str:
    """Kept results as the Markdown table of the docs."""
    lines = ["| what | Runwright | compared with | ratio | goal |", "| --- | --- | --- | --- | --- |"]
    for document in documents:
        for row in document["rows"]:
            beside = f"{figure(row.beside, row.unit)}: {row.against}" if row.beside is not None else ""
            ratio = "" if row.ratio is None else f"**{row.ratio:.3g}**"
            if row.low and row.high:
                ratio += f" ({row.low:.3f} to {row.high:.3f})"
            lines.append(f"| {row.what} | {figure(row.ours, row.unit)} | {beside} | {ratio} | {row.goal} |")
        lines.append(f"| | *`{document['command']}`, commit {document['commit']}, {document['date'][:10]}* | | | |")
    return "\n".join(lines)


def keep(
    name: str, rows: Sequence[Row], machine: str, measured: str, count: int | None, folder: Path = RESULTS
) -> Path:
    """Write the rows as JSON, with the machine and the measured commits (see `span`); gives the file.

    `count` is the value of --count; None is the measurement's default.
    """
    document: dict[str, Any] = {
        "measurement": name,
        "commit": measured,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine,
        "command": f"python -m bench {name}" + (f" --count {count}" if count else ""),
        "count": count,
        "rows": [asdict(row) for row in rows],
    }
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    return path


def kept(folder: Path = RESULTS) -> dict[str, dict[str, Any]]:
    """The kept results by measurement, with their rows as `Row`s."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.glob("*.json")):
        document = json.loads(path.read_text())
        found[document["measurement"]] = {**document, "rows": [Row(**row) for row in document["rows"]]}
    return found


def span(before: str, after: str) -> str:
    """The measured commit, or both if it changed during the measurement."""
    return before if before == after else f"{before} to {after}"


def commit() -> str:
    """The current commit, with `-dirty` if operator or bench have uncommitted changes."""
    here = RESULTS.parent.parent
    named = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=here, capture_output=True, text=True, check=False
    )
    changed = ["git", "diff", "--quiet", "HEAD", "--", "operator", "bench", ":!bench/results"]
    dirty = subprocess.run(changed, cwd=here, capture_output=True, check=False).returncode == 1
    return (named.stdout.strip() or "unknown") + ("-dirty" if dirty else "")
