"""Percentiles by nearest rank."""

from __future__ import annotations


def percentile(values: list[float], percent: int) -> float:
    """The smallest of the values that is at least as large as so many percent of them."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]
