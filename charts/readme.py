"""Writes charts/runwright/README.md: every value with what it means, from values.yaml and values.schema.json.

`make generate` runs it. A comment right above a value is its meaning; the schema tells its type.
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

INTRODUCTION = """# The chart of Runwright

[docs/helm.md](../../docs/helm.md) shows how to install it, to upgrade it and to take it out. These are its values; `values.schema.json` checks them
before anything is installed. The table is made from `values.yaml` by `make generate`.
"""


@dataclass(frozen=True)
class Value:
    """A value that can be set, or a section of values."""

    path: tuple[str, ...]
    meaning: str
    default: Any
    schema: dict[str, Any]

    @property
    def name(self) -> str:
        """As `--set` takes it."""
        return ".".join(self.path)


def comments(text: str) -> dict[tuple[str, ...], str]:
    """The comment above each key of the YAML, by the key's path. A blank line ends a comment."""
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
    given: dict[str, Any], schema: dict[str, Any], meanings: dict[tuple[str, ...], str], path: tuple[str, ...] = ()
) -> Iterator[Value]:
    """All values and sections, in the order of values.yaml. Raises ValueError where schema and values differ."""
    properties = schema.get("properties", {})
    if missing := set(given) ^ (set(properties) - {"global"}):
        raise ValueError(
            f"values.yaml and values.schema.json differ below {'.'.join(path) or 'the top'}: {sorted(missing)}"
        )
    for key, default in given.items():
        here = (*path, key)
        of_key = resolved(properties[key])
        if not meanings.get(here):
            raise ValueError(f"values.yaml says nothing about {'.'.join(here)}: write a comment above it")
        yield Value(here, meanings[here], default, of_key)
        if of_key.get("properties"):
            yield from values(default, of_key, meanings, here)


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema that a `$ref` into the definitions stands for."""
    return SCHEMA["definitions"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def type_of(schema: dict[str, Any]) -> str:
    """Its type, in a word or by the words that it may be."""
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
    parts = [INTRODUCTION, "## Of the whole release\n", table(tops)]
    for section in (one for one in sections if len(one.path) == 1):
        rows = [one for one in found if one.path[:1] == section.path and one.path not in inside]
        notes = [
            f"`{one.name}`: {one.meaning}" for one in sections if len(one.path) > 1 and one.path[:1] == section.path
        ]
        parts.append(f"## {section.name}\n")
        parts += [f"{line}\n" for line in (section.meaning, *notes) if line]
        parts.append(table(rows))
    return "\n".join(parts)


def table(rows: list[Value]) -> str:
    """A Markdown table of values."""
    lines = ["| value | type | default | what it is |", "| --- | --- | --- | --- |"]
    for value in rows:
        default = json.dumps(value.default, ensure_ascii=False)
        meaning = value.meaning.replace("|", "\\|")
        lines.append(f"| `{value.name}` | {type_of(value.schema)} | `{default}` | {meaning} |")
    return "\n".join(lines) + "\n"


SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())


def main() -> int:
    """Write the page."""
    README.write_text(page())
    print(README.relative_to(CHART.parent.parent))
    return 0


if __name__ == "__main__":
    sys.exit(main())
