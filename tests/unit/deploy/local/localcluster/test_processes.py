"""Start times of processes."""

from __future__ import annotations

from localcluster import processes


def test_a_zombie_has_no_start_time() -> None:
    stat = "42 (a (b) c) S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 12345 0 0"
    assert processes.started_at(stat) == "12345"
    assert processes.started_at(stat.replace(") S", ") Z")) is None
