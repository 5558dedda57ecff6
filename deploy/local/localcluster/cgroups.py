"""The cgroups of a cluster: one group `runwright/NAME` in every hierarchy, v1 or v2.

The cluster's processes are found by their cgroup, which they keep even if their parents crash.
"""

import os
from collections.abc import Iterator
from pathlib import Path

ROOT = "runwright"


def parse_mounts(mounts: str) -> list[tuple[Path, bool]]:
    """Cgroup hierarchies in the text of /proc/self/mounts, as (mount point, is v2)."""
    found: list[tuple[Path, bool]] = []
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) > 2 and fields[2] in ("cgroup", "cgroup2"):
            found.append((Path(fields[1]), fields[2] == "cgroup2"))
    return found


def with_controllers(found: list[tuple[Path, bool]]) -> list[tuple[Path, bool]]:
    """The hierarchies with controllers. A v2 hierarchy beside v1 ones has none."""
    v1 = [item for item in found if not item[1]]
    return v1 or found


def hierarchies() -> list[tuple[Path, bool]]:
    """The machine's cgroup hierarchies. runc creates groups for pods in all of them, even in one without controllers."""
    return parse_mounts(Path("/proc/self/mounts").read_text())


def group_name(cluster: str) -> str:
    """The cluster's group in the format of kubelet's `cgroupRoot`."""
    return f"/{ROOT}/{cluster}"


def groups(cluster: str) -> list[Path]:
    """The cluster's group folder in every hierarchy, existing or not."""
    return [mount / ROOT / cluster for mount, _ in hierarchies()]


def create(cluster: str) -> None:
    """Create the cluster's groups, with a child `components` for processes outside pods."""
    for mount, unified in with_controllers(hierarchies()):
        for group in (mount / ROOT, mount / ROOT / cluster, mount / ROOT / cluster / "components"):
            group.mkdir(exist_ok=True)
            if unified:
                _delegate(group.parent)
            for name in ("cpuset.cpus", "cpuset.mems"):
                # In v1, a new cpuset has no processors and accepts no process.
                if not unified and (group / name).exists() and not (group / name).read_text().strip():
                    (group / name).write_text((group.parent / name).read_text())


def _delegate(group: Path) -> None:
    available = (group / "cgroup.controllers").read_text().split()
    try:
        (group / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in available))
    except OSError:
        # A parent with processes cannot enable more controllers. The enabled ones must suffice.
        return


def join_files(cluster: str) -> list[Path]:
    """Files to which a component writes its process id to join the cluster."""
    found = with_controllers(hierarchies())
    return [mount / ROOT / cluster / "components" / "cgroup.procs" for mount, _ in found]


def processes(cluster: str) -> set[int]:
    """Ids of all processes in the cluster's groups, pods included."""
    found: set[int] = set()
    for group in groups(cluster):
        for folder, _, _ in os.walk(group):
            try:
                found.update(int(line) for line in Path(folder, "cgroup.procs").read_text().split())
            except OSError:
                continue
    return found


def _bottom_up(group: Path) -> Iterator[Path]:
    for folder, _, _ in os.walk(group, topdown=False):
        yield Path(folder)


def remove(cluster: str) -> list[Path]:
    """Remove the cluster's groups, and the common parent if it is empty; returns the groups that could not be removed."""
    held: list[Path] = []
    for mount, _ in hierarchies():
        for folder in [*_bottom_up(mount / ROOT / cluster), mount / ROOT]:
            try:
                folder.rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                if folder != mount / ROOT:
                    held.append(folder)
    return held
