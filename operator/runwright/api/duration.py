"""Spans of time as people write them in a resource, on the command line and in the chart's values: `90s`, `7d`, `1h30m`."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import Field

DURATION_PATTERN = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+$"
"""Go's duration (`time.ParseDuration`) without a sign and the units below ms, and with days, of 24 hours, which Go has not."""

MAX_DURATION_LENGTH = 32

LONGEST = timedelta(days=36_525)
"""100 years: what is written longer means as much, and an end that late is still a date that `datetime` has."""

Duration = Annotated[str, Field(pattern=DURATION_PATTERN, max_length=MAX_DURATION_LENGTH)]

_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_MICROSECONDS = {"ms": 10**3, "s": 10**6, "m": 60 * 10**6, "h": 3600 * 10**6, "d": 86_400 * 10**6}


def duration_of(text: str) -> timedelta:
    """The span of time that `text` says, to the microsecond, and at most `LONGEST`.

    Raises ValueError where `text` is no `Duration`.
    """
    if len(text) > MAX_DURATION_LENGTH or not re.fullmatch(DURATION_PATTERN.strip("^$"), text):
        raise ValueError(
            f"{text!r} is no duration: expected numbers with units (ms, s, m, h, d), such as 90s, 15m, 36h, 7d or 1h30m, "
            f"of at most {MAX_DURATION_LENGTH} characters"
        )
    microseconds = sum((Decimal(number) * _MICROSECONDS[unit] for number, unit in _PART.findall(text)), Decimal(0))
    return min(timedelta(microseconds=round(min(microseconds, Decimal(LONGEST // timedelta(microseconds=1))))), LONGEST)
