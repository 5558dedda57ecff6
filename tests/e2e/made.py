"""Makes PipelineRuns that nobody would write: by the CRD's own schema, and from Workflows that run, with mistakes in them."""

from __future__ import annotations

import copy
import json
import random
import string
from collections.abc import Callable
from typing import Any

from tests.e2e.cluster import Object
from tests.e2e.manifests import of_spec

Change = Callable[[random.Random, Any], Any]

WORDS = ("", "a", "main", "{{workflow.name}}", "{{", "ünïcode ✓", "0", "-1", "null", "1e400", "x" * 300)
KINDS: tuple[Any, ...] = (None, True, 0, -1, 2**63, 1.5, "", "text", [], [None], {}, {"a": {"b": []}})
DEEPEST = 5


class Maker:
    """Makes one run after the other; the same seed makes the same ones."""

    def __init__(self, seed: int, schema: Object, workflows: list[Object]) -> None:
        self._chance = random.Random(seed)
        self._spec = schema["properties"]["spec"]
        self._workflows = workflows

    def make(self, name: str) -> Object:
        """A run of this name; whether it is any good, nobody knows."""
        run = of_spec(self._source() if self._chance.random() < 0.6 else self._of(self._spec, 0), name)
        if self._chance.random() < 0.3:
            self._spoil(run["spec"])
        return run

    def _source(self) -> Object:
        """A spec around a Workflow that runs, with some mistakes in that Workflow."""
        workflow = copy.deepcopy(self._chance.choice(self._workflows))
        for _ in range(self._chance.randrange(4)):
            self._spoil(workflow)
        if self._chance.random() < 0.5:
            source: Object = {"spec": workflow.get("spec")}
        else:
            text = json.dumps(workflow)
            if self._chance.random() < 0.3:
                at = self._chance.randrange(len(text))
                text = text[:at] + self._chance.choice(("", '"', "{", "\t", "\x07", "&a *a")) + text[at + 1 :]
            source = {"manifest": text}
        spec: Object = {"workflow": source}
        if self._chance.random() < 0.3:
            spec["parameters"] = [{"name": self._word(), "value": self._word()} for _ in range(2)]
        return spec

    def _of(self, schema: Object, depth: int) -> Any:
        """A value that this schema allows by its types and bounds, or nearly so."""
        chance = self._chance
        if "enum" in schema:
            return chance.choice(schema["enum"])
        kind = schema.get("type")
        if kind == "object":
            fields: Object = schema.get("properties", {})
            needed = schema.get("required", ())
            # Too many optional fields at once, and no object would ever get past the first check.
            share = 0.9 if len(fields) == 1 else 0.35
            found = {
                name: self._of(field, depth + 1)
                for name, field in fields.items()
                if name in needed or (depth < DEEPEST and chance.random() < share)
            }
            if "additionalProperties" in schema or schema.get("x-kubernetes-preserve-unknown-fields"):
                found |= {self._word(): chance.choice(KINDS) for _ in range(chance.randrange(3))}
            return found
        if kind == "array":
            items = schema.get("items", {})
            return [self._of(items, depth + 1) for _ in range(chance.randrange(3))]
        if kind == "integer":
            return chance.choice((schema.get("minimum", 0), schema.get("maximum", 2**31), 1, 7))
        if kind == "number":
            return chance.choice((0, 0.5, 1e9))
        if kind == "boolean":
            return chance.random() < 0.5
        if kind == "string":
            return self._text(schema)
        return chance.choice(KINDS)

    def _text(self, schema: Object) -> str:
        if schema.get("format") == "date-time":
            return self._chance.choice(("2026-11-26T12:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"))
        return self._word()[: schema.get("maxLength", 300)] or "a" * schema.get("minLength", 0)

    def _word(self) -> str:
        if self._chance.random() < 0.5:
            return self._chance.choice(WORDS)
        return "".join(self._chance.choices(string.ascii_lowercase + "-._{}$ \n", k=self._chance.randrange(1, 20)))

    def _spoil(self, value: Any) -> None:
        """One mistake, somewhere in it."""
        places = list(inside(value))
        if not places:
            return
        holder, key = self._chance.choice(places)
        self._chance.choice(MISTAKES)(self._chance, holder, key)


def inside(value: Any) -> list[tuple[Any, Any]]:
    """Every place in it: the object or list, and the key or number."""
    if isinstance(value, dict):
        pairs: list[tuple[Any, Any]] = list(value.items())
    elif isinstance(value, list):
        pairs = list(enumerate(value))
    else:
        return []
    return [(value, key) for key, _ in pairs] + [place for _, one in pairs for place in inside(one)]


def drop(_: random.Random, holder: Any, key: Any) -> None:
    del holder[key]


def replace(chance: random.Random, holder: Any, key: Any) -> None:
    holder[key] = copy.deepcopy(chance.choice(KINDS))


def misspell(chance: random.Random, holder: Any, key: Any) -> None:
    if isinstance(holder, dict):
        holder[f"{key}{chance.choice('sX_')}"] = holder.pop(key)


def repeat(_: random.Random, holder: Any, key: Any) -> None:
    if isinstance(holder, list):
        holder.append(copy.deepcopy(holder[key]))


def refer(chance: random.Random, holder: Any, key: Any) -> None:
    holder[key] = chance.choice(("{{inputs.parameters.none}}", "{{=1/0}}", "{{tasks.x.outputs.result}}", "{{workflow."))


def nest(_: random.Random, holder: Any, key: Any) -> None:
    for _level in range(40):
        holder[key] = [holder[key]]


MISTAKES = (drop, replace, misspell, repeat, refer, nest)
