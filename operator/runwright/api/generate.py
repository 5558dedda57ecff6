"""Writes the generated files: the CRD and the reference page of each kind. `--check` only prints the differences.

python -m runwright.api.generate [--check] [--root CHECKOUT]
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from runwright.api.crd import custom_resource_definition
from runwright.api.kinds import KINDS, Kind
from runwright.api.reference import reference_page
from runwright.api.resources import GROUP

CHECKOUT = Path(__file__).resolve().parents[3]


def crd_file(kind: Kind) -> Path:
    """Path of a kind's CRD in the checkout."""
    return Path("crds") / f"{GROUP}_{kind.plural}.yaml"


def reference_file(kind: Kind) -> Path:
    """Path of a kind's reference page in the checkout."""
    return Path("docs/reference") / f"{kind.name.lower()}.md"


def generate_files() -> dict[Path, str]:
    """Texts of the generated files, by path in the checkout."""
    files: dict[Path, str] = {}
    for kind in KINDS:
        crd = yaml.safe_dump(custom_resource_definition(kind), sort_keys=False, width=120, allow_unicode=True)
        files[crd_file(kind)] = f"# Generated from operator/runwright/api by `make generate`; edit there.\n{crd}"
        files[reference_file(kind)] = reference_page(kind)
    return files


def find_drift(root: Path) -> str:
    """A unified diff from the files under `root` to the generated texts; empty if they are the same."""
    lines: list[str] = []
    for path, wanted in generate_files().items():
        file = root / path
        found = file.read_text(encoding="utf-8") if file.exists() else ""
        lines += difflib.unified_diff(
            found.splitlines(keepends=True), wanted.splitlines(keepends=True), f"{path} (found)", f"{path} (generated)"
        )
    return "".join(lines)


def write_or_check(arguments: Sequence[str] | None = None) -> int:
    """Writes the files. With `--check`, prints the differences instead and returns 1 if there are any."""
    parser = argparse.ArgumentParser(prog="python -m runwright.api.generate", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; print the differences and exit with 1 if there are any"
    )
    parser.add_argument("--root", type=Path, default=CHECKOUT, help="the checkout to write into (default: %(default)s)")
    options = parser.parse_args(arguments)
    difference = find_drift(options.root)
    if options.check and difference:
        sys.stdout.write(difference)
        sys.stderr.write("generated files differ from the models: run `make generate`\n")
        return 1
    if difference:
        for path, text in generate_files().items():
            (options.root / path).parent.mkdir(parents=True, exist_ok=True)
            (options.root / path).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(write_or_check())
