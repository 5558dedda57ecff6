"""A record says whether its run or Workflow has ended."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runwright.api.pipelinerun import PipelineRunStatus
from runwright.api.states import Phase
from runwright.core.records import NO_PERIODS, Periods, RunRecord, WorkflowRecord
from tests.unit.core.strategies import KEY, NOW

RUN = RunRecord(KEY, "uid", "1", 1, NOW)


@pytest.mark.parametrize(
    ("status", "finished"),
    [
        (PipelineRunStatus(), False),
        (PipelineRunStatus(phase=Phase.PENDING), False),
        (PipelineRunStatus(phase=Phase.RUNNING, finished_at=NOW), False),
        (PipelineRunStatus(phase=Phase.SKIPPED), True),
        (PipelineRunStatus(phase=Phase.ERROR), True),
        (PipelineRunStatus(finished_at=NOW), True),
    ],
)
def test_a_run_has_ended_by_its_phase_or_without_one_by_its_finish_time(
    status: PipelineRunStatus, finished: bool
) -> None:
    assert replace(RUN, status=status).finished is finished


@pytest.mark.parametrize(
    ("phase", "finished"),
    [("", False), ("Pending", False), ("Running", False), ("Succeeded", True), ("Failed", True), ("Error", True)],
)
def test_a_workflow_has_ended_by_its_phase(phase: str, finished: bool) -> None:
    assert WorkflowRecord(KEY, "uid", "1", phase=phase).finished is finished


def test_a_run_without_retention_has_no_periods() -> None:
    assert RUN.periods == NO_PERIODS == Periods(None, None, None)
