"""Parses JSON to messages of the contract. Clients of KFP write snake or camel case, and enums by name or number."""

from __future__ import annotations

from typing import Any, cast

from google.protobuf.descriptor import Descriptor
from google.protobuf.json_format import Parse, ParseDict, ParseError
from google.protobuf.message import Message

from runwright.kube.decoding import MAX_DEPTH, shape_of

MAX_VALUES = 50_000
"""Values in one request: objects, lists, fields and elements. A report of 1000 metrics has 5,000. Each takes up to 100 times
its bytes in memory."""

VARINT, LENGTH_DELIMITED = 0, 2
CONTINUED, MAX_VARINT_BITS = 128, 70
"""The wire format of protobuf."""


class UnreadableMessageError(Exception):
    """The text is not valid JSON for the message; the error says where."""


def read_json(text: str | bytes | bytearray, message: Message, *, ignore_unknown: bool) -> None:
    """Parse a JSON object into the message. Raises UnreadableMessageError, for unknown fields only without `ignore_unknown`."""
    check_json_size(text.encode() if isinstance(text, str) else text)
    # The parser would accept an empty list as an empty object.
    if text.lstrip()[:1] not in ("{", b"{"):
        raise UnreadableMessageError("expected a JSON object")
    try:
        Parse(cast(bytes, text), message, ignore_unknown_fields=ignore_unknown)
    except (ParseError, ValueError, RecursionError, TypeError, AttributeError, OverflowError) as error:
        raise UnreadableMessageError(one_line(error)) from error


def check_json_size(text: bytes | bytearray) -> None:
    """Check how many values a JSON text has, and how deep they are. Raises UnreadableMessageError. Never raises on other text."""
    # Without escapes, each second part between quotes is a string.
    plain = text.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in text else text
    if plain.count(b'"') > 4 * MAX_VALUES:
        raise UnreadableMessageError(f"expected at most {MAX_VALUES} values")
    outside = b"".join(plain.split(b'"')[::2])
    if sum(outside.count(mark) for mark in (b",", b"[", b"{")) > MAX_VALUES:
        raise UnreadableMessageError(f"expected at most {MAX_VALUES} values")
    if shape_of(bytes(text)).depth > MAX_DEPTH:
        raise UnreadableMessageError(f"expected at most {MAX_DEPTH} levels of objects and lists")


def check_message_size(raw: bytes, of: Descriptor) -> None:
    """Check how many fields an encoded message has, with those of its parts. Raises UnreadableMessageError; other text passes."""
    fields, parts = 0, [(0, len(raw), of)]
    try:
        while parts:
            at, end, descriptor = parts.pop()
            while at < end:
                fields += 1
                if fields > MAX_VALUES:
                    raise UnreadableMessageError(f"expected at most {MAX_VALUES} fields")
                tag, at = read_varint(raw, at)
                kind = tag & 7
                size = {1: 8, 5: 4}.get(kind, 0)
                if kind in (VARINT, LENGTH_DELIMITED):
                    size, at = read_varint(raw, at)
                field = descriptor.fields_by_number.get(tag >> 3)
                if kind == LENGTH_DELIMITED and field is not None and field.message_type is not None:
                    parts.append((at, min(at + size, end), field.message_type))
                at += size if kind != VARINT else 0
    except IndexError:
        return


def read_varint(raw: bytes, at: int) -> tuple[int, int]:
    """Read a number at a position; returns it and the position after it. Raises IndexError where it has no end."""
    value = shift = 0
    while shift < MAX_VARINT_BITS:
        value |= (raw[at] & 127) << shift
        if raw[at] < CONTINUED:
            return value, at + 1
        at, shift = at + 1, shift + 7
    raise IndexError(at)


def read_fields(fields: dict[str, Any], message: Message) -> None:
    """Set fields of the message from decoded JSON. Raises UnreadableMessageError."""
    try:
        ParseDict(fields, message)
    except (ParseError, ValueError, RecursionError, TypeError, AttributeError, OverflowError) as error:
        raise UnreadableMessageError(one_line(error)) from error


def one_line(error: Exception) -> str:
    """The text of an error on one line."""
    return " ".join(str(error).split())[:500] or type(error).__name__
