"""Unpacks the file of a zip from a stream, without the central directory at its end."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator

from runwright.artifacts.unpacker import PackingError, Unpacker, inflate, split_pieces


class Unzip(Unpacker):
    """Yields the only file of a zip, or the whole zip if it contains a directory.

    Argo writes a single file with an absolute path, and the files of a directory with paths relative to its parent.
    """

    LOCAL, CENTRAL, END, SIZES = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"PK\x07\x08"
    HEADER = 30

    def __init__(self, inflated: Callable[[int], None]) -> None:
        self._inflated = inflated
        self._buffer = b""
        self._state = self._header
        self._deflate = zlib.decompressobj(wbits=-15)
        self._checksum = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The bytes of the file or of the zip."""
        self._buffer += data
        while (out := self._state()) is not None:
            yield from split_pieces(out)

    def end(self) -> Iterator[bytes]:
        """Yields nothing; raises if the zip is empty or truncated."""
        if self._state not in (self._whole, self._directory):
            raise PackingError("expected a zip, but the object is empty or truncated")
        yield from ()

    def _header(self) -> bytes | None:
        if len(self._buffer) < 4:
            return None
        if self._buffer.startswith(self.END):
            self._state = self._whole  # an empty directory
            return b""
        if not self._buffer.startswith(self.LOCAL):
            raise PackingError("expected a zip, but the object has another format")
        if len(self._buffer) < self.HEADER:
            return None
        flags, method = (int.from_bytes(self._buffer[at : at + 2], "little") for at in (6, 8))
        name_size, extra = (int.from_bytes(self._buffer[at : at + 2], "little") for at in (26, 28))
        if len(self._buffer) < self.HEADER + name_size + extra:
            return None
        name = self._buffer[self.HEADER : self.HEADER + name_size]
        if b"/" in name[1:] and not name.startswith(b"/"):
            self._state = self._whole
            return b""
        if method != 8 or flags & 1 or not flags & 8:
            raise PackingError(
                "expected a zip as Argo writes it: one file, deflated, not encrypted, its sizes after it"
            )
        self._buffer = self._buffer[self.HEADER + name_size + extra :]
        self._state = self._content
        return b""

    def _content(self) -> bytes | None:
        if self._deflate.eof:
            self._state = self._sizes
            return b""
        if not self._buffer:
            return None
        out = inflate(self._deflate, self._buffer, "zip")
        self._buffer = self._deflate.unused_data if self._deflate.eof else self._deflate.unconsumed_tail
        self._inflated(len(out))
        self._checksum = zlib.crc32(out, self._checksum)
        return out

    def _sizes(self) -> bytes | None:
        if len(self._buffer) < 28:  # sizes of eight bytes each (zip64), and what follows
            return None
        if not self._buffer.startswith(self.SIZES):
            raise PackingError("the zip is damaged: there is no checksum after the file")
        if int.from_bytes(self._buffer[4:8], "little") != self._checksum:
            raise PackingError("the zip is damaged: the checksum of the file is wrong")
        if self.CENTRAL not in (self._buffer[16:20], self._buffer[24:28]):
            raise PackingError("expected a zip of one file, but it has several: read the object without unpacking it")
        self._state = self._directory
        return b""

    def _whole(self) -> bytes | None:
        out, self._buffer = self._buffer, b""
        return out or None

    def _directory(self) -> bytes | None:
        self._buffer = b""
        return None
