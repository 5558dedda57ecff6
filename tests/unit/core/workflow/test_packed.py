"""Packed JSON is unpacked within bounds of size, depth and number."""

from __future__ import annotations

import base64
import gzip
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given

from runwright.core.workflow.packed import MAX_UNPACKED_BYTES, PackedError, unpack_json
from tests.unit.core.strategies import NODES


def packed(raw: bytes) -> str:
    return base64.b64encode(gzip.compress(raw, compresslevel=1, mtime=0)).decode()


def problem(text: str) -> PackedError:
    with pytest.raises(PackedError) as error:
        unpack_json(text)
    return error.value


@given(NODES)
def test_objects_are_unpacked(nodes: Any) -> None:
    nodes = json.loads(json.dumps(nodes).replace("NaN", "0").replace("Infinity", "0"))
    assert unpack_json(packed(json.dumps(nodes).encode())) == nodes


@pytest.mark.parametrize(
    "text",
    [
        "not base64!",
        "é",
        base64.b64encode(b"not gzip").decode(),
        packed(b"not json"),
        packed(b'{"a":'),
        packed(b'{"a":"\xff"}'),
        base64.b64encode(gzip.compress(b'{"a":{}}', mtime=0)[:-9]).decode(),
    ],
)
def test_invalid_text_is_refused(text: str) -> None:
    assert not problem(text).too_large


def test_unpaired_surrogate_is_replaced() -> None:
    nodes = {"a": {"displayName": "\ud83d", "message": "\ud83d\ude00"}}
    assert unpack_json(packed(json.dumps(nodes).encode())) == {"a": {"displayName": "?", "message": "😀"}}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b'{"a":"' + b" " * MAX_UNPACKED_BYTES + b'"}', "unpacks to more than 16777216 bytes"),
        (b" " * (MAX_UNPACKED_BYTES + 1), "unpacks to more than 16777216 bytes"),
        (b'{"a":[' + b"[]," * 5_000_000 + b"[]]}", "has more than 250000 objects and arrays"),
        (b'{"a":[' + b"{}," * 300_000 + b"{}]}", "has more than 250000 objects and arrays"),
        (b'{"a":[' + b"0," * 5_000_000 + b"0]}", "has more than 1000000 commas"),
        (b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", "nests deeper than 100 levels"),
    ],
    ids=["string", "spaces", "lists", "objects", "numbers", "depth"],
)
def test_bomb_is_refused_and_takes_little_memory(raw: bytes, message: str) -> None:
    text = packed(raw)
    tracemalloc.start()
    try:
        error = problem(text)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert error.too_large and message in str(error)
    assert peak < 5 * MAX_UNPACKED_BYTES


def test_large_workflow_of_argo_is_unpacked_in_bounded_memory() -> None:
    node = {
        "id": "x",
        "name": "run.step",
        "type": "Pod",
        "phase": "Succeeded",
        "outputs": {"artifacts": [{"s3": {}}]},
        "a": [],
        "b": [],
        "c": {},
        "d": {},
        "e": {},
        "f": {},
    }
    nodes = {f"run-{number}": node | {"message": "m" * 800} for number in range(10_000)}
    text = packed(json.dumps(nodes).encode())
    tracemalloc.start()
    try:
        assert len(unpack_json(text)) == 10_000
        assert tracemalloc.get_traced_memory()[1] < 150_000_000
    finally:
        tracemalloc.stop()
