"""The soak test's judge finds each kind of error, in synthetic histories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.e2e.soak_judge import GIVEN_UP, Plan, RunSeen, WorkflowSeen, wrong

NEW = RunSeen(uid="run", phase="", asked=0, retries=0, state="", workflow="")
GOING = replace(NEW, phase="Running", workflow="first")
GOOD = replace(GOING, phase="Succeeded")
BAD = replace(GOING, phase="Failed")
ARCHIVED = replace(GOOD, state="Archived")
BACK = replace(GOOD, state="Available", workflow="second")

MADE = WorkflowSeen(uid="first", owner="run", phase="")
RUNS = replace(MADE, phase="Running")
ENDED = replace(MADE, phase="Succeeded")
FAILED = replace(MADE, phase="Failed")
PUT_BACK = replace(ENDED, uid="second")

RIGHT: list[tuple[Plan, Sequence[RunSeen | None], Sequence[WorkflowSeen | None]]] = [
    (Plan("Succeeded"), [NEW, GOING, GOOD], [MADE, RUNS, ENDED]),
    (Plan("Succeeded", state="Archived"), [NEW, GOOD, ARCHIVED], [MADE, ENDED, None]),
    (Plan("Succeeded", state="Available"), [NEW, GOOD, ARCHIVED, BACK], [MADE, ENDED, None, PUT_BACK]),
    (Plan("Succeeded", state="Available"), [NEW, GOOD, ARCHIVED, replace(BACK, workflow="first")], [MADE, ENDED]),
    (
        Plan("Failed", retries=1),
        [NEW, BAD, replace(BAD, asked=1), replace(GOING, asked=1, retries=1), replace(BAD, asked=1, retries=1)],
        [MADE, FAILED, RUNS, FAILED],
    ),
]


@pytest.mark.parametrize(("plan", "runs", "workflows"), RIGHT)
def test_a_correct_history_has_no_errors(
    plan: Plan, runs: Sequence[RunSeen | None], workflows: Sequence[WorkflowSeen | None]
):
    assert wrong(plan, runs, workflows) == []


@pytest.mark.parametrize(
    ("word", "runs", "workflows"),
    [
        ("lost: the run", [], []),
        ("lost: the run", [NEW, GOOD, None], [MADE, ENDED]),
        ("lost: it was deleted", [NEW, None, replace(NEW, uid="other"), replace(GOOD, uid="other")], [MADE, ENDED]),
        ("lost: it never", [NEW, GOOD], []),
        ("lost: its Workflow", [NEW, GOOD], [MADE, ENDED, None]),
        ("wrong end: Running", [NEW, GOING], [MADE, RUNS]),
        ("wrong end: Failed", [NEW, BAD], [MADE, FAILED]),
        ("wrong end: the run tells", [NEW, GOOD], [MADE, FAILED]),
        ("wrong end: its status names another", [NEW, replace(GOOD, workflow="none")], [MADE, ENDED]),
        ("went back", [NEW, GOOD, GOING, GOOD], [MADE, ENDED]),
        ("wrong attempt", [NEW, replace(GOOD, retries=1)], [MADE, ENDED]),
        ("doubled: 2 Workflows were begun", [NEW, GOOD], [MADE, None, replace(MADE, uid="second"), PUT_BACK]),
        ("doubled: 1 Workflows were put back", [NEW, GOOD], [MADE, ENDED, None, PUT_BACK]),
        ("doubled: it was set going again", [NEW, GOOD], [MADE, ENDED, RUNS, ENDED]),
        ("wrong owner", [NEW, GOOD], [MADE, replace(ENDED, owner="another")]),
    ],
)
def test_an_incorrect_history_has_its_error(
    word: str, runs: Sequence[RunSeen | None], workflows: Sequence[WorkflowSeen | None]
):
    said = wrong(Plan("Succeeded"), runs, workflows)
    assert any(line.startswith(word) for line in said), said


def test_a_workflow_that_argo_gave_up_is_no_error():
    given_up = replace(MADE, phase="Error", message=f"{GIVEN_UP} for artifact repository ref: connection refused")
    assert wrong(Plan("Succeeded"), [NEW, replace(GOOD, phase="Error")], [MADE, given_up]) == []
    for workflow in (given_up, replace(given_up, message="an error of its own")):
        assert wrong(Plan("Succeeded"), [NEW, GOOD], [MADE, workflow])


def test_a_workflow_restored_twice_is_an_error():
    again = replace(ENDED, uid="third")
    runs, workflows = [NEW, ARCHIVED, replace(BACK, workflow="third")], [MADE, ENDED, None, PUT_BACK, None, again]
    assert wrong(Plan("Succeeded", state="Available"), runs, workflows) == ["doubled: 2 Workflows were put back"]


def test_a_workflow_of_an_archived_run_is_an_error():
    said = wrong(Plan("Succeeded", state="Archived"), [NEW, GOOD, ARCHIVED], [MADE, ENDED])
    assert said == ["wrong end: its Workflow is there"]
