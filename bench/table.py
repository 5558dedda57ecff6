"""What a measurement gives: rows, each a figure of ours beside the same work without us or a peer's; as a table, and as data."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"
HEADS = ("what", "ours", "beside it", "ratio", "goal", "against", "again with")


@dataclass(frozen=True)
class Row:
    """One figure."""

    what: str
    ours: float
    beside: float | None
    """None where there is nothing that does the same work."""
    unit: str
    against: str = ""
    """What `beside` is of."""
    at_most: float | None = None
    """A goal for the ratio; for `ours` where nothing is beside it."""
    at_least: float | None = None
    low: float | None = None
    """The lower quartile of the ratio, where it is that of many pairs."""
    high: float | None = None
    note: str = ""
    absolute: bool = False
    """The goal is of `ours`, though something is beside it."""
    given_ratio: float | None = None
    """The ratio, where it is not that of the two figures: the median of the pairs' ratios."""

    @property
    def ratio(self) -> float | None:
        """Ours to what is beside it."""
        if self.given_ratio is not None:
            return self.given_ratio
        return self.ours / self.beside if self.beside else None

    @property
    def judged(self) -> float:
        """What the goal is of."""
        return self.ours if self.absolute or self.ratio is None else self.ratio

    @property
    def met(self) -> bool:
        """Whether the goal is; true where there is none."""
        low = self.at_least is None or self.judged >= self.at_least
        return low and (self.at_most is None or self.judged <= self.at_most)

    @property
    def goal(self) -> str:
        """The goal, and whether it is met."""
        parts = [f"≤ {self.at_most:g}"] if self.at_most is not None else []
        parts += [f"≥ {self.at_least:g}"] if self.at_least is not None else []
        return f"{' and '.join(parts)}: {'met' if self.met else 'MISSED'}" if parts else ""


def figure(value: float | None, unit: str = "") -> str:
    """A number with as many digits as people read."""
    if value is None:
        return ""
    digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 100 else 2 if abs(value) >= 10 else 3
    return f"{value:,.{digits}f} {unit}".rstrip()


def table(measured: Mapping[str, Sequence[Row]]) -> str:
    """All rows as text, with the command that measures each again."""
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
    """What was kept, as the table of the docs."""
    lines = ["| what | ours | beside it | ratio | goal |", "| --- | --- | --- | --- | --- |"]
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
    """Write what was measured as data, with the machine and the commit, that of `span`; gives the file.

    `count` is what was asked for; None stands for the measurement's default.
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
    """What was kept, by measurement, with its rows as rows."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.glob("*.json")):
        document = json.loads(path.read_text())
        found[document["measurement"]] = {**document, "rows": [Row(**row) for row in document["rows"]]}
    return found


def span(before: str, after: str) -> str:
    """What was measured, from the commits at its start and at its end: both, where somebody has changed it meanwhile."""
    return before if before == after else f"{before} to {after}"


def commit() -> str:
    """The commit as it is now, and `-dirty` where what is measured, or measures, was changed since."""
    here = RESULTS.parent.parent
    named = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=here, capture_output=True, text=True, check=False
    )
    changed = ["git", "diff", "--quiet", "HEAD", "--", "operator", "bench", ":!bench/results"]
    dirty = subprocess.run(changed, cwd=here, capture_output=True, check=False).returncode == 1
    return (named.stdout.strip() or "unknown") + ("-dirty" if dirty else "")
