"""One name, one meaning: no two modules of the package define a function or class of one name at their top level."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "operator" / "runwright"


def definitions() -> dict[str, set[str]]:
    """The modules that define each top-level function or class, by its name; generated modules are left out."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for path in PACKAGE.rglob("*.py"):
        if path.stem.endswith("_pb2"):
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found[node.name].add(str(path.relative_to(PACKAGE)))
    return found


def test_top_level_names_are_unique_in_the_package() -> None:
    twice = {name: sorted(paths) for name, paths in definitions().items() if len(paths) > 1}
    assert not twice, f"give each of these definitions a name of its own: {twice}"
