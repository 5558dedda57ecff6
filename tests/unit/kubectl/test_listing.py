"""What the API server is asked to select by."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runwright.api.states import Phase
from runwright.kubectl.listing import selectors
from tests.unit.fake.apiserver import selects, selects_fields


def test_archived_runs_are_left_out_unless_they_are_asked_for():
    assert selectors("") == {"label_selector": "runwright.dev/storage-state!=Archived"}
    assert selectors("a=b", archived=True) == {"label_selector": "a=b,runwright.dev/storage-state=Archived"}
    assert selectors("", every=True) == {}


@given(st.sets(st.sampled_from([phase.value for phase in Phase]), min_size=1), st.sampled_from(["", *Phase]))
def test_any_set_of_phases(phases: set[str], phase: str):
    """Of several phases, all others are excluded: fields know no `in`."""
    chosen = selectors("", "", sorted(phases), every=True)
    run = {"metadata": {"name": "a", "namespace": "b"}, "status": {"phase": phase} if phase else {}}
    asked = chosen.get("field_selector", "")
    assert selects_fields(asked, run) is (phase in phases)


@given(st.booleans(), st.booleans(), st.sampled_from([None, "Available", "Archived"]))
def test_any_storage_state(archived: bool, every: bool, state: str | None):
    chosen = selectors("", archived=archived, every=every).get("label_selector", "")
    labels = {"runwright.dev/storage-state": state} if state else {}
    expected = state == "Archived" if archived else every or state != "Archived"
    assert (not chosen or selects(chosen, labels)) is expected


def test_fields_and_phases_are_joined():
    asked = selectors("", "spec.displayName=Nightly", ["Failed"])["field_selector"]
    assert asked == "spec.displayName=Nightly,status.phase=Failed"
