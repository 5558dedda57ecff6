"""Durations are parsed as documented, and everything else is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runwright.api.duration import LONGEST, MAX_DURATION_LENGTH, duration_of

UNITS = {"ms": timedelta(milliseconds=1), "s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1)}
UNITS["d"] = timedelta(days=1)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("0s", timedelta(0)),
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("1h30m", timedelta(hours=1, minutes=30)),
        ("1.5h", timedelta(minutes=90)),
        ("7d", timedelta(days=7)),
        ("1d12h", timedelta(hours=36)),
        ("500ms", timedelta(milliseconds=500)),
        ("1m1ms", timedelta(minutes=1, milliseconds=1)),
        ("0.5ms", timedelta(microseconds=500)),
        ("0.1s0.2s", timedelta(milliseconds=300)),
        ("1s1h1s", timedelta(hours=1, seconds=2)),
        ("36525d", LONGEST),
        ("36524d", LONGEST - timedelta(days=1)),
    ],
)
def test_a_duration_has_its_length(text: str, meaning: timedelta):
    assert duration_of(text) == meaning


@pytest.mark.parametrize("text", ["36525d1ms", "9" * 31 + "d", "9" * 30 + "ms", "9" * 15 + "h" + "9" * 15 + "d"])
def test_the_longest_is_a_century_and_added_to_a_time_still_is_one(text: str):
    assert duration_of(text) == LONGEST
    assert datetime(2026, 11, 24, tzinfo=UTC) + duration_of(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "90",
        "h",
        "-1h",
        "+1h",
        "1w",
        "1us",
        "1 h",
        " 1h",
        "1h\n",
        "1.h",
        ".5h",
        "1e3s",
        "\u0661s",
        "a week",
        "9" * 32 + "s",
    ],
)
def test_an_invalid_duration_is_refused_with_what_to_write(text: str):
    with pytest.raises(ValueError, match="such as 90s, 15m, 36h, 7d or 1h30m") as refused:
        duration_of(text)
    assert repr(text) in str(refused.value)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no failure
@given(st.lists(st.tuples(st.integers(0, 9_999), st.sampled_from(sorted(UNITS))), min_size=1, max_size=5))
def test_parts_add_up(parts: list[tuple[int, str]]):
    text = "".join(f"{number}{unit}" for number, unit in parts)
    assert len(text) <= MAX_DURATION_LENGTH
    assert duration_of(text) == min(sum((n * UNITS[unit] for n, unit in parts), timedelta(0)), LONGEST)
