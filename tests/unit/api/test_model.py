"""The base class of all models: camelCase in JSON, and unknown fields are dropped."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from runwright.api.model import Model, Name
from runwright.api.pipelinerun import PipelineRun
from tests.unit.api.instances import wire


class Example(Model):
    some_name: Name


def test_an_unknown_field_is_dropped():
    run = PipelineRun.model_validate(
        {"spec": {"workflow": {"manifest": "x", "oci": "y"}, "priority": 1}, "metadata": {"name": "a"}, "more": 1}
    )
    assert wire(run)["spec"] == {"workflow": {"manifest": "x"}, "retries": 0}


def test_a_field_is_read_by_either_name_and_written_in_camel_case():
    assert Example.model_validate({"someName": "a"}) == Example(some_name="a")
    assert Example(some_name="a").model_dump(by_alias=True) == {"someName": "a"}


@pytest.mark.parametrize("name", ["", "a" * 254])
def test_a_name_has_1_to_253_characters(name: str):
    with pytest.raises(ValidationError):
        Example(some_name=name)
