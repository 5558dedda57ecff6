"""What this machine has: Docker, root, Debian packages, memory, disk. Missing Debian packages are installed."""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from .errors import ClusterError
from .progress import step

GIB = 1 << 30
# Debian package -> a file or program that shows it is there.
PACKAGES: Mapping[str, str] = {
    "containerd": "containerd",
    "runc": "runc",
    "containernetworking-plugins": "/usr/lib/cni/bridge",
    "busybox-static": "busybox",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "iproute2": "ip",
    "mmdebstrap": "mmdebstrap",
    "openssl": "openssl",
    "util-linux": "nsenter",
}
IMAGE_PACKAGES: Mapping[str, str] = {"buildah": "buildah"}


def docker_answers() -> tuple[bool, str]:
    """Whether a Docker engine answers, and if not, why not."""
    if shutil.which("docker") is None:
        return False, "docker is not installed"
    try:
        process = subprocess.run(
            ["docker", "info", "--format", "{{.ServerVersion}}"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False, "`docker info` gave no answer in 10 s"
    if process.returncode == 0 and process.stdout.strip():
        return True, ""
    return False, "`docker info` reaches no engine"


def is_root() -> bool:
    """True if this process may make namespaces and mounts."""
    return os.geteuid() == 0


def missing_packages(wanted: Mapping[str, str], exists: Callable[[str], bool]) -> list[str]:
    """The packages of `wanted` whose file or program is not there."""
    return [package for package, proof in wanted.items() if not exists(proof)]


def _exists(proof: str) -> bool:
    return Path(proof).exists() if proof.startswith("/") else shutil.which(proof) is not None


def ensure_packages(wanted: Mapping[str, str]) -> None:
    """Install the Debian packages of `wanted` that are missing.

    Raises:
        ClusterError: if this is not Debian, or apt-get fails.
    """
    missing = missing_packages(wanted, _exists)
    if not missing:
        return
    command = f"apt-get install -y --no-install-recommends {' '.join(missing)}"
    if not Path("/etc/debian_version").exists() or shutil.which("apt-get") is None:
        raise ClusterError(
            f"Missing programs, and this is not Debian: {', '.join(wanted[name] for name in missing)}.",
            f"Install what the Debian packages {', '.join(missing)} hold, or start Docker so that kind is used.",
        )
    if not is_root():
        raise ClusterError(f"Missing Debian packages: {', '.join(missing)}.", f"Run `sudo {command}`.")
    with step(f"install Debian packages: {', '.join(missing)}", estimate=30):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-q"], env=environment, capture_output=True, check=False)
        process = subprocess.run(command.split(), env=environment, capture_output=True, text=True, check=False)
    if process.returncode != 0 or missing_packages(wanted, _exists):
        tail = "\n    ".join(process.stderr.strip().splitlines()[-4:])
        raise ClusterError(f"`{command}` failed:\n    {tail}", "Make apt-get work, then run the same command again.")


def available_memory() -> int:
    """Bytes that processes can take without swapping (MemAvailable)."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def free_disk(path: Path) -> int:
    """Free bytes on the disk of `path` or of its nearest parent that exists."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def check_room(what: str, path: Path, disk: int, memory: int) -> None:
    """See that `disk` and `memory` bytes are there for `what`.

    Raises:
        ClusterError: naming what is short, and by how much.
    """
    free = free_disk(path)
    if free < disk:
        raise ClusterError(
            f"{what} needs {disk / GIB:.0f} GiB of disk at {path}; {free / GIB:.1f} GiB are free.",
            "Free some, or set RUNWRIGHT_CACHE (and GOCACHE, GOMODCACHE) to folders on a larger disk.",
        )
    available = available_memory()
    if available < memory:
        raise ClusterError(
            f"{what} needs {memory / GIB:.1f} GiB of memory; {available / GIB:.1f} GiB are available.",
            "Stop other programs (another cluster: cluster.py down --name OTHER), then run the same command again.",
        )
