"""Filters: every op with every kind of value, and what is refused by name."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.service.errors import Code, ServiceError
from runwright.service.filters import parse_filter
from runwright.service.rows import RowFactory
from runwright.service.run_lists import FIELDS
from tests.unit.service.bodies import run_body

ROW = RowFactory().row(
    run_body(
        spec={"displayName": "Train 50%_x", "references": [{"type": "EXPERIMENT", "id": "e-1"}]},
        status={"phase": "Failed"},
    )
)
CREATED = 1795687200
"""2026-11-26T10:00:00Z"""


def holds(*predicates: dict[str, Any]) -> bool:
    test = parse_filter(json.dumps({"predicates": list(predicates)}), FIELDS)
    return test is None or test(ROW)


@pytest.mark.parametrize(
    ("predicate", "expected"),
    [
        ({"op": 1, "key": "name", "stringValue": "Train 50%_x"}, True),
        ({"op": "EQUALS", "key": "name", "string_value": "train 50%_x"}, False),
        ({"op": "NOT_EQUALS", "key": "status", "string_value": "Failed"}, False),
        ({"op": "NOT_EQUALS", "key": "storage_state", "string_value": "STORAGESTATE_ARCHIVED"}, True),
        ({"op": "IN", "key": "status", "string_values": {"values": ["Failed", "Error"]}}, True),
        ({"op": "IN", "key": "status", "string_values": {"values": []}}, False),
        ({"op": "IN", "key": "created_at", "long_values": {"values": [str(CREATED)]}}, True),
        ({"op": "IN", "key": "created_at", "int_values": {"values": [1]}}, False),
        ({"op": "IS_SUBSTRING", "key": "name", "string_value": "TRAIN"}, True),
        ({"op": "IS_SUBSTRING", "key": "name", "string_value": "%_x"}, True),
        ({"op": "IS_SUBSTRING", "key": "name", "string_value": "a%x"}, False),
        ({"op": "GREATER_THAN", "key": "created_at", "timestamp_value": "2026-11-26T09:59:59Z"}, True),
        ({"op": "GREATER_THAN", "key": "created_at", "timestamp_value": "2026-11-26T10:00:00Z"}, False),
        ({"op": "GREATER_THAN_EQUALS", "key": "created_at", "long_value": str(CREATED)}, True),
        ({"op": "LESS_THAN", "key": "created_at", "string_value": "2026-11-26T10:00:01Z"}, True),
        ({"op": "LESS_THAN_EQUALS", "key": "finished_at", "int_value": 0}, True),
        ({"op": "LESS_THAN", "key": "name", "string_value": "U"}, True),
        ({"op": "EQUALS", "key": "experiment_id", "string_value": "e-1"}, True),
    ],
)
def test_an_op_compares_the_field_with_its_value(predicate: dict[str, Any], expected: bool):
    assert holds(predicate) is expected


def test_a_row_must_match_every_predicate():
    name = {"op": "IS_SUBSTRING", "key": "name", "string_value": "train"}
    assert holds(name, {"op": "EQUALS", "key": "status", "string_value": "Failed"})
    assert not holds(name, {"op": "EQUALS", "key": "status", "string_value": "Succeeded"})


@pytest.mark.parametrize(
    ("filter", "said"),
    [
        ('{"predicates": [{"op": "EQUALS", "key": "owner", "string_value": "x"}]}', "unrecognized field 'owner'"),
        ('{"predicates": [{"op": "EQUALS", "key": "metric:x", "string_value": "x"}]}', "unrecognized field"),
        ('{"predicates": [{"op": "EQUALS", "key": "name"}]}', "no value set for predicate on key 'name'"),
        ('{"predicates": [{"key": "name", "string_value": "x"}]}', "expected an op"),
        ('{"predicates": [{"op": "IN", "key": "name", "string_value": "x"}]}', "expected int_values"),
        ('{"predicates": [{"op": "EQUALS", "key": "name", "string_values": {"values": ["x"]}}]}', "expected one value"),
        ('{"predicates": [{"op": "IS_SUBSTRING", "key": "name", "int_value": 1}]}', "expected string_value"),
        ('{"predicates": [{"op": "EQUALS", "key": "created_at", "string_value": "soon"}]}', "expected a time"),
        ('{"predicates": [{"op": "EQUALS", "key": "created_at", "string_value": "--5"}]}', "expected a time"),
        ('{"predicates": [{"op": "IN", "key": "created_at", "string_values": {"values": ["-"]}}]}', "expected a time"),
        ('{"predicates": [{"op": "SOME", "key": "name", "string_value": "x"}]}', "failed to parse"),
        ('{"predicates": [], "more": 1}', "failed to parse"),
        ("not json", "failed to parse"),
        ("[]", "failed to parse"),
        ('{"predicates": [null]}', "failed to parse"),
        ("[" * 3000, "failed to parse"),
    ],
)
def test_an_invalid_filter_is_refused(filter: str, said: str):
    with pytest.raises(ServiceError, match=said) as caught:
        parse_filter(filter, FIELDS)
    assert caught.value.code == Code.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("filter", "said"),
    [
        ({"predicates": [{"op": 1, "key": "name", "string_value": "x" * 8192}]}, "filter: expected 8192 bytes at most"),
        ({"predicates": [{"op": 1, "key": "name", "string_value": "😀" * 4096}]}, "filter: expected 8192 bytes"),
        ({"predicates": [{}] * 51}, "filter.predicates: expected 50 at most, found 51; use IN"),
        (
            {"predicates": [{"op": 9, "key": "name", "string_value": "x"}] * 11},
            "expected 10 with IS_SUBSTRING at most, found 11",
        ),
        (
            {"predicates": [{"op": "IS_SUBSTRING", "key": "name", "string_value": "x" * 257}]},
            "key 'name': expected 256 characters at most, found 257",
        ),
    ],
)
def test_a_filter_over_a_limit_is_refused_with_the_limit(filter: dict[str, Any], said: str):
    text = json.dumps(filter, ensure_ascii=False).replace('"op": 9', '"op": "IS_SUBSTRING"')
    with pytest.raises(ServiceError, match=said) as caught:
        parse_filter(text, FIELDS)
    assert caught.value.code == Code.INVALID_ARGUMENT


@given(st.lists(st.text("aAß", max_size=3), min_size=1, max_size=5), st.text("aAßb", max_size=8))
def test_substrings_hold_as_each_of_them_does(parts: list[str], name: str):
    row = RowFactory().row(run_body(spec={"displayName": name or "n"}))
    predicates = [{"op": "IS_SUBSTRING", "key": "name", "string_value": part} for part in parts]
    test = parse_filter(json.dumps({"predicates": predicates}), FIELDS)
    assert test is not None
    assert test(row) is all(part.casefold() in row.name.casefold() for part in parts)


def test_a_filter_that_was_escaped_twice_is_decoded():
    filter = '{"predicates": [{"op": 1, "key": "name", "stringValue": "Train 50%_x"}]}'
    test = parse_filter(quote(filter), FIELDS)
    assert test is not None and test(ROW)


def test_plus_and_percent_signs_in_a_plain_filter_are_kept():
    """KFP 1.8.22 unescapes once more than it should."""
    plus = RowFactory().row(run_body(spec={"displayName": "a+b 100%"}))
    test = parse_filter('{"predicates": [{"op": 1, "key": "name", "string_value": "a+b 100%"}]}', FIELDS)
    assert test is not None and test(plus)


@given(st.text(max_size=60))
def test_any_text_is_a_filter_or_an_invalid_argument(filter: str):
    try:
        test = parse_filter(filter, FIELDS)
    except ServiceError as error:
        assert error.code == Code.INVALID_ARGUMENT
    else:
        assert test is None or isinstance(test(ROW), bool)
