"""Phases, shutdown modes and storage states have the values of the KFP API and of Argo."""

from __future__ import annotations

from runwright.api.states import Phase, Shutdown, StorageState


def test_a_run_has_ended_unless_it_is_pending_or_running():
    assert [phase for phase in Phase if not phase.finished] == [Phase.PENDING, Phase.RUNNING]


def test_values_are_those_of_the_wire():
    assert [phase.value for phase in Phase] == ["Pending", "Running", "Succeeded", "Skipped", "Failed", "Error"]
    assert [mode.value for mode in Shutdown] == ["Stop", "Terminate"]
    assert [state.value for state in StorageState] == ["Available", "Archived"]
