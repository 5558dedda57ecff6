"""Writes charts/runwright/README.md: a table of all values, from values.yaml and values.schema.json.

`make generate` runs it. The comment directly above a value is its description; the schema has its type.
"""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).resolve().parent / "runwright"
README = CHART / "README.md"
LINE = re.compile(r"( *)(?:# ?(?P<comment>.*)|(?P<key>[\w.]+):.*|(?P<other>\S.*)|)$")

INTRODUCTION = """# Values of the Runwright chart

To install, upgrade or uninstall the chart, see [docs/helm.md](../../docs/helm.md). This page lists its values. Helm checks them against
`values.schema.json` before it installs anything. `make generate` writes this page from `values.yaml`.
"""


@dataclass(frozen=True)
class Value:
    """A value or a section of values."""

    path: tuple[str, ...]
    description: str
    default: Any
    schema: dict[str, Any]

    @property
    def name(self) -> str:
        """The name for `--set`."""
        return ".".join(self.path)


def comments(text: str) -> dict[tuple[str, ...], str]:
    """The comment above each key of a YAML text, by the key's path. A blank line ends a comment."""
    found: dict[tuple[str, ...], str] = {}
    path: list[tuple[int, str]] = []
    above: list[str] = []
    for line in text.splitlines():
        match = LINE.match(line)
        assert match, line
        if match["comment"] is not None:
            above.append(match["comment"])
            continue
        if match["key"] and not line.lstrip().startswith("-"):
            depth = len(match[1])
            path = [(at, key) for at, key in path if at < depth] + [(depth, match["key"])]
            found[tuple(key for _, key in path)] = " ".join(above)
        above = []
    return found


def values(
    given: dict[str, Any], schema: dict[str, Any], descriptions: dict[tuple[str, ...], str], path: tuple[str, ...] = ()
) -> Iterator[Value]:
    """All values and sections, in the order of values.yaml.

    Raises ValueError if schema and values differ, or a value has no description.
    """
    properties = schema.get("properties", {})
    if missing := set(given) ^ (set(properties) - {"global"}):
        raise ValueError(
            f"values.yaml and values.schema.json differ in {'.'.join(path) or 'the top level'}: {sorted(missing)}"
        )
    for key, default in given.items():
        full = (*path, key)
        of_key = resolved(properties[key])
        if not descriptions.get(full):
            raise ValueError(f"values.yaml does not describe {'.'.join(full)}: write a comment above it")
        yield Value(full, descriptions[full], default, of_key)
        if of_key.get("properties"):
            yield from values(default, of_key, descriptions, full)


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with its `$ref` into the definitions resolved."""
    return SCHEMA["definitions"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def type_of(schema: dict[str, Any]) -> str:
    """The type as text, or the allowed values."""
    if "enum" in schema:
        return " or ".join(f"`{one}`" for one in schema["enum"])
    kinds = schema.get("type") or [kind for one in schema["anyOf"] for kind in [one["type"]]]
    names = " or ".join([kinds] if isinstance(kinds, str) else kinds)
    if schema.get("type") == "array":
        return f"list of {type_of(resolved(schema['items'])) + 's' if 'items' in schema else 'objects'}"
    return names


def page() -> str:
    """The README."""
    text = (CHART / "values.yaml").read_text()
    found = list(values(yaml.safe_load(text), SCHEMA, comments(text)))
    sections = [value for value in found if value.schema.get("properties")]
    inside = {section.path for section in sections}
    tops = [value for value in found if len(value.path) == 1 and value.path not in inside]
    parts = [INTRODUCTION, "## General\n", table(tops)]
    for section in (one for one in sections if len(one.path) == 1):
        rows = [one for one in found if one.path[:1] == section.path and one.path not in inside]
        notes = [
            f"`{one.name}`: {one.description}" for one in sections if len(one.path) > 1 and one.path[:1] == section.path
        ]
        parts.append(f"## {section.name}\n")
        parts += [f"{line}\n" for line in (section.description, *notes) if line]
        parts.append(table(rows))
    return "\n".join(parts)


def table(rows: list[Value]) -> str:
    """A Markdown table of values."""
    lines = ["| value | type | default | description |", "| --- | --- | --- | --- |"]
    for value in rows:
        default = json.dumps(value.default, ensure_ascii=False)
        description = value.description.replace("|", "\\|")
        lines.append(f"| `{value.name}` | {type_of(value.schema)} | `{default}` | {description} |")
    return "\n".join(lines) + "\n"


SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())


def main() -> int:
    """Write the page."""
    README.write_text(page())
    print(README.relative_to(CHART.parent.parent))
    return 0


if __name__ == "__main__":
    sys.exit(main())
