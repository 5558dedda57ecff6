"""Bounds of a PipelineExperiment, in the model and in the CRD."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from runwright.api.kinds import PIPELINE_EXPERIMENT
from runwright.api.pipelineexperiment import PipelineExperiment
from tests.unit.api.instances import SERVERS


def is_valid(document: dict[str, Any]) -> bool:
    """Whether the schema of the CRD and the model accept the object; they must agree."""
    on_the_server = SERVERS[PIPELINE_EXPERIMENT.name].is_valid(document)
    try:
        PIPELINE_EXPERIMENT.model.model_validate(document)
    except ValidationError:
        assert not on_the_server
        return False
    assert on_the_server
    return True


@pytest.mark.parametrize(
    ("spec", "valid"),
    [
        ({}, False),
        ({"displayName": ""}, False),
        ({"displayName": "a"}, True),
        ({"displayName": "a" * 256}, False),
        ({"displayName": "a", "description": "b" * 4096}, True),
        ({"displayName": "a", "description": "b" * 4097}, False),
    ],
)
def test_name_and_description_are_bounded(spec: dict[str, Any], valid: bool):
    assert is_valid({"spec": spec}) is valid


def test_an_experiment_is_written_in_camel_case():
    experiment = PipelineExperiment.model_validate({"spec": {"display_name": "a"}})
    written = experiment.model_dump(by_alias=True, exclude_none=True)
    assert (written["kind"], written["spec"]) == ("PipelineExperiment", {"displayName": "a"})
