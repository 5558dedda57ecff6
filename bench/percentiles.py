"""Percentiles by nearest rank."""

from __future__ import annotations


def percentile(values: list[float], percent: int) -> float:
    """The percentile of the values by nearest rank, for `percent` from 0 to 100."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]
