"""The generator of the hostile tenant repeats itself by its seed, reaches its bounds, and writes what it means to."""

from __future__ import annotations

import base64
import gzip
import json
import random
import struct
from collections import Counter
from dataclasses import asdict
from typing import Any

import pytest

from tests.e2e.hostile_attempts import PLURALS, Attempt
from tests.e2e.hostile_objects import Objects
from tests.e2e.hostile_requests import END_HEADERS, HEADERS, TARGETS, Requests, frame, header_block, http, string
from tests.e2e.hostile_values import (
    BOMBS,
    DEPTHS,
    PACKED,
    PLANES,
    STYLES,
    Raw,
    bomb,
    document,
    nested,
    packed,
    plane_text,
)

TOKEN, NAMESPACE = "token-of-a-test", "attacker"


def requests(seed: int) -> Requests:
    return Requests(seed, TOKEN, NAMESPACE, "experiment-of-a-test")


@pytest.fixture(scope="module")
def attempts() -> list[Attempt]:
    return Objects(7).generate()


def test_the_seed_decides_every_object(attempts: list[Attempt]):
    assert Objects(7).generate() == attempts
    assert list(Objects(8).do_longest_strings()) != list(Objects(7).do_longest_strings())


def test_every_trick_makes_objects(attempts: list[Attempt]):
    assert {one.trick for one in attempts} == {name.replace("_", " ") for name in Objects(7).tricks()}


def test_an_object_is_created_before_it_is_edited(attempts: list[Attempt]):
    seen: set[tuple[str, str]] = set()
    for one in attempts:
        name = one.name.removesuffix("/status")
        assert one.verb == "POST" or (one.kind, name) in seen
        seen.add((one.kind, name))


def test_every_kind_is_attempted(attempts: list[Attempt]):
    assert {one.kind for one in attempts} == set(PLURALS)
    assert {one.verb for one in attempts} == {"POST", "PATCH", "PUT", "DELETE"}


def test_objects_reach_the_limits_of_the_api_server(attempts: list[Attempt]):
    sizes = [len(one.body) for one in attempts]
    assert max(sizes) > 3 * 2**20, "more than the API server reads"
    assert sum(1_400_000 < size < 1_572_864 for size in sizes) >= 3, "what etcd takes just so"
    assert max(level(one.body) for one in attempts if one.trick == "deep run") > 10_000


def level(text: bytes) -> int:
    """Nesting of JSON, whose strings here hold no brackets."""
    deepest = now = 0
    for byte in text:
        now += (byte in b"[{") - (byte in b"]}")
        deepest = max(deepest, now)
    return deepest


@pytest.mark.parametrize("style", STYLES)
def test_nested_json_has_the_depth(style: str):
    for depth in (2, 30, *DEPTHS):
        assert level(nested(depth, style).encode()) == depth


def test_raw_text_is_placed_as_it_is():
    assert document({"a": Raw("[[1]]"), "b": Raw("9" * 30)}) == b'{"a": [[1]], "b": ' + b"9" * 30 + b"}"


def test_text_has_a_character_of_every_plane():
    text = plane_text(random.Random(1), 170)
    assert {ord(one) >> 16 for one in text} == set(PLANES)
    assert text.encode()


@pytest.mark.parametrize("kind", PACKED)
def test_bombs_are_small(kind: str):
    assert len(packed(kind)) < 1_400_000


def test_a_bomb_expands():
    data = gzip.decompress(base64.b64decode(packed("objects")))
    assert len(data) > 60 * 2**20
    assert data[:4] == b"[{},"
    assert gzip.decompress(bomb(b"x")) == b"x"
    assert set(BOMBS) < set(PACKED)


# ------------------------------------------------------------------------------------------------------------ requests
def test_the_seed_decides_every_request():
    one, same, other = (requests(seed).generate() for seed in (7, 7, 8))
    assert list(map(asdict, one)) == list(map(asdict, same))
    assert list(map(asdict, one)) != list(map(asdict, other))
    assert {script.trick for script in one} == {name.replace("_", " ") for name in requests(7).tricks()}
    assert {script.target for script in one} == set(TARGETS)
    assert sum(script.connections for script in one) > 3_000
    with_token: Counter[bool] = Counter(any(TOKEN.encode() in data for _, data in script.steps) for script in one)
    assert min(with_token[True], with_token[False]) > 20


def test_a_frame_has_its_head():
    data = frame(HEADERS, END_HEADERS, 3, b"abc")
    assert data == b"\x00\x00\x03\x01\x04\x00\x00\x00\x03abc"
    assert struct.unpack(">I", b"\x00" + data[:3])[0] == 3


@pytest.mark.parametrize(
    ("length", "prefix"), [(3, b"\x03"), (126, b"\x7e"), (127, b"\x7f\x00"), (1337 + 127, b"\x7f\xb9\x0a")]
)
def test_a_string_has_its_length(length: int, prefix: bytes):
    """The numbers of RFC 7541, C.1, with a prefix of seven bits."""
    assert string("x" * length) == prefix + b"x" * length


def test_header_fields_are_literals():
    assert header_block([("a", "b")]) == b"\x00\x01a\x01b"


def test_a_request_may_claim_another_length():
    text = http("POST", "/a", b"xy", "t", 9, X_One="1").decode()
    head, _, body = text.partition("\r\n\r\n")
    assert head.split("\r\n") == [
        "POST /a HTTP/1.1",
        "Host: x",
        "X-One: 1",
        "Authorization: Bearer t",
        "Content-Length: 9",
    ]
    assert body == "xy"


def test_the_bodies_that_should_be_json_are(attempts: list[Attempt]):
    found: Any = json.loads(next(one.body for one in attempts if one.trick == "near names"))
    assert len(found["spec"]["parameters"]) == 500
