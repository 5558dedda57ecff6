"""Objects as text for programs: JSON, YAML, names; and the standard output."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from runwright.api.resources import API_VERSION, GROUP
from runwright.kube.objects import Json, key_of


def run_reference(name: str) -> str:
    """The name of a run in messages, as kubectl prints it."""
    return f"pipelinerun.{GROUP}/{name}"


def dump_document(value: Any, output: str) -> str:
    """One JSON or YAML document."""
    if output == "json":
        return json.dumps(value, indent=4, ensure_ascii=False) + "\n"
    import yaml

    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)


def format_run(run: Json, output: str) -> str:
    """A run as json, yaml or name."""
    return (
        f"{run_reference(key_of(run).name)}\n"
        if output == "name"
        else dump_document(without_managed_fields(run), output)
    )


def format_runs(runs: Sequence[Json], output: str) -> str:
    """Runs as a List, as kubectl prints it, or their names."""
    if output == "name":
        return "".join(f"{run_reference(key_of(run).name)}\n" for run in runs)
    body = {
        "apiVersion": "v1",
        "items": [{"apiVersion": API_VERSION, "kind": "PipelineRun", **without_managed_fields(run)} for run in runs],
        "kind": "List",
        "metadata": {"resourceVersion": ""},
    }
    return dump_document(body, output)


def without_managed_fields(body: Json) -> dict[str, Any]:
    """The object without the field that kubectl hides."""
    metadata = {name: value for name, value in dict(body.get("metadata") or {}).items() if name != "managedFields"}
    return {**body, "metadata": metadata}


def write_text(text: str) -> None:
    """Write to the standard output in one write, and flush it."""
    sys.stdout.write(text)
    sys.stdout.flush()
