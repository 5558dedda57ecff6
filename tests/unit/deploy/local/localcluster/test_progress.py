"""Durations and progress lines."""

from __future__ import annotations

from localcluster.progress import progress_line, seconds


def test_durations_are_readable() -> None:
    assert [seconds(value) for value in (0.42, 12.4, 185)] == ["0.4 s", "12 s", "3 min 05 s"]
    assert "12 s of about 60 s" in progress_line("build", 12.4, 60)
    assert "longer than the usual 60 s" in progress_line("build", 70, 60)
