"""Measures and shortens texts, so that a run stays small in etcd."""

from __future__ import annotations

import re

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
