"""The models of all kinds agree with the schemas of their CRDs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runwright.api.kinds import KINDS, PIPELINE_RUN, Kind
from tests.unit.api.instances import SERVERS, objects, wire


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no failure
@given(data=st.data())
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_any_instance_is_valid_and_unchanged_after_a_round_trip(kind: Kind, data: st.DataObject):
    found = data.draw(objects(kind))
    document = wire(found)
    assert (document["apiVersion"], document["kind"]) == ("runwright.dev/v1alpha1", kind.name)
    SERVERS[kind.name].validate(document)
    assert kind.model.model_validate(document) == found


def test_the_schema_refuses_unknown_fields_and_wrong_values():
    good = {"spec": {"workflow": {"spec": {"any": [None, {"thing": 1}]}}}}
    SERVERS[PIPELINE_RUN.name].validate(good)
    for bad in (
        {},
        {"spec": {}},
        {"spec": {"workflow": {}, "shut": "Stop"}},
        {"spec": {"workflow": {}, "shutdown": "Kill"}},
        {"spec": {"workflow": {}, "retries": "1"}},
        {"spec": {"workflow": {}, "displayName": None}},
        {"spec": {"workflow": {}, "parameters": [{"name": "a", "value": ""}] * 513}},
    ):
        assert not SERVERS[PIPELINE_RUN.name].is_valid(bad), bad


def test_kinds_and_their_short_names_are_unique():
    names = [name for kind in KINDS for name in (kind.name, kind.plural, kind.short_name) if name]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_columns_and_selectable_fields_are_paths_of_the_object(kind: Kind):
    assert all(path.startswith(".") for path in (*kind.selectable_fields, *(column.path for column in kind.columns)))
    assert len(kind.selectable_fields) <= 8, "the API server allows eight"
    assert len({column.name for column in kind.columns}) == len(kind.columns)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_kind_without_spec_is_refused(kind: Kind):
    empty: dict[str, Any] = {"apiVersion": "runwright.dev/v1alpha1", "kind": kind.name, "metadata": {"name": "a"}}
    assert not SERVERS[kind.name].is_valid(empty)
