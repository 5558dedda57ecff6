"""Unpacking a tar yields its file, or the whole tar of a directory, and refuses anything else."""

from __future__ import annotations

import gzip
import io
import tarfile
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.artifacts.packing import Packing
from runwright.artifacts.unpacker import PackingError
from runwright.artifacts.untar import (
    MAX_NOTE,
    MAX_NOTES,
    MAX_PADDING,
    TAR_END,
    pax_size,
    tar_entry,
    tar_header,
    tar_padding,
)
from tests.unit.artifacts.archives import DATA, cuts, tar_of, unpacked


@given(DATA, st.integers(1, 5000), st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT]))
def test_the_file_of_a_tar_is_yielded_however_the_stream_is_cut(data: bytes, size: int, form: int):
    packed = gzip.compress(tar_of(("model", data), form=form))
    assert unpacked(Packing.TAR, cuts(packed, size)) == data
    assert unpacked(Packing.UNSAID, cuts(packed, size)) == data


@pytest.mark.parametrize("size", [7, 512, 100_000])
def test_a_directory_is_yielded_as_the_whole_tar(size: int):
    tar = tar_of(("d", None), ("d/a", b"a" * 1000), ("d/" + "long" * 60, b"b"))
    assert unpacked(Packing.TAR, cuts(gzip.compress(tar), size)) == tar
    deep = tar_of(("long" * 60, None), ("long" * 60 + "/a", b"a"))
    assert unpacked(Packing.TAR, cuts(gzip.compress(deep), size)) == deep


def test_a_file_with_a_long_name_is_unpacked():
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        assert unpacked(Packing.TAR, [gzip.compress(tar_of(("x" * 300, b"data"), form=form))]) == b"data"


def test_the_size_of_a_file_over_8_gib_is_in_its_extended_header():
    """Go's writer puts it there; the plain header then says zero."""
    record = b"17 size=12345678\n"
    note = tarfile.TarInfo("PaxHeaders.0/model")
    note.type, note.size = tarfile.XHDTYPE, len(record)
    data = b"x" * 12345678
    tar = (
        note.tobuf(tarfile.USTAR_FORMAT)
        + record
        + tar_padding(len(record))
        + tarfile.TarInfo("model").tobuf(tarfile.USTAR_FORMAT)
        + data
        + tar_padding(len(data))
        + TAR_END
    )
    assert unpacked(Packing.TAR, cuts(gzip.compress(tar, 1), 65536)) == data


@pytest.mark.parametrize("note", [b"x", b"4 a=b", b"99 size=1\n", b"0 size=1\n", b"-1 size=1\n", b"9999999 size=1\n"])
def test_an_invalid_extended_header_is_refused(note: bytes):
    with pytest.raises(PackingError, match="extended header"):
        pax_size(note)


def test_a_size_inside_a_name_is_ignored():
    assert pax_size(b"23 path=a\n11 size=99999\n"[:23]) is None


@pytest.mark.parametrize(
    ("packing", "data", "message"),
    [
        (Packing.TAR, gzip.compress(b"plain text" * 100), "expected a tar"),
        (Packing.TAR, gzip.compress(b"short"), "it is empty"),
        (Packing.TAR, gzip.compress(TAR_END), "it is empty"),
        (Packing.TAR, gzip.compress(tar_of(("a", b"1"), ("b", b"2"))), "it has several"),
        (Packing.TAR, gzip.compress(tar_of(("a", b""), kind=tarfile.SYMTYPE)), "expected a file or a directory"),
        (Packing.TAR, gzip.compress(tar_of(("a", b""), kind=tarfile.FIFOTYPE)), "expected a file or a directory"),
        (Packing.TAR, gzip.compress(tar_of(("a", b"1" * 5000))[:2000]), "truncated"),
        (Packing.TAR, gzip.compress(tar_of(("a", b"1")) + b"\0" * MAX_PADDING), "more data after the end"),
    ],
    ids=lambda value: "bytes" if isinstance(value, bytes) else None,  # gzip puts the time in
)
def test_another_tar_is_refused(packing: Packing, data: bytes, message: str):
    for size in (1, 100, 100_000_000):
        with pytest.raises(PackingError, match=message):
            unpacked(packing, cuts(data, size))


def test_endless_extended_headers_are_refused():
    """A bomb without a file."""
    note = tar_of(("x" * 300, b""), form=tarfile.GNU_FORMAT)[:1024]
    with pytest.raises(PackingError, match="extended headers than"):
        unpacked(Packing.TAR, [gzip.compress(note * 1000)])
    large = tarfile.TarInfo("x")
    large.type, large.size = tarfile.XHDTYPE, 1 << 30
    with pytest.raises(PackingError, match="extended headers than"):
        unpacked(Packing.TAR, [gzip.compress(large.tobuf(tarfile.USTAR_FORMAT))])


def test_headers_and_padding_make_a_valid_tar():
    made = tar_header("d/" + "é" * 200, 3) + b"abc" + tar_padding(3) + tar_header("d/b", 512) + b"x" * 512 + TAR_END
    with tarfile.open(fileobj=io.BytesIO(made)) as tar:
        assert [(entry.name, entry.size) for entry in tar] == [("d/" + "é" * 200, 3), ("d/b", 512)]


def test_a_block_of_zeros_is_the_end_of_a_tar():
    assert tar_entry(TAR_END[:512]) is None
    entry = tar_entry(tar_header("model", 3)[:512])
    assert entry is not None and (entry.name, entry.size) == ("model", 3)


def test_an_extended_header_of_many_records_takes_linear_time():
    """And a length of thousands of digits is no number."""
    began = time.perf_counter()
    for _ in range(MAX_NOTES):
        assert pax_size(b"4 =\n" * (MAX_NOTE // 4)) is None
    assert time.perf_counter() - began < 2
    for length in (b"065000" + b"0" * 5000, b"0" * 6 + b"1", b"9" * 5000):
        with pytest.raises(PackingError, match="extended header"):
            pax_size(length + b" a=b\n" + b"x" * MAX_NOTE)
