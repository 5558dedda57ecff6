"""Computes JSON merge patches (RFC 7386)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast


def merge_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The smallest merge patch from `old` to `new`; empty if they are equal. Sets removed fields to null; replaces lists."""
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
