"""What Argo packs, undone: as it came from Argo, however it is cut, and never more than is asked for."""

from __future__ import annotations

import contextlib
import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.artifacts.packing import Packing, make_unpacker, packing_of
from runwright.artifacts.unpacker import PIECE, PackingError
from runwright.artifacts.untar import MAX_PADDING, TAR_END, pax_size, tar_header, tar_padding


def cuts(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def undone(packing: Packing, chunks: Iterable[bytes], count: Callable[[int], None] = lambda _: None) -> bytes:
    undo = make_unpacker(packing, count)
    pieces = [piece for chunk in chunks for piece in undo.feed(chunk)] + list(undo.end())
    assert all(0 < len(piece) <= PIECE for piece in pieces)
    return b"".join(pieces)


def tar_of(*entries: tuple[str, bytes | None], form: int = tarfile.PAX_FORMAT, kind: bytes | None = None) -> bytes:
    """A tar; None is a directory."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for name, data in entries:
            info = tarfile.TarInfo(name)
            info.type = kind or (tarfile.DIRTYPE if data is None else tarfile.REGTYPE)
            info.size = len(data or b"")
            tar.addfile(info, io.BytesIO(data or b""))
    return out.getvalue()


class Pipe(io.RawIOBase):
    """What cannot be gone back in, as Argo's own zip writer assumes."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self.data += data
        return len(data)


def zip_of(*entries: tuple[str, bytes], zip64: bool = False) -> bytes:
    """As Go's writer makes it: deflated, sizes and checksum after the file."""
    out = Pipe()
    with zipfile.ZipFile(cast(Any, out), "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in entries:
            info = zipfile.ZipInfo("x")
            info.filename, info.compress_type = name, zipfile.ZIP_DEFLATED
            with made.open(info, "w", force_zip64=zip64) as file:
                file.write(data)
    return bytes(out.data)


DATA = st.one_of(st.binary(max_size=3000), st.integers(1, 50).map(lambda n: b"0123456789" * 1000 * n))


@given(DATA, st.integers(1, 5000), st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT]))
def test_the_file_in_a_tar_whichever_way_it_comes(data: bytes, size: int, form: int):
    packed = gzip.compress(tar_of(("model", data), form=form))
    assert undone(Packing.TAR, cuts(packed, size)) == data
    assert undone(Packing.UNSAID, cuts(packed, size)) == data


@given(DATA, st.integers(1, 5000), st.sampled_from(["/tmp/model", "model"]))
def test_the_file_in_a_zip_whichever_way_it_comes(data: bytes, size: int, name: str):
    for zip64 in (False, True):  # sizes of eight bytes each, as of a file over 4 GiB
        assert undone(Packing.ZIP, cuts(zip_of((name, data), zip64=zip64), size)) == data


@given(st.binary(max_size=3000), st.integers(1, 999))
def test_what_is_not_packed(data: bytes, size: int):
    assert undone(Packing.NONE, cuts(data, size)) == data


@given(st.binary(max_size=3000).filter(lambda data: data[:2] != b"\x1f\x8b"), st.integers(1, 999))
def test_where_nothing_is_said_what_is_no_tar_is_left_alone(data: bytes, size: int):
    assert undone(Packing.UNSAID, cuts(data, size)) == data
    as_gzip = gzip.compress(data)
    assert undone(Packing.UNSAID, cuts(as_gzip, size)) == as_gzip


@pytest.mark.parametrize("size", [7, 512, 100_000])
def test_a_directory_is_given_as_its_tar(size: int):
    tar = tar_of(("d", None), ("d/a", b"a" * 1000), ("d/" + "long" * 60, b"b"))
    assert undone(Packing.TAR, cuts(gzip.compress(tar), size)) == tar
    deep = tar_of(("long" * 60, None), ("long" * 60 + "/a", b"a"))
    assert undone(Packing.TAR, cuts(gzip.compress(deep), size)) == deep


def test_a_directory_is_given_as_its_zip():
    for whole in (zip_of(("d/a", b"a" * 1000), ("d/b", b"b")), zip_of()):
        for size in (3, 100_000):
            assert undone(Packing.ZIP, cuts(whole, size)) == whole


def test_a_file_of_a_long_name():
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        assert undone(Packing.TAR, [gzip.compress(tar_of(("x" * 300, b"data"), form=form))]) == b"data"


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
    assert undone(Packing.TAR, cuts(gzip.compress(tar, 1), 65536)) == data


@pytest.mark.parametrize("note", [b"x", b"4 a=b", b"99 size=1\n", b"0 size=1\n", b"-1 size=1\n", b"9999999 size=1\n"])
def test_an_extended_header_that_cannot_be_read(note: bytes):
    with pytest.raises(PackingError, match="extended header"):
        pax_size(note)


def test_a_size_inside_a_name_is_not_taken_for_one():
    assert pax_size(b"23 path=a\n11 size=99999\n"[:23]) is None


def test_gzip_in_several_members_and_filled_up():
    tar = tar_of(("model", b"data"))
    assert undone(Packing.TAR, [gzip.compress(tar[:700]) + gzip.compress(tar[700:]) + b"\0" * 512]) == b"data"


@pytest.mark.parametrize(
    ("packing", "data", "message"),
    [
        (Packing.TAR, b"", "empty"),
        (Packing.TAR, b"plain text", "expected gzip"),
        (Packing.TAR, gzip.compress(b"plain text" * 100), "expected a tar"),
        (Packing.TAR, gzip.compress(b"short"), "it is empty"),
        (Packing.TAR, gzip.compress(TAR_END), "it is empty"),
        (Packing.TAR, gzip.compress(tar_of(("a", b"1"), ("b", b"2"))), "it has several"),
        (Packing.TAR, gzip.compress(tar_of(("a", b""), kind=tarfile.SYMTYPE)), "expected a file or a directory"),
        (Packing.TAR, gzip.compress(tar_of(("a", b""), kind=tarfile.FIFOTYPE)), "expected a file or a directory"),
        (Packing.TAR, gzip.compress(tar_of(("a", b"1" * 5000))[:2000]), "truncated"),
        (Packing.TAR, gzip.compress(tar_of(("a", b"1"))) + b"rubbish", "damaged"),
        (Packing.TAR, gzip.compress(tar_of(("a", b"1")) + b"\0" * MAX_PADDING), "more data after the end"),
        (Packing.TAR, gzip.compress(tar_of(("a", b"1")))[:-4], "truncated"),
        (Packing.TAR, gzip.compress(tar_of(("a", b"1")))[:-8] + b"\1" * 8, "damaged"),
        (Packing.ZIP, b"", "empty"),
        (Packing.ZIP, b"plain text", "expected a zip"),
        (Packing.ZIP, zip_of(("a", b"1" * 5000))[:40], "truncated"),
        (Packing.ZIP, zip_of(("a", b"1"), ("b", b"2")), "it has several"),
        (Packing.ZIP, zip_of(("a", b"1")).replace(struct.pack("<I", zlib.crc32(b"1")), b"\1\2\3\4"), "checksum"),
    ],
    ids=lambda value: "bytes" if isinstance(value, bytes) else None,  # gzip puts the time in
)
def test_what_is_not_as_it_should_be(packing: Packing, data: bytes, message: str):
    for size in (1, 100, 100_000_000):
        with pytest.raises(PackingError, match=message):
            undone(packing, cuts(data, size))


def test_a_tar_that_only_tells_of_entries():
    """A bomb that holds no file: endless names of what never comes."""
    note = tar_of(("x" * 300, b""), form=tarfile.GNU_FORMAT)[:1024]
    with pytest.raises(PackingError, match="extended headers than"):
        undone(Packing.TAR, [gzip.compress(note * 1000)])
    large = tarfile.TarInfo("x")
    large.type, large.size = tarfile.XHDTYPE, 1 << 30
    with pytest.raises(PackingError, match="extended headers than"):
        undone(Packing.TAR, [gzip.compress(large.tobuf(tarfile.USTAR_FORMAT))])


class TooMuchError(Exception):
    pass


@pytest.mark.parametrize("packing", [Packing.TAR, Packing.UNSAID, Packing.ZIP])
def test_a_bomb_goes_off_in_pieces(packing: Packing):
    """A kilobyte that stands for a megabyte, again and again: who counts stops it after one piece too many."""
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
        undone(packing, [bomb], count)
    assert seen <= 3 * PIECE
    assert undone(packing, [bomb]) == zeros


@given(st.binary(max_size=2000), st.integers(1, 700), st.sampled_from([Packing.TAR, Packing.ZIP, Packing.UNSAID]))
def test_no_bytes_raise_anything_else(data: bytes, size: int, packing: Packing):
    for told in (
        data,
        b"\x1f\x8b" + data,
        gzip.compress(data),
        b"PK\x03\x04" + data,
        gzip.compress(tar_of(("a", b"1")))[:-9] + data,
    ):
        with contextlib.suppress(PackingError):
            undone(packing, cuts(told, size))


def test_a_tar_that_is_made_is_one():
    made = tar_header("d/" + "é" * 200, 3) + b"abc" + tar_padding(3) + tar_header("d/b", 512) + b"x" * 512 + TAR_END
    with tarfile.open(fileobj=io.BytesIO(made)) as tar:
        assert [(entry.name, entry.size) for entry in tar] == [("d/" + "é" * 200, 3), ("d/b", 512)]


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
def test_what_archive_says(archive: object, packing: Packing):
    assert packing_of({"name": "a", "archive": archive}) == packing
