"""The cluster's network and mount namespaces, and the link to the machine. Processes in them cannot reach other machines."""

import json
import os
import subprocess
from pathlib import Path

from .errors import ClusterError
from .paths import RUN_ROOT, ClusterPaths
from .subnets import Addresses

# Fixed paths of containerd, its shims, CNI and kubelet. Each cluster has its own copy of these folders in its mount namespace, so
# clusters do not conflict and nothing remains on the machine.
PRIVATE_FOLDERS = ("/run/netns", "/run/containerd", "/var/lib/kubelet", "/var/lib/cni", "/var/log/containers")
_MADE = RUN_ROOT / "made-folders"


def run(*command: str, check: bool = True) -> str:
    """Run a command of iproute2 or util-linux and return its output.

    Raises:
        ClusterError: if it fails and `check` is set.
    """
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if check and process.returncode != 0:
        raise ClusterError(
            f"`{' '.join(command)}` failed: {process.stderr.strip()}",
            "This needs root with CAP_SYS_ADMIN and CAP_NET_ADMIN to create namespaces and mounts. "
            "In a container, run it privileged.",
        )
    return process.stdout


def networks_in_use() -> list[str]:
    """All networks of this machine's addresses and routes."""
    addresses = json.loads(run("ip", "-json", "-4", "addr") or "[]")
    routes = json.loads(run("ip", "-json", "-4", "route", "show", "table", "all") or "[]")
    found = [f"{a['local']}/{a['prefixlen']}" for link in addresses for a in link.get("addr_info", []) if "local" in a]
    return found + [route["dst"] for route in routes if route.get("dst") not in (None, "default")]


def enter(paths: ClusterPaths) -> list[str]:
    """Command prefix that runs a program inside the cluster's namespaces."""
    return ["nsenter", f"--net={paths.netns}", f"--mount={paths.mntns}", "--"]


def exists(paths: ClusterPaths) -> bool:
    """True if both namespaces of the cluster exist and can be entered."""
    if not (paths.netns.is_file() and paths.mntns.is_file()):
        return False
    return subprocess.run([*enter(paths), "true"], capture_output=True, check=False).returncode == 0


def create(paths: ClusterPaths, addresses: Addresses) -> None:
    """Create the namespaces and the link."""
    folder = paths.namespaces
    folder.mkdir(parents=True, exist_ok=True)
    run("mount", "--bind", str(folder), str(folder))
    # A namespace can be bound to a file only if mounts do not propagate.
    run("mount", "--make-private", str(folder))
    paths.netns.touch()
    paths.mntns.touch()
    for name in PRIVATE_FOLDERS:
        if not Path(name).exists():
            Path(name).mkdir(parents=True)
            with _MADE.open("a") as made:
                made.write(f"{name}\n")
    run("unshare", f"--net={paths.netns}", "true")
    # Shared inside, for pods with mount propagation; private to the outside.
    mounts = [f"mount -t tmpfs -o mode=755 runwright {name}" for name in PRIVATE_FOLDERS]
    script = " && ".join([*mounts, "mount --make-rshared /"])
    _keep_mount_namespace(["unshare", f"--mount={paths.mntns}", "--propagation", "private", "sh", "-c", script])
    _create_link(paths, addresses)


def _keep_mount_namespace(command: list[str]) -> None:
    """Run the unshare command, on each processor in turn until it succeeds.

    To prevent loops, Linux allows binding a mount namespace to a file only in a namespace with a smaller number. Linux 6.18
    assigns the numbers in batches per processor, so in a container the result depends on the processor.
    """
    for processor in sorted(os.sched_getaffinity(0)):
        pinned = ["taskset", "--cpu-list", str(processor), *command]
        if subprocess.run(pinned, capture_output=True, check=False).returncode == 0:
            return
    run(*command)


def _create_link(paths: ClusterPaths, addresses: Addresses) -> None:
    link, inside = addresses.host_link, ["nsenter", f"--net={paths.netns}", "--"]
    run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", str(paths.netns))
    run("ip", "addr", "add", f"{addresses.host}/30", "dev", link)
    run("ip", "link", "set", link, "up")
    run("ip", "route", "add", addresses.whole, "via", addresses.node, "dev", link)
    for command in (
        ("ip", "link", "set", "lo", "up"),
        ("ip", "addr", "add", f"{addresses.node}/30", "dev", "eth0"),
        ("ip", "link", "set", "eth0", "up"),
        ("ip", "route", "add", "unreachable", "default"),
    ):
        run(*inside, *command)
    run(*inside, "ip", "-6", "route", "add", "unreachable", "default", check=False)
    run(*inside, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
    run(*inside, "sh", "-c", "echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables", check=False)


def inode(paths: ClusterPaths) -> int | None:
    """Inode of the cluster's network namespace, as in /proc/PID/ns/net; None if it does not exist."""
    try:
        status = os.stat(paths.netns)
    except OSError:
        return None
    return status.st_ino if status.st_dev == os.stat("/proc/self/ns/net").st_dev else None


def mounts_under(folders: list[Path]) -> list[str]:
    """Mount points of this machine at or below `folders`, innermost first."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    inside = [p for p in points if any(p == str(f) or p.startswith(f"{f}/") for f in folders)]
    return sorted(inside, key=len, reverse=True)


def remove(paths: ClusterPaths, slot: int | None) -> None:
    """Remove namespaces, mounts and link, and with the last cluster the mount points. Missing parts are no error."""
    for point in mounts_under([paths.run, paths.state]):
        run("umount", "--lazy", point, check=False)
    if slot is not None:
        run("ip", "link", "del", Addresses(slot).host_link, check=False)
    # Removing a folder would unmount it in another cluster's mount namespace.
    others = [p for p in RUN_ROOT.glob("*/ns") if p != paths.namespaces]
    if not others and _MADE.exists():
        for name in _MADE.read_text().split():
            try:
                Path(name).rmdir()
            except OSError:
                continue
        _MADE.unlink()
