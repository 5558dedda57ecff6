"""Undoing a compression or an archive as its bytes come in: what undoes them has in common, and gzip.

No piece that comes out is larger than `PIECE`, however much the bytes that came in stand for, so whoever counts can stop a
bomb at any time.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

PIECE = 1024 * 1024
"""The most bytes in one piece that comes out."""


class PackingError(Exception):
    """The object is not what its `archive` says: what was expected, and what was found."""


class Unpacker:
    """The object's bytes go in by `feed`, in order; then `end`. Both raise PackingError."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What these bytes stand for, in pieces, each made when it is asked for."""
        raise NotImplementedError

    def end(self) -> Iterator[bytes]:
        """What is left; raises where the object ends before what it holds does."""
        raise NotImplementedError


class Passthrough(Unpacker):
    """What was not packed."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The same bytes."""
        yield from pieces(data)

    def end(self) -> Iterator[bytes]:
        """Nothing."""
        yield from ()


class Chain(Unpacker):
    """Two of them, one after the other."""

    def __init__(self, first: Unpacker, second: Unpacker) -> None:
        self._first, self._second = first, second

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What the second makes of what the first makes of it."""
        for piece in self._first.feed(data):
            yield from self._second.feed(piece)

    def end(self) -> Iterator[bytes]:
        """The end of both."""
        for piece in self._first.end():
            yield from self._second.feed(piece)
        yield from self._second.end()


class Gunzip(Unpacker):
    """gzip, of one member or several; each member's checksum is held."""

    def __init__(self, inflated: Callable[[int], None]) -> None:
        self._inflated = inflated
        self._member = zlib.decompressobj(wbits=31)
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The decompressed bytes."""
        while data:
            if self._member.eof:
                data = data.lstrip(b"\0")  # what a tape's or a disk's blocks were filled up with
                if not data:
                    return
                self._member = zlib.decompressobj(wbits=31)
            self._begun = True
            piece = inflate(self._member, data, "gzip")
            self._inflated(len(piece))
            data = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            if piece:
                yield piece

    def end(self) -> Iterator[bytes]:
        """What zlib still holds."""
        while not self._member.eof:
            piece = inflate(self._member, self._member.unconsumed_tail, "gzip")
            if not piece:
                break
            self._inflated(len(piece))
            yield piece
        if not self._begun or not self._member.eof:
            raise PackingError("expected gzip to its end, the object is empty or ends before")


def pieces(data: bytes) -> Iterator[bytes]:
    """The data, in pieces of at most `PIECE`."""
    for start in range(0, len(data), PIECE):
        yield data[start : start + PIECE]


class Inflating(Protocol):
    """zlib's decompression of one stream."""

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """At most `max_length` bytes."""
        ...


def inflate(stream: Inflating, data: bytes, what: str) -> bytes:
    """The next piece of a compressed stream."""
    try:
        return stream.decompress(data, PIECE)
    except zlib.error as error:
        raise PackingError(f"expected {what}, found what is none, or is damaged ({error})") from None
