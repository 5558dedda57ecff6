"""JSON of requests is parsed to messages, or refused with the place of the error."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.service.bindings import bindings
from runwright.service.contract.run_pb2 import ListRunsRequest, Run
from runwright.service.messages import (
    UnreadableMessageError,
    check_json_size,
    check_message_size,
    one_line,
    read_fields,
    read_json,
)


@pytest.mark.parametrize("text", ['{"storage_state": 1}', '{"storageState": "STORAGESTATE_ARCHIVED"}'])
def test_names_in_either_case_and_enums_by_name_or_number_are_parsed(text: str):
    run = Run()
    read_json(text, run, ignore_unknown=False)
    assert run.storage_state == Run.STORAGESTATE_ARCHIVED


def test_unknown_fields_are_ignored_only_where_that_is_asked_for():
    run = Run()
    read_json('{"name": "x", "unknown": {"a": [1]}}', run, ignore_unknown=True)
    assert run.name == "x"
    with pytest.raises(UnreadableMessageError, match="unknown"):
        read_json('{"unknown": 1}', Run(), ignore_unknown=False)


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "5", '"x"', "{", b"\xff\xfe", '{"name": 5}', '{"metrics": [null]}', '{"a":' * 500]
)
def test_anything_but_an_object_of_the_message_is_unreadable(text: str | bytes):
    with pytest.raises(UnreadableMessageError):
        read_json(text, Run(), ignore_unknown=True)


def test_fields_are_set_from_decoded_json():
    request = ListRunsRequest()
    read_fields({"page_size": "5", "resource_reference_key": {"type": "EXPERIMENT"}}, request)
    assert (request.page_size, request.resource_reference_key.type) == (5, 1)
    with pytest.raises(UnreadableMessageError, match="page_size"):
        read_fields({"page_size": "many"}, request)


def test_an_error_is_one_short_line():
    assert one_line(ValueError("a\n  b" + " c" * 1000)).startswith("a b c c")
    assert len(one_line(ValueError("x" * 1000))) == 500
    assert one_line(KeyError()) == "KeyError"


@pytest.mark.parametrize(
    "text",
    [
        '{"metrics": [' + "{}," * 50_001 + "{}]}",
        '{"a": [' + "1," * 50_001 + "1]}",
        '{"a": [' + '"",' * 100_001 + '""]}',
        '{"a": [' + '"\\\\",' * 50_001 + '""]}',
        '{"a":' * 101 + "1" + "}" * 101,
    ],
)
def test_a_request_of_too_many_values_or_levels_is_not_parsed(text: str):
    with pytest.raises(UnreadableMessageError, match="expected at most"):
        read_json(text, Run(), ignore_unknown=True)


@given(
    st.recursive(st.text() | st.integers() | st.booleans(), lambda one: st.lists(one) | st.dictionaries(st.text(), one))
)
def test_a_small_request_is_never_too_large(value: object):
    check_json_size(json.dumps({"a": value}).encode())


def test_braces_in_a_manifest_are_no_values():
    manifest = json.dumps({"spec": ["{[,", '"'] * 100_000})
    run = Run()
    read_json(json.dumps({"name": manifest}), run, ignore_unknown=True)
    assert run.name == manifest


def test_fields_of_an_encoded_message_are_counted_with_those_of_its_parts():
    descriptor = next(one.descriptor.input_type for one in bindings() if one.method.endswith("CreateRun"))
    for raw in (
        b"\x0a\0" * 50_001,
        b"\x0a" + b"\xc4\x93\x06" + b"\x52\0" * 50_002,
        b"\x08\1" * 50_001,
        b"\x0b" * 50_001,
    ):
        with pytest.raises(UnreadableMessageError, match="expected at most 50000 fields"):
            check_message_size(raw, descriptor)
    check_message_size(b"\x0a\0" * 50_000, descriptor)


@given(st.binary(max_size=300))
def test_any_bytes_can_be_counted(raw: bytes):
    check_message_size(raw, bindings()[0].descriptor.input_type)
