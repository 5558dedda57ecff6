"""Durations in resources, command-line options and chart values: `90s`, `7d`, `1h30m`."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal

DURATION_PATTERN = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+$"
"""Go's duration syntax (`time.ParseDuration`) without signs and units below ms, and with days of 24 hours."""

MAX_DURATION_LENGTH = 32

LONGEST = timedelta(days=36_525)
"""100 years. Longer durations are cut to this, so that `datetime` can hold the end."""

_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_MICROSECONDS = {"ms": 10**3, "s": 10**6, "m": 60 * 10**6, "h": 3600 * 10**6, "d": 86_400 * 10**6}


def duration_of(text: str) -> timedelta:
    """Parses a duration, to the microsecond; at most `LONGEST`.

    Raises:
        ValueError: `text` does not match `DURATION_PATTERN` or is too long.
    """
    if len(text) > MAX_DURATION_LENGTH or not re.fullmatch(DURATION_PATTERN.strip("^$"), text):
        raise ValueError(
            f"{text!r} is not a duration: expected numbers with units (ms, s, m, h, d), such as 90s, 15m, 36h, 7d or 1h30m, "
            f"of at most {MAX_DURATION_LENGTH} characters"
        )
    microseconds = sum((Decimal(number) * _MICROSECONDS[unit] for number, unit in _PART.findall(text)), Decimal(0))
    return min(timedelta(microseconds=round(min(microseconds, Decimal(LONGEST // timedelta(microseconds=1))))), LONGEST)
