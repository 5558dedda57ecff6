"""Durations and progress lines."""

from __future__ import annotations

from localcluster.progress import seconds, still_line


def test_times_as_a_person_reads_them() -> None:
    assert [seconds(value) for value in (0.42, 12.4, 185)] == ["0.4 s", "12 s", "3 min 05 s"]
    assert "12 s of about 60 s" in still_line("build", 12.4, 60)
    assert "longer than the usual 60 s" in still_line("build", 70, 60)
