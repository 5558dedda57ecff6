"""Bounds of a RetentionPolicy, in the model and in the CRD."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from runwright.api.kinds import RETENTION_POLICY
from runwright.api.retentionpolicy import MAX_KEPT, RetentionPolicySpec
from tests.unit.api.instances import SERVERS


def is_valid(document: dict[str, Any]) -> bool:
    """Whether the schema of the CRD and the model accept the object; they must agree."""
    on_the_server = SERVERS[RETENTION_POLICY.name].is_valid(document)
    try:
        RETENTION_POLICY.model.model_validate(document)
    except ValidationError:
        assert not on_the_server
        return False
    assert on_the_server
    return True


@pytest.mark.parametrize(
    ("document", "valid"),
    [
        ({}, False),
        ({"spec": {}}, True),
        ({"spec": {"keepFailed": MAX_KEPT}}, True),
        ({"spec": {"keepFailed": MAX_KEPT + 1}}, False),
        ({"spec": {"keepSucceeded": 0}}, True),
        ({"spec": {"keepSucceeded": -1}}, False),
        ({"spec": {"keepSucceeded": "all"}}, False),
        ({"spec": {"archiveAfter": "7d", "deleteAfter": "90d", "keepWorkflow": "0s"}}, True),
    ],
)
def test_numbers_of_kept_runs_are_bounded(document: dict[str, Any], valid: bool):
    assert is_valid(document) is valid


def test_an_absent_field_is_none():
    spec = RetentionPolicySpec.model_validate({"deleteAfter": "1h"})
    assert (spec.delete_after, spec.archive_after, spec.keep_failed) == ("1h", None, None)


def test_an_invalid_duration_is_refused():
    with pytest.raises(ValidationError):
        RetentionPolicySpec(archive_after="a week")
