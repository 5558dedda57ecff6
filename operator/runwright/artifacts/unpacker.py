"""Streaming unpackers: the base class, gzip, and a chain of two.

No piece of output is larger than `PIECE`, however much the input expands to, so the caller can stop a decompression bomb
at any piece.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

PIECE = 1024 * 1024
"""Maximum bytes of a piece of output."""

MAX_MEMBERS, BYTES_OF_A_MEMBER = 1000, 1024
"""Members of a gzip: this many, and one more for each so many bytes. A member can take 20 bytes and a copy of all that follows."""


class PackingError(Exception):
    """The object does not have the expected format; the message says what was expected and found."""


class Unpacker:
    """Unpacks a stream: call `feed` with the object's bytes, in order; then `end`. Both raise PackingError."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The unpacked pieces of these bytes, each computed on demand."""
        raise NotImplementedError

    def end(self) -> Iterator[bytes]:
        """The remaining pieces; raises if the object is truncated."""
        raise NotImplementedError


class Passthrough(Unpacker):
    """Passes on an object that is not packed."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The same bytes."""
        yield from split_pieces(data)

    def end(self) -> Iterator[bytes]:
        """Nothing."""
        yield from ()


class Chain(Unpacker):
    """Two unpackers, the second one for the output of the first."""

    def __init__(self, first: Unpacker, second: Unpacker) -> None:
        self._first, self._second = first, second

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Feeds the output of the first unpacker to the second."""
        for piece in self._first.feed(data):
            yield from self._second.feed(piece)

    def end(self) -> Iterator[bytes]:
        """Ends both unpackers."""
        for piece in self._first.end():
            yield from self._second.feed(piece)
        yield from self._second.end()


class Gunzip(Unpacker):
    """Decompresses gzip with one or several members, and checks each member's checksum."""

    def __init__(self, inflated: Callable[[int], None]) -> None:
        self._inflated = inflated
        self._member = zlib.decompressobj(wbits=31)
        self._begun = False
        self._members, self._taken = 1, 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The decompressed bytes."""
        self._taken += len(data)
        while data:
            if self._member.eof:
                data = data.lstrip(b"\0")  # padding of blocks
                if not data:
                    return
                self._member = zlib.decompressobj(wbits=31)
                self._members += 1
                if self._members > MAX_MEMBERS + self._taken // BYTES_OF_A_MEMBER:
                    raise PackingError("the gzip has more members than a program that saves an artifact writes")
            self._begun = True
            piece = inflate(self._member, data, "gzip")
            self._inflated(len(piece))
            data = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            if piece:
                yield piece

    def end(self) -> Iterator[bytes]:
        """The bytes that zlib still buffers."""
        while not self._member.eof:
            piece = inflate(self._member, self._member.unconsumed_tail, "gzip")
            if not piece:
                break
            self._inflated(len(piece))
            yield piece
        if not self._begun or not self._member.eof:
            raise PackingError("expected gzip, but the object is empty or truncated")


def split_pieces(data: bytes) -> Iterator[bytes]:
    """Splits data into pieces of at most `PIECE` bytes."""
    for start in range(0, len(data), PIECE):
        yield data[start : start + PIECE]


class Inflating(Protocol):
    """A decompression object of zlib."""

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """Returns at most `max_length` bytes."""
        ...


def inflate(stream: Inflating, data: bytes, what: str) -> bytes:
    """Decompresses the next piece of a stream; `what` is the expected format, for the message."""
    try:
        return stream.decompress(data, PIECE)
    except zlib.error as error:
        raise PackingError(f"expected {what}, but the object is damaged or has another format ({error})") from None
