"""Callers and rights are values: the cache of reviews uses them as keys."""

from __future__ import annotations

import pytest

from runwright.service.calls import Access, Call, Caller


def test_rights_with_equal_attributes_are_one_cache_key():
    assert len({Access("get", "team"), Access("get", "team"), Access("get", "team", name="a")}) == 2


def test_a_right_is_about_pipeline_runs_unless_it_says_otherwise():
    access = Access("list", "")
    assert (access.group, access.resource, access.subresource) == ("runwright.dev", "pipelineruns", "")


def test_a_call_cannot_be_changed():
    call = Call(Caller("ann"), "RunService/GetRun")
    assert call.idempotency_key == "" and call.caller.groups == ()
    with pytest.raises(AttributeError):
        call.caller = Caller("root")  # type: ignore[misc]
