"""Writes argocd-cm.yaml, the health and actions of PipelineRuns for Argo CD, from the Lua files in resource_customizations/.

The Lua files have the layout of Argo CD's repository (resource_customizations/<group>/<kind>), so that they can be contributed
to it. Until a release of Argo CD contains them, this ConfigMap installs them. `make generate` runs this program.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
CUSTOMIZATIONS = HERE / "resource_customizations"
CONFIG_MAP = HERE / "argocd-cm.yaml"
HEADER = "# Generated from resource_customizations/ by `make generate`. Edit the files there.\n"


class Document(yaml.SafeDumper):
    """YAML dumper that writes multi-line strings as blocks."""


def represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """A string as a scalar, as a block if it has several lines."""
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


Document.add_representer(str, represent_text)


def to_yaml(value: Any) -> str:
    """The value as YAML, with its keys in the given order."""
    return yaml.dump(value, Dumper=Document, sort_keys=False, width=1000)


def actions(folder: Path) -> dict[str, Any]:
    """The actions of a kind in the format of Argo CD's ConfigMap."""
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
        data[f"resource.customizations.actions.{kind}"] = to_yaml(actions(health.parent / "actions"))
    metadata = {"name": "argocd-cm"}
    return HEADER + to_yaml({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})


if __name__ == "__main__":
    CONFIG_MAP.write_text(config_map())
    print(CONFIG_MAP.relative_to(HERE.parents[1]))
