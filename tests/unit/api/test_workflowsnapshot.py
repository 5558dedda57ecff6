"""Bounds of a WorkflowSnapshot, in the model and in the CRD."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from runwright.api.kinds import WORKFLOW_SNAPSHOT
from runwright.api.workflowsnapshot import MAX_SNAPSHOT
from tests.unit.api.instances import SERVERS


def is_valid(document: dict[str, Any]) -> bool:
    """Whether the schema of the CRD and the model accept the object; they must agree."""
    on_the_server = SERVERS[WORKFLOW_SNAPSHOT.name].is_valid(document)
    try:
        WORKFLOW_SNAPSHOT.model.model_validate(document)
    except ValidationError:
        assert not on_the_server
        return False
    assert on_the_server
    return True


SNAPSHOT: dict[str, Any] = {"attempt": 0, "workflowUID": "a", "data": "a"}


@pytest.mark.parametrize(
    ("change", "valid"),
    [
        ({}, True),
        ({"attempt": 3}, True),
        ({"attempt": -1}, False),
        ({"workflowUID": ""}, False),
        ({"data": ""}, False),
        ({"data": "a" * MAX_SNAPSHOT}, True),
        ({"data": "a" * (MAX_SNAPSHOT + 1)}, False),
    ],
)
def test_attempt_uid_and_data_are_bounded(change: dict[str, Any], valid: bool):
    assert is_valid(SNAPSHOT | change) is valid


@pytest.mark.parametrize("field", list(SNAPSHOT))
def test_each_field_is_required(field: str):
    assert not is_valid({name: value for name, value in SNAPSHOT.items() if name != field})
