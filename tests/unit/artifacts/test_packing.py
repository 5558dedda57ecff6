"""How an artifact is packed, and that its unpacker streams in bounded pieces."""

from __future__ import annotations

import contextlib
import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.artifacts.packing import Packing, begins_as_tar, packing_of
from runwright.artifacts.unpacker import PIECE, PackingError
from runwright.artifacts.untar import BLOCK
from tests.unit.artifacts.archives import cuts, tar_of, unpacked, zip_of


@pytest.mark.parametrize(
    ("archive", "packing"),
    [
        (None, Packing.UNSAID),
        ({}, Packing.UNSAID),
        ({"tar": {}}, Packing.TAR),
        ({"tar": {"compressionLevel": 0}}, Packing.TAR),
        ({"none": {}}, Packing.NONE),
        ({"zip": {}}, Packing.ZIP),
        ({"none": {}, "tar": {}}, Packing.NONE),
        ("tar", Packing.UNSAID),
    ],
)
def test_the_field_of_archive_is_the_packing(archive: object, packing: Packing):
    assert packing_of({"name": "a", "archive": archive}) == packing


@given(st.binary(max_size=3000).filter(lambda data: data[:2] != b"\x1f\x8b"), st.integers(1, 999))
def test_without_archive_an_object_that_is_not_a_tar_is_passed_on(data: bytes, size: int):
    assert unpacked(Packing.UNSAID, cuts(data, size)) == data
    as_gzip = gzip.compress(data)
    assert unpacked(Packing.UNSAID, cuts(as_gzip, size)) == as_gzip


def test_a_tar_is_detected_by_its_first_block():
    packed = gzip.compress(tar_of(("model", b"x" * 5000)), 0)
    assert begins_as_tar(packed) is True
    assert begins_as_tar(packed[: BLOCK // 2]) is None
    assert begins_as_tar(b"plain") is False
    assert begins_as_tar(gzip.compress(b"plain" * 1000)) is False


class TooMuchError(Exception):
    pass


@pytest.mark.parametrize("packing", [Packing.TAR, Packing.UNSAID, Packing.ZIP])
def test_a_decompression_bomb_can_be_stopped_after_one_piece(packing: Packing):
    """The callback counts the decompressed bytes and raises."""
    zeros = b"\0" * (64 * PIECE)
    bomb = zip_of(("a", zeros)) if packing == Packing.ZIP else gzip.compress(tar_of(("a", zeros)), 9)
    assert len(bomb) < PIECE // 8
    seen = 0

    def count(more: int) -> None:
        nonlocal seen
        seen += more
        if seen > 2 * PIECE:
            raise TooMuchError

    with pytest.raises(TooMuchError):
        unpacked(packing, [bomb], count)
    assert seen <= 3 * PIECE
    assert unpacked(packing, [bomb]) == zeros


@given(st.binary(max_size=2000), st.integers(1, 700), st.sampled_from([Packing.TAR, Packing.ZIP, Packing.UNSAID]))
def test_any_bytes_raise_a_packing_error_at_most(data: bytes, size: int, packing: Packing):
    for stream in (
        data,
        b"\x1f\x8b" + data,
        gzip.compress(data),
        b"PK\x03\x04" + data,
        gzip.compress(tar_of(("a", b"1")))[:-9] + data,
    ):
        with contextlib.suppress(PackingError):
            unpacked(packing, cuts(stream, size))
