"""Bytes of the API server become objects within bounds of depth, width and size; nothing else is lost."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.kube import decoding
from runwright.kube.decoding import (
    MAX_CONTAINERS,
    MAX_DEPTH,
    MAX_FIELD_CONTAINERS,
    BoundsError,
    decode,
    decode_event,
    decode_page,
    load_bounded,
    next_limit,
    shape_of,
)
from runwright.kube.errors import ApiError
from runwright.kube.objects import INCOMPLETE, incompleteness

TEXT = st.text(alphabet=st.sampled_from('{}[]"\\nuab\u00e9\n\x01\U0001f600'), max_size=12)
VALUES = st.recursive(
    st.none() | st.integers() | st.booleans() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=60,
)


def depth_of(value: Any) -> int:
    if isinstance(value, dict | list):
        inside = value.values() if isinstance(value, dict) else value
        return 1 + max(map(depth_of, inside), default=0)
    return 0


def count_of(value: Any) -> int:
    if isinstance(value, dict | list):
        return 1 + sum(map(count_of, value.values() if isinstance(value, dict) else value))
    return 0


def nested(levels: int, inner: str = "1") -> str:
    return '{"a":' * levels + inner + "}" * levels


def deep_run(levels: int, name: str = "deep") -> str:
    """A run as a list has it, with its fields in the API server's order."""
    return (
        f'{{"apiVersion":"v1","kind":"PipelineRun","metadata":{{"name":"{name}","namespace":"n","uid":"u"}},'
        f'"spec":{{"workflow":{{"spec":{{"x":{nested(levels)}}}}}}},"status":{{"phase":"Running"}}}}'
    )


@given(VALUES, st.booleans(), st.booleans())
def test_shape_is_exact(value: Any, ascii_only: bool, large: bool) -> None:
    padded = [value, "x" * 20_000 + "\\"] if large else value
    data = json.dumps(padded, ensure_ascii=ascii_only).encode()
    shape = shape_of(data)
    depth, containers = depth_of(padded), count_of(padded)
    if large:
        assert shape == (depth, containers)
    else:
        assert shape.depth >= depth and shape.containers >= containers, "small texts are only bounded"
        assert shape.depth <= MAX_DEPTH or depth > 0


@given(st.lists(st.sampled_from(['"', "\\", "{", "}", "[", "]", "\\\\", '\\"', "\\n", "a", ":", ","]), max_size=60))
def test_any_bytes_are_decoded_or_refused(parts: list[str]) -> None:
    for text in ("".join(parts), "[" * 2000 + "".join(parts), '{"a":' * 2000 + '"' + "".join(parts)):
        for decoder in (decode, decode_event, decode_page):
            try:
                decoder(text.encode())
            except ApiError as error:
                assert error.reason == "Undecodable"


def test_an_object_is_decoded_and_anything_else_is_empty() -> None:
    assert decode(b'{"a": 1}') == {"a": 1}
    assert decode(b"[1]") == {}


@pytest.mark.parametrize(
    "data", [b"", b"{", b"\xff", b"{" + b'"a":{' * 3000], ids=["empty", "cut", "bytes", "deep, cut"]
)
def test_what_is_no_json_is_an_error(data: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        decode(data)
    assert (caught.value.code, caught.value.reason) == (0, "Undecodable")


def test_objects_up_to_the_limit_are_complete() -> None:
    body = decode(nested(MAX_DEPTH, "[]" * 0 + "1").encode())
    assert depth_of(body) == MAX_DEPTH and incompleteness(body) is None
    assert incompleteness(decode(nested(MAX_DEPTH + 1).encode())) is not None


@pytest.mark.parametrize("levels", [MAX_DEPTH, 1500, 10_000, 200_000])
def test_a_deep_object_keeps_its_metadata_and_status(levels: int) -> None:
    body = decode(deep_run(levels).encode())
    assert body["metadata"] == {"name": "deep", "namespace": "n", "uid": "u"}
    assert body["status"] == {"phase": "Running"}
    assert depth_of({**body, INCOMPLETE: None}) == MAX_DEPTH
    assert incompleteness(body) == ("TooDeep", f"spec.workflow.spec is nested deeper than {MAX_DEPTH} levels")


@given(VALUES)
def test_cutting_keeps_what_is_within_the_limit(value: Any) -> None:
    body = {"kept": value, "deep": json.loads(nested(MAX_DEPTH + 5)), "later": [value]}
    cut = decode(json.dumps(body).encode())
    assert (cut["kept"], cut["later"]) == (value, [value])
    assert incompleteness(cut) == ("TooDeep", f"deep.a.a is nested deeper than {MAX_DEPTH} levels")


def test_deep_managed_fields_do_not_make_an_object_incomplete() -> None:
    text = f'{{"metadata":{{"managedFields":[{{"fieldsV1":{nested(3000)}}}],"name":"x"}},"spec":{{}}}}'
    body = decode(text.encode())
    assert incompleteness(body) is None and body["metadata"]["name"] == "x"


def test_a_mark_in_the_text_is_no_mark() -> None:
    body = decode(json.dumps({INCOMPLETE: {"reason": "TooDeep", "message": "x"}}).encode())
    assert incompleteness(body) is None


def test_too_many_containers_cut_only_their_field() -> None:
    wide = "[" + ",".join(["{}"] * (MAX_CONTAINERS + 1)) + "]"
    many = "[" + ",".join(["{}"] * (MAX_FIELD_CONTAINERS + 1)) + "]"
    owners = '"ownerReferences":[{"uid":"o"}]'
    text = f'{{"metadata":{{"managedFields":{many},{owners}}},"spec":{{"x":{wide}}},"status":{{"phase":"Failed"}}}}'
    body = decode(text.encode())
    assert body["metadata"]["ownerReferences"] == [{"uid": "o"}] and body["status"] == {"phase": "Failed"}
    assert count_of(body["spec"]) <= MAX_FIELD_CONTAINERS
    message = f"spec.x is made of more than {MAX_FIELD_CONTAINERS} objects and arrays"
    assert incompleteness(body) == ("TooComplex", message)


def test_a_deep_object_of_a_watch_is_marked_itself() -> None:
    event = decode_event(f'{{"type":"ADDED","object":{deep_run(1500)}}}'.encode())
    assert event["type"] == "ADDED"
    assert incompleteness(event["object"]) == (
        "TooDeep",
        f"spec.workflow.spec is nested deeper than {MAX_DEPTH} levels",
    )
    assert decode_event(b'{"type":"BOOKMARK","object":{}}') == {"type": "BOOKMARK", "object": {}}


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("envelope_first", [False, True])
def test_a_deep_item_does_not_lose_its_page(indent: int | None, envelope_first: bool) -> None:
    plain = {"metadata": {"name": "plain"}, "items": [[], {}], "spec": '{"items":[{'}
    items = [plain, json.loads(deep_run(900)), plain]
    envelope = {"kind": "PipelineRunList", "metadata": {"continue": "token", "resourceVersion": "7"}}
    page = {**envelope, "items": items} if envelope_first else {"items": items, **envelope}
    data = json.dumps(page, indent=indent).encode()
    body = decode_page(data)
    assert (body.envelope["metadata"], body.size) == (envelope["metadata"], len(data))
    assert [item["metadata"]["name"] for item in body.items] == ["plain", "deep", "plain"]
    assert [incompleteness(item) is not None for item in body.items] == [False, True, False]
    assert (body.items[2], len(body.items), list(body.items[2:])) == (plain, 3, [plain])


def test_a_page_without_items_is_decoded() -> None:
    assert decode_page(b'{"items":[],"metadata":{}}') == ({"metadata": {}}, [], 26)
    assert decode_page(b'{"rows":[{"cells":[]}],"metadata":{}}').items == [{"cells": []}]
    assert list(decode_page(f'{{"items":null,"x":{nested(3000)}}}'.encode()).items) == []


def test_the_next_page_has_fewer_objects_after_a_large_one() -> None:
    assert next_limit(500, 500, 2_000_000) == 500, "ordinary pages cost no more requests"
    assert next_limit(500, 62, 62 * 100_000) == 83
    assert next_limit(500, 7, 7_000_000) == 8
    assert next_limit(500, 1, 16_000_000) == 1
    assert next_limit(1, 1, 0) == 1


def test_text_in_a_field_is_decoded_within_the_same_bounds() -> None:
    assert load_bounded('{"a":[1,"\ud800"]}') == {"a": [1, "\ud800"]}
    with pytest.raises(BoundsError, match=f"nested deeper than {MAX_DEPTH} levels") as caught:
        load_bounded(nested(MAX_DEPTH + 1))
    assert caught.value.reason == "TooDeep"
    with pytest.raises(BoundsError, match=f"more than {MAX_CONTAINERS} objects and arrays"):
        load_bounded(b"[" + b",".join([b"[]"] * MAX_CONTAINERS) + b"]")
    with pytest.raises(ValueError):
        load_bounded("{")


def test_decoding_never_needs_pythons_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MAX_DEPTH", 100_000)
    monkeypatch.setattr(decoding, "_DEPTH_COUNTED", 100_004)
    with pytest.raises(ApiError, match="nested too deeply"):
        decode(nested(50_000).encode())
