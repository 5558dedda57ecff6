"""Fields of a PipelineRun that the generic property of test_kinds.py does not cover."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from runwright.api.pipelinerun import (
    MAX_MANIFEST,
    Metric,
    Parameter,
    PipelineRunSpec,
    PipelineRunStatus,
    Retention,
    WorkflowSource,
)
from runwright.api.states import Phase


@pytest.mark.parametrize("duration", ["90s", "1h30m", "7d", "0.5s", "250ms", "1d12h"])
def test_a_duration_is_accepted(duration: str):
    assert Retention(delete_after=duration).delete_after == duration


@pytest.mark.parametrize("duration", ["", "a week", "5", "-1h", "1 h", "1h ", "s", "1w", "1h\n", "1" * 32 + "s"])
def test_what_is_not_a_duration_is_refused(duration: str):
    with pytest.raises(ValidationError):
        Retention(delete_after=duration)


def test_fields_are_written_in_camel_case():
    spec = PipelineRunSpec(
        workflow=WorkflowSource(manifest="x"), service_account_name="a", parameters=[Parameter(name="a", value="1")]
    )
    assert spec.model_dump(by_alias=True, exclude_none=True) == {
        "workflow": {"manifest": "x"},
        "serviceAccountName": "a",
        "parameters": [{"name": "a", "value": "1"}],
        "retries": 0,
    }
    assert "nodeID" in Metric(name="m", node_id="n", value=1).model_dump(by_alias=True)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_metric_that_is_not_finite_is_refused(value: float):
    with pytest.raises(ValidationError):
        Metric(name="m", node_id="n", value=value)


def test_a_manifest_is_bounded():
    assert WorkflowSource(manifest="x" * MAX_MANIFEST).manifest
    with pytest.raises(ValidationError):
        WorkflowSource(manifest="x" * (MAX_MANIFEST + 1))


def test_an_unknown_phase_is_refused():
    assert PipelineRunStatus.model_validate({"phase": "Skipped"}).phase is Phase.SKIPPED
    with pytest.raises(ValidationError):
        PipelineRunStatus.model_validate({"phase": "Exploded"})
