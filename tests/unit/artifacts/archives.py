"""Archives as Argo writes them, and a function that unpacks them."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from typing import Any, cast

from hypothesis import strategies as st

from runwright.artifacts.packing import Packing, make_unpacker
from runwright.artifacts.unpacker import PIECE


def cuts(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def unpacked(packing: Packing, chunks: Iterable[bytes], count: Callable[[int], None] = lambda _: None) -> bytes:
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
    """A stream without seek, as Argo's own zip writer assumes."""

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
