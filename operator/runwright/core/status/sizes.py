"""Measures and shortens texts, so that a run stays small in etcd."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import cast

ESCAPED = re.compile('[\\x00-\\x1f"\\\\<>&\\u2028\\u2029]')
"""Characters that the API server's JSON encoder (Go) escapes."""

ESCAPE_BYTES = 5
"""Maximum bytes that an escape adds: `\\u003c` for `<`."""


def json_bytes(text: str) -> int:
    """Upper estimate of the text's bytes as JSON, without quotes."""
    return len(text.encode("utf-8", "surrogatepass")) + ESCAPE_BYTES * len(ESCAPED.findall(text))


def shorten(text: str, limit: int) -> str:
    """Cuts the text so that its JSON has at most `limit` bytes; a cut text ends with `…`."""
    if json_bytes(text) <= limit:
        return text
    left = limit - json_bytes("…")
    for end, character in enumerate(text):
        left -= json_bytes(character)
        if left < 0:
            return text[:end] + "…"
    return text


def is_large(value: object, limit: int) -> bool:
    """Whether a JSON value has more than `limit` characters, each value and key counted with a few more. Stops at the limit."""
    left, todo = limit, [value]
    while todo and left >= 0:
        one = todo.pop()
        left -= 4
        if isinstance(one, str):
            left -= len(one)
        elif isinstance(one, Mapping):
            fields = cast(Mapping[str, object], one)
            left -= 4 * len(fields)
            if left >= 0:
                left -= sum(map(len, fields))
                todo += fields.values()
        elif isinstance(one, list):
            items = cast(list[object], one)
            left -= 4 * len(items)
            if left >= 0:
                todo += items
    return left < 0
