"""Argo CD's ConfigMap: generated from the scripts, under the keys that Argo CD reads."""

from __future__ import annotations

import yaml

from argocd.argocd_cm import CONFIG_MAP, CUSTOMIZATIONS, config_map

KIND = CUSTOMIZATIONS / "runwright.dev" / "PipelineRun"


def test_the_config_map_is_generated_from_the_scripts():
    assert config_map() == CONFIG_MAP.read_text(), "run `make generate`"


def test_the_config_map_holds_the_scripts_under_argo_cds_keys():
    data = yaml.safe_load(CONFIG_MAP.read_text())["data"]
    assert data["resource.customizations.health.runwright.dev_PipelineRun"] == (KIND / "health.lua").read_text()
    actions = yaml.safe_load(data["resource.customizations.actions.runwright.dev_PipelineRun"])
    assert actions["discovery.lua"] == (KIND / "actions" / "discovery.lua").read_text()
    scripts = {script.parent.name: script.read_text() for script in (KIND / "actions").glob("*/action.lua")}
    assert {one["name"]: one["action.lua"] for one in actions["definitions"]} == scripts
