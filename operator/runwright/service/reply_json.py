"""Encodes a reply as JSON in pieces, so that no whole copy of it is in memory beside the message.

As `google.protobuf.json_format` does with zero values and names in snake case, and as grpc-gateway 1.16 does it;
texts are in UTF-8, and escaped only where JSON requires it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

PIECE = 64 * 1024
"""Bytes of a piece, about: what is encoded at once takes less than a millisecond."""

TEXT = 16 * 1024
"""Characters of a text that are encoded at once."""

BYTES = 48 * 1024
"""Bytes of a field that are encoded at once, as base64: a multiple of three."""

WELL_KNOWN = "google.protobuf."
"""Messages whose JSON is not an object with their fields; they are small."""


def message_json(message: Message) -> dict[str, Any]:
    """A message as JSON, with zero values."""
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def json_text(value: object) -> bytes:
    """A JSON value as text."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def json_pieces(message: Message) -> Iterator[bytes]:
    """Yield the JSON of a message in pieces of about PIECE bytes."""
    piece = bytearray()
    for part in _parts(message):
        piece += part
        if len(piece) >= PIECE:
            yield bytes(piece)
            piece.clear()
    if piece:
        yield bytes(piece)


def _parts(message: Message) -> Iterator[bytes]:
    if message.DESCRIPTOR.full_name.startswith(WELL_KNOWN) or message.ByteSize() <= PIECE:
        yield json_text(message_json(message))
        return
    # The small fields are encoded by protobuf's own library; the others follow, each in parts.
    small, large = type(message)(), dict[str, Iterator[bytes]]()
    for field, value in message.ListFields():
        if (parts := _field_parts(field, value)) is not None:
            large[field.name] = parts
        elif field.message_type is None and not _is_list(value):
            setattr(small, field.name, value)
        else:
            getattr(small, field.name).MergeFrom(value)
    shown = message_json(small)
    head = json_text({name: value for name, value in shown.items() if name not in large})
    yield head[:-1]
    comma = b"," if len(head) > 2 else b""
    for name, parts in large.items():
        yield comma + json_text(name) + b":"
        yield from parts
        comma = b","
    yield b"}"


def _field_parts(field: FieldDescriptor, value: Any) -> Iterator[bytes] | None:
    """The parts of a field that may be large; None for one that is small."""
    if field.message_type is not None:
        if field.message_type.full_name.startswith(WELL_KNOWN) or field.message_type.GetOptions().map_entry:
            return None
        return _list_parts(value) if _is_list(value) else _parts(value)
    if isinstance(value, str) and len(value) > TEXT:
        return _text_parts(value)
    if isinstance(value, bytes) and len(value) > TEXT:
        return _bytes_parts(value)
    return None


def _is_list(value: Any) -> bool:
    return hasattr(value, "extend")


def _list_parts(items: Any) -> Iterator[bytes]:
    before = b"["
    for item in items:
        yield before
        yield from _parts(item)
        before = b","
    yield b"]"


def _text_parts(text: str) -> Iterator[bytes]:
    yield b'"'
    for at in range(0, len(text), TEXT):
        yield json_text(text[at : at + TEXT])[1:-1]
    yield b'"'


def _bytes_parts(value: bytes) -> Iterator[bytes]:
    yield b'"'
    view = memoryview(value)
    for at in range(0, len(view), BYTES):
        yield base64.b64encode(view[at : at + BYTES])
    yield b'"'
