"""Writes argocd-cm.yaml, which puts health and actions of a PipelineRun into an Argo CD, from the Lua files beside it.

The Lua files stand as Argo CD's own repository keeps them (resource_customizations/<group>/<kind>), so that they can be
given to it; until a release has them, they are installed by this ConfigMap. `make generate` runs it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
CUSTOMIZATIONS = HERE / "resource_customizations"
CONFIG_MAP = HERE / "argocd-cm.yaml"
HEADER = "# Made from resource_customizations/ by `make generate`; edit there.\n"


class Document(yaml.SafeDumper):
    """YAML in which a script can be read: texts of several lines are blocks."""


def block(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


Document.add_representer(str, block)


def dumped(value: Any) -> str:
    return yaml.dump(value, Dumper=Document, sort_keys=False, width=1000)


def actions(folder: Path) -> dict[str, Any]:
    """The actions of a kind, as Argo CD reads them from its ConfigMap."""
    scripts = sorted(folder.glob("*/action.lua"))
    return {
        "discovery.lua": (folder / "discovery.lua").read_text(),
        "definitions": [{"name": script.parent.name, "action.lua": script.read_text()} for script in scripts],
    }


def config_map(customizations: Path = CUSTOMIZATIONS) -> str:
    """The text of argocd-cm.yaml."""
    data: dict[str, str] = {}
    for health in sorted(customizations.glob("*/*/health.lua")):
        kind = f"{health.parent.parent.name}_{health.parent.name}"
        data[f"resource.customizations.health.{kind}"] = health.read_text()
        data[f"resource.customizations.actions.{kind}"] = dumped(actions(health.parent / "actions"))
    metadata = {"name": "argocd-cm"}
    return HEADER + dumped({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})


if __name__ == "__main__":
    CONFIG_MAP.write_text(config_map())
    print(CONFIG_MAP.relative_to(HERE.parents[1]))
