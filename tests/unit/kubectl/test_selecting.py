"""Selectors of runs, and the runs that a command chooses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.api.states import Phase
from runwright.kube.client import Form
from runwright.kube.errors import ApiError
from runwright.kube.objects import Key, name_of
from runwright.kube.resource import Selection
from runwright.kubectl.selecting import LIST_ATTEMPTS, Chosen, chosen_keys, list_selected, run_selection
from runwright.kubectl.session import CommandError, Session, Target
from tests.unit.fake.apiserver import ApiServer, selects, selects_fields
from tests.unit.fake.client import FakeClient


def test_archived_runs_are_excluded_by_default():
    assert run_selection("team") == Selection("team", "runwright.dev/storage-state!=Archived")
    assert run_selection("", "a=b", archived=True) == Selection("", "a=b,runwright.dev/storage-state=Archived")
    assert run_selection("", every=True) == Selection()


@given(st.sets(st.sampled_from([phase.value for phase in Phase]), min_size=1), st.sampled_from(["", *Phase]))
def test_a_set_of_phases_selects_exactly_these_phases(phases: set[str], phase: str):
    selection = run_selection("", "", "", sorted(phases), every=True)
    run = {"metadata": {"name": "a", "namespace": "b"}, "status": {"phase": phase} if phase else {}}
    assert selects_fields(selection.fields, run) is (phase in phases)


@given(st.booleans(), st.booleans(), st.sampled_from([None, "Available", "Archived"]))
def test_a_storage_state_is_selected_as_the_options_say(archived: bool, every: bool, state: str | None):
    selection = run_selection("", archived=archived, every=every)
    labels = {"runwright.dev/storage-state": state} if state else {}
    expected = state == "Archived" if archived else every or state != "Archived"
    assert (not selection.labels or selects(selection.labels, labels)) is expected


def test_fields_and_phases_are_joined():
    selection = run_selection("", "", "spec.displayName=Nightly", ["Failed"])
    assert selection.fields == "spec.displayName=Nightly,status.phase=Failed"


def add_runs(server: ApiServer, *names: str) -> None:
    for name in names:
        server.create("PipelineRun", {"metadata": {"namespace": "team", "name": name}, "spec": {}})


async def test_a_list_starts_again_when_its_pages_expire(server: ApiServer, client: FakeClient, here: Session):
    add_runs(server, "a", "b")
    client.fail("list pipelineruns", ApiError(410, "Expired", "too old"))
    _, items = await list_selected(here, Selection("team"), Form.METADATA)
    assert [name_of(item) for item in items] == ["a", "b"]


async def test_a_list_whose_pages_always_expire_ends_with_the_error(client: FakeClient, here: Session):
    client.fail("list pipelineruns", *[ApiError(410, "Expired", "too old")] * LIST_ATTEMPTS)
    with pytest.raises(ApiError, match="Expired"):
        await list_selected(here, Selection("team"), Form.METADATA)
    assert client.calls == ["list pipelineruns"] * LIST_ATTEMPTS


async def test_named_runs_are_chosen_once_without_a_request(client: FakeClient, here: Session):
    keys = await chosen_keys(here, Chosen(Target(), ("b", "a", "b", "other/c")))
    assert keys == [Key("team", "b"), Key("team", "a"), Key("other", "c")]
    assert client.calls == []


async def test_runs_are_chosen_by_selector(server: ApiServer, here: Session):
    add_runs(server, "a", "b")
    assert await chosen_keys(here, Chosen(Target())) == [Key("team", "a"), Key("team", "b")]
    with pytest.raises(CommandError, match="no runs match in namespace team"):
        await chosen_keys(here, Chosen(Target(), selector="a=b"))
