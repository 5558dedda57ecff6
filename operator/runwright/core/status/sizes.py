"""How large a text is in etcd, and how it is cut, so that a run stays small whatever its Workflow says."""

from __future__ import annotations

import re

ESCAPED = re.compile('[\\x00-\\x1f"\\\\<>&\\u2028\\u2029]')
"""What the API server's JSON (Go's encoder) writes as an escape."""

ESCAPE_BYTES = 5
"""Bytes that an escape adds at most: `\\u003c` for `<`."""


def json_bytes(text: str) -> int:
    """Bytes of the text as JSON in etcd, without its quotes; an upper estimate."""
    return len(text.encode("utf-8", "surrogatepass")) + ESCAPE_BYTES * len(ESCAPED.findall(text))


def shorten(text: str, limit: int) -> str:
    """The text, cut so that its JSON has at most `limit` bytes, with a mark where it was cut."""
    if json_bytes(text) <= limit:
        return text
    left = limit - json_bytes("…")
    for end, character in enumerate(text):
        left -= json_bytes(character)
        if left < 0:
            return text[:end] + "…"
    return text
