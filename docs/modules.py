"""Writes the tables of modules in docs/architecture.md: the first line of each module's docstring, room by room."""

from __future__ import annotations

import ast
import re
from pathlib import Path

PAGE = Path(__file__).resolve().parent / "architecture.md"
PACKAGE = PAGE.parents[1] / "operator" / "runwright"
TABLE = re.compile(r"<!-- modules of (\S+) -->\n.*?<!-- end -->\n", re.DOTALL)


def modules(room: str) -> list[Path]:
    """The modules of a room that people write: those of its folder and the folders below, or the root's for `.`."""
    found = PACKAGE.glob("*.py") if room == "." else (PACKAGE / room).rglob("*.py")
    return sorted(path for path in found if path.name != "__init__.py" and not path.name.endswith("_pb2.py"))


def summary(path: Path) -> str:
    """The first line of a module's docstring."""
    return (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n")[0]


def table(room: str) -> str:
    """The table of a room, with its markers."""
    rows = [f"| `{path.relative_to(PACKAGE)}` | {summary(path)} |" for path in modules(room)]
    return "\n".join([f"<!-- modules of {room} -->", "| module | |", "| --- | --- |", *rows, "<!-- end -->", ""])


def rendered(page: str) -> str:
    """The page with its tables as the modules are now."""
    return TABLE.sub(lambda found: table(found[1]), page)


if __name__ == "__main__":
    PAGE.write_text(rendered(PAGE.read_text()))
    print(PAGE.name)
