"""When a wait is over."""

from __future__ import annotations

import pytest

from runwright.kubectl.waiting import GOALS, code_of, out_of_reach, reached
from tests.unit.core.test_edits import a_run


@pytest.mark.parametrize("phase", ["Succeeded", "Skipped", "Failed", "Error"])
def test_an_end(phase: str):
    assert reached(a_run(phase), "end")
    assert reached(a_run(phase), phase.lower())
    assert code_of(a_run(phase)) == (3 if phase in ("Failed", "Error") else 0)


@pytest.mark.parametrize("goal", GOALS)
def test_a_retry_that_is_asked_for_is_waited_for(goal: str):
    assert not reached(a_run("Failed", 1, 0), goal)
    assert not out_of_reach(a_run("Failed", 1, 0), goal)


def test_what_cannot_come_any_more():
    assert out_of_reach(a_run("Failed"), "succeeded")
    assert not out_of_reach(a_run("Running"), "succeeded")
    assert not out_of_reach(a_run("Succeeded"), "archived")
    assert not out_of_reach(a_run("Failed"), "failed")


def test_archived_is_what_was_carried_out():
    run = a_run("Failed", label="Archived")
    assert not reached(run, "archived")
    assert reached({**run, "status": {**run["status"], "storageState": "Archived"}}, "archived")
