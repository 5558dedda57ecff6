"""The head of a description."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from runwright.kubectl.summary import summary_rows

NOW = datetime(2026, 11, 26, 12, 0, 30, tzinfo=UTC)


def test_empty_values_are_left_out():
    assert summary_rows({"metadata": {"name": "train"}}, NOW) == [("Name:", "train"), ("Phase:", "none yet")]


@pytest.mark.parametrize(
    ("status", "duration"),
    [
        ({"startedAt": "2026-11-26T12:00:00Z"}, "30s"),
        ({"startedAt": "2026-11-26T12:00:00Z", "finishedAt": "2026-11-26T12:00:07Z"}, "7s"),
        ({"startedAt": "2026-11-26T12:00:00Z", "duration": "8s"}, "8s"),
    ],
)
def test_the_duration_goes_to_now_until_the_run_has_finished(status: dict[str, str], duration: str):
    assert dict(summary_rows({"status": status}, NOW))["Duration:"] == duration
