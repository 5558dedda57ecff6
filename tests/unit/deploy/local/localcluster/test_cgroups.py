"""Cgroup hierarchies, version 1 and 2."""

from __future__ import annotations

from pathlib import Path

from localcluster import cgroups

V1 = "cgroup /sys/fs/cgroup/pids cgroup rw,pids 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n"


def test_with_v1_hierarchies_a_v2_one_has_no_controllers() -> None:
    found = cgroups.parse_mounts(V1)
    assert found == [(Path("/sys/fs/cgroup/pids"), False), (Path("/sys/fs/cgroup/unified"), True)]
    assert cgroups.with_controllers(found) == [(Path("/sys/fs/cgroup/pids"), False)]


def test_v2_alone_has_controllers() -> None:
    found = cgroups.parse_mounts("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n")
    assert cgroups.with_controllers(found) == [(Path("/sys/fs/cgroup"), True)]
