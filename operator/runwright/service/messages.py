"""JSON to the messages of the contract, as clients of KFP write it: snake or camel case, enums by name or number."""

from __future__ import annotations

from typing import Any

from google.protobuf.json_format import Parse, ParseDict, ParseError
from google.protobuf.message import Message


class UnreadableMessageError(Exception):
    """It is no JSON of this message; the text says where."""


def read_json(text: str | bytes, message: Message, *, passing_over_unknown: bool) -> None:
    """Put what stands in a JSON object into the message. Raises UnreadableError."""
    # An empty list would be taken for an empty object.
    if text.lstrip()[:1] not in ("{", b"{"):
        raise UnreadableMessageError("expected a JSON object")
    try:
        Parse(text, message, ignore_unknown_fields=passing_over_unknown)
    except (ParseError, ValueError, RecursionError, TypeError, AttributeError, OverflowError) as error:
        raise UnreadableMessageError(one_line(error)) from error


def read_fields(fields: dict[str, Any], message: Message) -> None:
    """The same for JSON that was taken apart already, and holds nothing but fields. Raises UnreadableError."""
    try:
        ParseDict(fields, message)
    except (ParseError, ValueError, RecursionError, TypeError, AttributeError, OverflowError) as error:
        raise UnreadableMessageError(one_line(error)) from error


def one_line(error: Exception) -> str:
    """What was wrong, on one line."""
    return " ".join(str(error).split())[:500] or type(error).__name__
