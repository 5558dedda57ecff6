"""Parses JSON to messages of the contract. Clients of KFP write snake or camel case, and enums by name or number."""

from __future__ import annotations

from typing import Any

from google.protobuf.json_format import Parse, ParseDict, ParseError
from google.protobuf.message import Message


class UnreadableMessageError(Exception):
    """The text is not valid JSON for the message; the error says where."""


def read_json(text: str | bytes, message: Message, *, ignore_unknown: bool) -> None:
    """Parse a JSON object into the message. Raises UnreadableMessageError, for unknown fields only without `ignore_unknown`."""
    # The parser would accept an empty list as an empty object.
    if text.lstrip()[:1] not in ("{", b"{"):
        raise UnreadableMessageError("expected a JSON object")
    try:
        Parse(text, message, ignore_unknown_fields=ignore_unknown)
    except (ParseError, ValueError, RecursionError, TypeError, AttributeError, OverflowError) as error:
        raise UnreadableMessageError(one_line(error)) from error


def read_fields(fields: dict[str, Any], message: Message) -> None:
    """Set fields of the message from decoded JSON. Raises UnreadableMessageError."""
    try:
        ParseDict(fields, message)
    except (ParseError, ValueError, RecursionError, TypeError, AttributeError, OverflowError) as error:
        raise UnreadableMessageError(one_line(error)) from error


def one_line(error: Exception) -> str:
    """The text of an error on one line."""
    return " ".join(str(error).split())[:500] or type(error).__name__
