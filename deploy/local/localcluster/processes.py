"""Starts the cluster's processes in the background, finds them again and ends them."""

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from . import cgroups, network
from .errors import ClusterError
from .paths import ClusterPaths

MARKER = "RUNWRIGHT_CLUSTER"


@dataclass(frozen=True)
class Component:
    """A process of the cluster outside pods."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict[str, str])


def started_at(stat_text: str) -> str | None:
    """Start time in clock ticks from /proc/PID/stat; None for a zombie. Distinguishes processes with the same pid."""
    fields = stat_text.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else fields[19]


def _alive_since(pid: int) -> str | None:
    try:
        return started_at(Path(f"/proc/{pid}/stat").read_text())
    except OSError:
        return None


def running(paths: ClusterPaths, name: str) -> int | None:
    """Process id of a component, or None if it is not running."""
    try:
        pid, since = (paths.pids / name).read_text().split()
    except (OSError, ValueError):
        return None
    return int(pid) if _alive_since(int(pid)) == since else None


def log_file(paths: ClusterPaths, name: str) -> Path:
    """Log file of a component."""
    return paths.logs / f"{name}.log"


def start(paths: ClusterPaths, component: Component) -> int:
    """Start a component in the cluster's namespaces and cgroups, in a new session; returns its process id."""
    paths.pids.mkdir(parents=True, exist_ok=True)
    paths.logs.mkdir(parents=True, exist_ok=True)
    joins = "; ".join(f"echo $$ > {shlex.quote(str(f))}" for f in cgroups.join_files(paths.name))
    command = shlex.join([*network.enter(paths), *component.argv])
    environment = {"PATH": os.environ["PATH"], "HOME": "/root", MARKER: paths.name, **component.env}
    with log_file(paths, component.name).open("ab") as log:
        process = subprocess.Popen(
            ["sh", "-c", f"{joins}; exec {command}"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            cwd="/",
            start_new_session=True,
        )
    (paths.pids / component.name).write_text(f"{process.pid} {_alive_since(process.pid)}")
    return process.pid


def stop(paths: ClusterPaths, name: str, grace: float = 3.0) -> bool:
    """End one component: SIGTERM, then SIGKILL after `grace` seconds. False if it was not running."""
    pid = running(paths, name)
    if pid is None:
        return False
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while running(paths, name) is not None and time.monotonic() < deadline:
        time.sleep(0.05)
    if running(paths, name) is not None:
        os.kill(pid, signal.SIGKILL)
        while running(paths, name) is not None:
            time.sleep(0.05)
    (paths.pids / name).unlink(missing_ok=True)
    return True


def find_all(paths: ClusterPaths) -> set[int]:
    """All processes of the cluster: by cgroup, network namespace and environment variable."""
    found = cgroups.processes(paths.name)
    namespace, mark = network.inode(paths), f"{MARKER}={paths.name}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            inside = namespace is not None and (entry / "ns" / "net").stat().st_ino == namespace
            if inside or mark in (entry / "environ").read_bytes().split(b"\0"):
                found.add(int(entry.name))
        except OSError:
            continue
    return {pid for pid in found if pid not in (os.getpid(), os.getppid()) and _alive_since(pid) is not None}


def end_all(paths: ClusterPaths, timeout: float = 20.0) -> int:
    """Kill all processes of the cluster, including new ones; returns their number.

    Raises:
        ClusterError: if a process still exists after `timeout` seconds.
    """
    seen: set[int] = set()
    deadline = time.monotonic() + timeout
    while pids := find_all(paths):
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        seen |= pids
        if time.monotonic() > deadline:
            raise ClusterError(
                f"Processes {sorted(pids)} did not end within {timeout:.0f} s after SIGKILL.",
                "They wait for the kernel (state D in ps). Run the same command again later.",
            )
        time.sleep(0.05)
    return len(seen)
