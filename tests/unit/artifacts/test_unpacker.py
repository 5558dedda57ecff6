"""Gzip, unpacked objects, and chains of unpackers, in bounded pieces."""

from __future__ import annotations

import gzip
import random
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.artifacts.packing import Packing
from runwright.artifacts.unpacker import PIECE, Chain, Gunzip, PackingError, Passthrough, inflate, split_pieces
from tests.unit.artifacts.archives import cuts, tar_of, unpacked


@given(st.binary(max_size=3000), st.integers(1, 999))
def test_an_object_that_is_not_packed_is_passed_on(data: bytes, size: int):
    assert unpacked(Packing.NONE, cuts(data, size)) == data


def test_gzip_of_several_members_and_with_padding_is_unpacked():
    tar = tar_of(("model", b"data"))
    assert unpacked(Packing.TAR, [gzip.compress(tar[:700]) + gzip.compress(tar[700:]) + b"\0" * 512]) == b"data"


@pytest.mark.parametrize(
    ("packing", "data", "message"),
    [
        (Packing.TAR, b"", "empty"),
        (Packing.TAR, b"plain text", "expected gzip"),
        (Packing.TAR, gzip.compress(tar_of(("a", b"1"))) + b"rubbish", "damaged"),
        (Packing.TAR, gzip.compress(tar_of(("a", b"1")))[:-4], "truncated"),
        (Packing.TAR, gzip.compress(tar_of(("a", b"1")))[:-8] + b"\1" * 8, "damaged"),
    ],
    ids=lambda value: "bytes" if isinstance(value, bytes) else None,  # gzip puts the time in
)
def test_another_gzip_is_refused(packing: Packing, data: bytes, message: str):
    for size in (1, 100, 100_000_000):
        with pytest.raises(PackingError, match=message):
            unpacked(packing, cuts(data, size))


def test_data_is_split_into_bounded_pieces():
    assert [len(piece) for piece in split_pieces(b"x" * (2 * PIECE + 1))] == [PIECE, PIECE, 1]
    assert list(split_pieces(b"")) == []


def test_a_chain_feeds_the_output_of_the_first_to_the_second():
    chain = Chain(Gunzip(lambda _: None), Gunzip(lambda _: None))
    twice = gzip.compress(gzip.compress(b"data"))
    assert b"".join([*chain.feed(twice), *chain.end()]) == b"data"


def test_gunzip_reports_the_size_of_each_piece():
    sizes: list[int] = []
    unpacker = Gunzip(sizes.append)
    out: Iterator[bytes] = unpacker.feed(gzip.compress(b"x" * (PIECE + 10)))
    assert [len(piece) for piece in out if piece] == [size for size in sizes if size]
    assert sum(sizes) == PIECE + 10


def test_a_passed_on_object_ends_without_more_bytes():
    assert list(Passthrough().end()) == []


def test_damaged_data_is_refused_with_the_expected_format():
    with pytest.raises(PackingError, match="expected zip, but the object is damaged"):
        inflate(zlib.decompressobj(wbits=-15), b"\xff" * 10, "zip")


@pytest.mark.parametrize("content", [b"", b"x"])
def test_many_small_members_are_refused_before_they_cost_much(content: bytes):
    """Each one copies the rest of the chunk: 200,000 of them would take minutes."""
    unpacker = Gunzip(lambda _: None)
    with pytest.raises(PackingError, match="more members"):
        list(unpacker.feed(gzip.compress(content) * 200_000))


def test_a_gzip_of_many_blocks_is_unpacked():
    """As bgzip writes it."""
    unpacker = Gunzip(lambda _: None)
    block = gzip.compress(bytes(range(256)) * 8 + random.Random(1).randbytes(4000))
    assert sum(len(piece) for _ in range(3000) for piece in unpacker.feed(block)) == 3000 * (2048 + 4000)
