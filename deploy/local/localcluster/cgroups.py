"""The control groups of a cluster: one group `runwright/NAME` in every hierarchy, v1 or v2.

They are how a cluster's processes are found again, whatever crashed: a process cannot leave its group by dying parents.
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
    """The hierarchies that carry controllers: beside v1 ones, a v2 one is there for bookkeeping only."""
    v1 = [item for item in found if not item[1]]
    return v1 or found


def hierarchies() -> list[tuple[Path, bool]]:
    """The machine's cgroup hierarchies; runc makes groups for pods in all of them, also in one without controllers."""
    return parse_mounts(Path("/proc/self/mounts").read_text())


def group_name(cluster: str) -> str:
    """The cluster's group, as kubelet's `cgroupRoot` wants it."""
    return f"/{ROOT}/{cluster}"


def groups(cluster: str) -> list[Path]:
    """The cluster's group folder in every hierarchy, existing or not."""
    return [mount / ROOT / cluster for mount, _ in hierarchies()]


def create(cluster: str) -> None:
    """Make the cluster's groups, with a child `components` for the processes that are not pods."""
    for mount, unified in with_controllers(hierarchies()):
        for group in (mount / ROOT, mount / ROOT / cluster, mount / ROOT / cluster / "components"):
            group.mkdir(exist_ok=True)
            if unified:
                _delegate(group.parent)
            for name in ("cpuset.cpus", "cpuset.mems"):
                # v1 gives a new cpuset no processors, and then refuses every process.
                if not unified and (group / name).exists() and not (group / name).read_text().strip():
                    (group / name).write_text((group.parent / name).read_text())


def _delegate(group: Path) -> None:
    available = (group / "cgroup.controllers").read_text().split()
    try:
        (group / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in available))
    except OSError:
        # A parent that holds processes of its own passes nothing on; what it passes already has to do.
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
    """Remove the cluster's groups, and the common parent if it is empty; returns what the kernel still holds."""
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
