"""JSON of requests is parsed to messages, or refused with the place of the error."""

from __future__ import annotations

import pytest

from runwright.service.contract.run_pb2 import ListRunsRequest, Run
from runwright.service.messages import UnreadableMessageError, one_line, read_fields, read_json


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
