"""Objects as text for programs: JSON, YAML, names."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

import yaml

from runwright.api.resources import API_VERSION, GROUP
from runwright.kube.objects import Json, key_of

FORMATS = ("json", "yaml", "name", "wide")


def reference(name: str) -> str:
    """How kubectl names a run in what it prints."""
    return f"pipelinerun.{GROUP}/{name}"


def dumped(value: Any, how: str) -> str:
    """One document."""
    if how == "json":
        return json.dumps(value, indent=4, ensure_ascii=False) + "\n"
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)


def printed_object(item: Json, how: str) -> str:
    """An object as json, yaml or name."""
    return f"{reference(key_of(item).name)}\n" if how == "name" else dumped(plain(item), how)


def printed_list(items: Sequence[Json], how: str) -> str:
    """Objects as a List, as kubectl prints it, or their names."""
    if how == "name":
        return "".join(f"{reference(key_of(item).name)}\n" for item in items)
    body = {
        "apiVersion": "v1",
        "items": [{"apiVersion": API_VERSION, "kind": "PipelineRun", **plain(item)} for item in items],
        "kind": "List",
        "metadata": {"resourceVersion": ""},
    }
    return dumped(body, how)


def plain(item: Json) -> dict[str, Any]:
    """The object without what kubectl hides."""
    metadata = {name: value for name, value in dict(item.get("metadata") or {}).items() if name != "managedFields"}
    return {**item, "metadata": metadata}


def say(text: str) -> None:
    """Print, in one write."""
    sys.stdout.write(text)
    sys.stdout.flush()
