"""The API server accepts every edit, a second one changes nothing, and an impossible one is refused with a reason."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.api.labels import STORAGE_STATE_LABEL
from runwright.api.states import Phase, Shutdown
from runwright.core.edits import (
    Editor,
    archive_edit,
    has_ended,
    is_labeled_archived,
    retry_edit,
    shutdown_edit,
    unarchive_edit,
)
from tests.unit.fake.apiserver import check_rules, merged

Run = dict[str, Any]

EDITS: dict[str, Editor] = {
    "terminate": shutdown_edit(Shutdown.TERMINATE),
    "stop": shutdown_edit(Shutdown.STOP),
    "retry": retry_edit,
    "archive": archive_edit,
    "unarchive": unarchive_edit,
}


def a_run(phase: str = "", asked: int = 0, done: int = 0, shutdown: str = "", label: str = "") -> Run:
    spec: Run = {"workflow": {"spec": {}}, "retries": asked}
    if shutdown:
        spec["shutdown"] = shutdown
    status: Run = {"phase": phase, "retries": done} if phase else {}
    labels = {STORAGE_STATE_LABEL: label} if label else {}
    return {"metadata": {"name": "run", "namespace": "team", "labels": labels}, "spec": spec, "status": status}


@st.composite
def runs(draw: st.DrawFn) -> Run:
    """Runs as they can be: no more is asked for than one retry of what has failed."""
    phase, done = draw(st.sampled_from(["", *Phase])), draw(st.integers(0, 3))
    due = draw(st.booleans()) if phase in (Phase.FAILED, Phase.ERROR) else False
    shutdown = "" if due else draw(st.sampled_from(["", *Shutdown]))
    label = draw(st.sampled_from(["", "Available", "Archived"]))
    return a_run(str(phase), (done + due) if phase else 0, done, str(shutdown), label)


@given(runs(), st.sampled_from(sorted(EDITS)))
def test_the_api_server_takes_each_edit_and_a_second_one_does_nothing(run: Run, name: str):
    edit = EDITS[name](run)
    assert edit.message
    if edit.patch is None:
        return
    assert not edit.refused
    after = merged(run, edit.patch)
    assert after != run
    check_rules(run, after)
    again = EDITS[name](after)
    assert (again.patch, again.refused) == (None, False), again.message


@given(runs())
def test_a_retry_is_one_more_attempt_in_which_nothing_is_shut_down_or_archived(run: Run):
    edit = retry_edit(run)
    if edit.patch is not None:
        after = merged(run, edit.patch)
        assert after["spec"]["retries"] == run["status"]["retries"] + 1
        assert "shutdown" not in after["spec"]
        assert not is_labeled_archived(after)
        assert not has_ended(after), "a client that waits, waits for the retry"


@pytest.mark.parametrize(
    ("name", "run", "said"),
    [
        ("terminate", a_run("Succeeded"), "it has ended as Succeeded: there is nothing left to terminate"),
        ("terminate", a_run("Failed", 1, 0), "retry 1 has not begun: terminate it when it has"),
        ("retry", a_run("Running"), "it is Running: only a run that is Failed or Error can be retried"),
        ("retry", a_run(), "it has not begun: only a run that is Failed or Error can be retried"),
    ],
)
def test_an_impossible_edit_is_refused(name: str, run: Run, said: str):
    edit = EDITS[name](run)
    assert (edit.message, edit.patch, edit.refused) == (said, None, True)


@pytest.mark.parametrize(
    ("name", "run", "said"),
    [
        ("terminate", a_run("Failed", shutdown="Stop"), "unchanged: it was terminated and has ended as Failed"),
        (
            "stop",
            a_run("Running", shutdown="Terminate"),
            "unchanged: it is already ending (spec.shutdown is Terminate)",
        ),
        ("retry", a_run("Failed", 2, 1), "unchanged: retry 2 is already requested"),
        ("archive", a_run("Failed", label="Archived"), "unchanged: it is already archived"),
        ("unarchive", a_run("Failed", label="Available"), "unchanged: it is not archived"),
    ],
)
def test_an_edit_without_effect_is_unchanged(name: str, run: Run, said: str):
    edit = EDITS[name](run)
    assert (edit.message, edit.patch, edit.refused) == (said, None, False)


def test_stop_can_become_terminate():
    edit = EDITS["terminate"](a_run("Running", shutdown="Stop"))
    assert edit.patch == {"spec": {"shutdown": "Terminate"}}


def test_a_retry_also_unarchives_and_removes_the_shutdown():
    edit = retry_edit(a_run("Failed", 1, 1, "Terminate", "Archived"))
    assert edit.patch == {
        "spec": {"retries": 2, "shutdown": None},
        "metadata": {"labels": {STORAGE_STATE_LABEL: None}},
    }
    assert edit.message == "unarchived and retried (retry 2)"


def test_a_running_run_is_archived_once_it_has_ended():
    assert archive_edit(a_run("Running")).message == "will be archived when it has ended"
    assert archive_edit(a_run("Error")).message == "archived"
