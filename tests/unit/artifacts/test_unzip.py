"""Unpacking a zip yields its file, or the whole zip of a directory, and refuses anything else."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.artifacts.packing import Packing
from runwright.artifacts.unpacker import PackingError
from tests.unit.artifacts.archives import DATA, cuts, unpacked, zip_of


@given(DATA, st.integers(1, 5000), st.sampled_from(["/tmp/model", "model"]))
def test_the_file_of_a_zip_is_yielded_however_the_stream_is_cut(data: bytes, size: int, name: str):
    for zip64 in (False, True):  # sizes of eight bytes each, as of a file over 4 GiB
        assert unpacked(Packing.ZIP, cuts(zip_of((name, data), zip64=zip64), size)) == data


def test_a_directory_is_yielded_as_the_whole_zip():
    for whole in (zip_of(("d/a", b"a" * 1000), ("d/b", b"b")), zip_of()):
        for size in (3, 100_000):
            assert unpacked(Packing.ZIP, cuts(whole, size)) == whole


@pytest.mark.parametrize(
    ("packing", "data", "message"),
    [
        (Packing.ZIP, b"", "empty"),
        (Packing.ZIP, b"plain text", "expected a zip"),
        (Packing.ZIP, zip_of(("a", b"1" * 5000))[:40], "truncated"),
        (Packing.ZIP, zip_of(("a", b"1"), ("b", b"2")), "it has several"),
        (Packing.ZIP, zip_of(("a", b"1")).replace(struct.pack("<I", zlib.crc32(b"1")), b"\1\2\3\4"), "checksum"),
    ],
    ids=lambda value: "bytes" if isinstance(value, bytes) else None,  # gzip puts the time in
)
def test_another_zip_is_refused(packing: Packing, data: bytes, message: str):
    for size in (1, 100, 100_000_000):
        with pytest.raises(PackingError, match=message):
            unpacked(packing, cuts(data, size))
