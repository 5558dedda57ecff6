from __future__ import annotations

from datetime import UTC, datetime, timedelta

from runwright.kube.clock import SystemClock


def test_the_clock_tells_the_time_in_utc() -> None:
    now = SystemClock().now()
    assert now.tzinfo is UTC
    assert abs(datetime.now(UTC) - now) < timedelta(minutes=1)
