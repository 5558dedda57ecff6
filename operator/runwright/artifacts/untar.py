"""Unpacks the file of a tar from a stream, and creates the parts of a tar for a stream."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator

from runwright.artifacts.unpacker import PackingError, Unpacker, split_pieces

MAX_NOTE = 64 * 1024
"""Maximum bytes of an extended header of a tar (a long name, a size); Go writes a few hundred."""

MAX_NOTES = 16
"""Maximum number of extended headers before one entry."""

MAX_LENGTH_DIGITS = 6
"""Digits of the length of a record in an extended header."""

MAX_PADDING = 1024 * 1024
"""Maximum bytes after the end of a tar; programs pad to 512 bytes or 10 KiB."""

BLOCK = tarfile.BLOCKSIZE

NOTES = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
FILES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)


class Untar(Unpacker):
    """Yields the only file of a tar, or the whole tar if it contains a directory, which is Argo's first entry then."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._kept = bytearray()
        """The tar so far, until its first entry is known."""
        self._state = self._header
        self._left = 0
        self._padding = 0
        self._notes = 0
        self._long_size: int | None = None
        self._found = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The bytes of the file or of the tar."""
        self._buffer += data
        while (out := self._state()) is not None:
            yield from split_pieces(out)

    def end(self) -> Iterator[bytes]:
        """Yields nothing; raises if the tar is empty or truncated."""
        if not self._found:
            raise PackingError("expected a tar of one file or directory, but it is empty")
        if self._state == self._content or self._state == self._padded:
            raise PackingError(f"the tar is truncated: {self._left or self._padding} bytes of its file are missing")
        yield from ()

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def _header(self) -> bytes | None:
        if len(self._buffer) < BLOCK:
            return None
        block = self._take(BLOCK)
        entry = tar_entry(block)
        if entry is None:
            self._state, self._left = self._after, MAX_PADDING
            return b""
        if not self._found:
            self._kept += block
        size = entry.size if self._long_size is None else self._long_size
        if entry.type in NOTES:
            self._notes += 1
            if entry.size > MAX_NOTE or self._notes > MAX_NOTES:
                raise PackingError("the tar has more or larger extended headers than Argo writes")
            self._left, self._state = entry.size, self._note if entry.type == tarfile.XHDTYPE else self._skipped_note
            return b""
        if self._found:
            raise PackingError("expected a tar of one file, but it has several: read the object without unpacking it")
        self._found, self._notes = True, 0
        if entry.type == tarfile.DIRTYPE:
            self._state = self._whole
            return self._drop_kept()
        if entry.type not in FILES:
            raise PackingError(f"expected a file or a directory in the tar, found an entry of type {entry.type!r}")
        self._kept.clear()
        self._left, self._padding, self._state = size, -size % BLOCK, self._content
        return b""

    def _drop_kept(self) -> bytes:
        kept = bytes(self._kept)
        self._kept.clear()
        return kept

    def _note(self) -> bytes | None:
        size = self._left
        if len(self._buffer) < size + -size % BLOCK:
            return None
        self._long_size = pax_size(bytes(self._buffer[:size]))
        return self._skipped_note()

    def _skipped_note(self) -> bytes | None:
        whole = self._left + -self._left % BLOCK
        if len(self._buffer) < whole:
            return None
        note = self._take(whole)
        if not self._found:
            self._kept += note
        self._state = self._header
        return b""

    def _content(self) -> bytes | None:
        if not self._left:
            self._state = self._padded
            return b""
        if not self._buffer:
            return None
        out = self._take(min(self._left, len(self._buffer)))
        self._left -= len(out)
        return out

    def _padded(self) -> bytes | None:
        if len(self._buffer) < self._padding:
            return None
        self._take(self._padding)
        self._padding, self._long_size, self._state = 0, None, self._header
        return b""

    def _whole(self) -> bytes | None:
        return self._take(len(self._buffer)) if self._buffer else None

    def _after(self) -> bytes | None:
        self._left -= len(self._buffer)
        if self._left < 0:
            raise PackingError("the object has more data after the end of the tar")
        self._buffer.clear()
        return None


def tar_entry(block: bytes) -> tarfile.TarInfo | None:
    """Parses a header block of a tar; None for the end of the tar."""
    if not block.strip(b"\0"):
        return None
    try:
        entry = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise PackingError(f"expected a tar, found something else ({error})") from None
    if entry.size < 0 or entry.issparse():
        raise PackingError("the tar has an entry of a type that Argo does not write")
    return entry


def pax_size(note: bytes) -> int | None:
    """The size of the next entry (a file over 8 GiB) in an extended header; None if it has none.

    Each record has the form: its own length, a space, name=value, a newline.
    """
    at = 0
    while at < len(note):
        space = note.find(b" ", at, at + MAX_LENGTH_DIGITS + 1)
        length = note[at:space]
        if space < 0 or not length.isdigit() or not len(length) < int(length) <= len(note) - at:
            raise PackingError("the tar has an invalid extended header")
        name, _, value = note[space + 1 : at + int(length) - 1].partition(b"=")
        if name == b"size" and value.strip().isdigit() and len(value) < 20:
            return int(value)
        at += int(length)
    return None


def tar_header(name: str, size: int) -> bytes:
    """Creates the header of a file in a tar."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o644
    return entry.tobuf(tarfile.PAX_FORMAT)


def tar_padding(size: int) -> bytes:
    """Padding after a file of this size in a tar."""
    return b"\0" * (-size % BLOCK)


TAR_END = b"\0" * (2 * BLOCK)
