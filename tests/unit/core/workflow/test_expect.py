"""Checks of a field's type refuse with the field's path, the expected and the found type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from runwright.core.workflow.expect import (
    MAX_MESSAGE,
    Refused,
    expect_list,
    expect_mapping,
    expect_object_name,
    expect_text,
    json_type,
    mark_healing,
    quote,
    quote_all,
)


@pytest.mark.parametrize(
    ("check", "good", "empty"), [(expect_mapping, {"a": 1}, {}), (expect_list, [1], []), (expect_text, "a", "")]
)
def test_a_value_of_the_type_is_returned_and_none_is_an_empty_one(
    check: Callable[[Any, str], Any], good: Any, empty: Any
) -> None:
    assert check(good, "spec.x") is good
    assert check(None, "spec.x") == empty


@pytest.mark.parametrize(
    ("check", "bad", "message"),
    [
        (expect_mapping, [1], "spec.x: expected a mapping, found a list"),
        (expect_list, {"a": 1}, "spec.x: expected a list, found a mapping"),
        (expect_text, 3, "spec.x: expected a string, found a number"),
    ],
)
def test_a_value_of_another_type_is_refused(check: Callable[[Any, str, str], Any], bad: Any, message: str) -> None:
    with pytest.raises(Refused) as refused:
        check(bad, "spec.x", "XInvalid")
    assert (refused.value.refusal.reason, refused.value.refusal.message) == ("XInvalid", message)


@pytest.mark.parametrize(
    ("value", "name"),
    [(None, "nothing"), (True, "a boolean"), (1, "a number"), (0.5, "a number"), ("", "a string"), ({}, "a mapping")],
)
def test_the_type_of_a_json_value_has_a_name(value: Any, name: str) -> None:
    assert json_type(value) == name


@pytest.mark.parametrize("name", ["a", "a-b.c", "0", "a" * 253])
def test_a_valid_object_name_is_returned(name: str) -> None:
    assert expect_object_name(name, "spec.x") == name


@pytest.mark.parametrize("name", ["", "A", "-a", "a-", "a_b", "a/b", "a" * 254, "{{inputs.parameters.x}}"])
def test_an_invalid_object_name_is_refused(name: str) -> None:
    with pytest.raises(Refused, match="cannot be the name of an object") as refused:
        expect_object_name(name, "spec.x")
    assert refused.value.refusal.reason == "NameInvalid"


def test_a_refusal_inside_a_healing_block_heals() -> None:
    for heals in (True, False):
        with pytest.raises(Refused) as refused, mark_healing(heals):
            raise Refused("A", "message")
        assert refused.value.refusal.heals is heals
    with pytest.raises(Refused) as refused, mark_healing(False):
        raise Refused("A", "message", heals=True)
    assert refused.value.refusal.heals


def test_messages_and_names_are_cut() -> None:
    assert len(Refused("A", "x" * 5000).refusal.message) == MAX_MESSAGE
    assert quote("x" * 500) == f'"{"x" * 79}…"'
    assert quote_all(["a", "b"]) == '"a", "b"'
    assert quote_all(range(25)).endswith('"19" and 5 more')
