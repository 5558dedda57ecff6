"""The smallest JSON merge patch (RFC 7386) that turns one object into another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast


def merge_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The patch; empty where both are the same. A field that is gone becomes null; lists are replaced whole."""
    patch: dict[str, Any] = {name: None for name in old if name not in new}
    for name, value in new.items():
        before = old.get(name)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            inner = merge_patch(cast(Mapping[str, Any], before), cast(Mapping[str, Any], value))
            if inner:
                patch[name] = inner
        elif name not in old or before != value:
            patch[name] = value
    return patch
