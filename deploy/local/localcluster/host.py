"""Checks of this machine: Docker, root, Debian packages, memory, disk. Installs missing Debian packages."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from .errors import ClusterError
from .paths import cache_root
from .progress import step

GIB = 1 << 30
# Debian package -> a file or program of it.
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
    """True if a Docker engine answers; otherwise False and the reason."""
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
    return False, "`docker info` finds no engine"


def is_root() -> bool:
    """True if this process may create namespaces and mounts."""
    return os.geteuid() == 0


def missing_packages(wanted: Mapping[str, str], exists: Callable[[str], bool]) -> list[str]:
    """The packages of `wanted` without their file or program."""
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
            f"This system is not Debian, and programs are missing: {', '.join(wanted[name] for name in missing)}.",
            f"Install the programs of the Debian packages {', '.join(missing)}, or start Docker to use kind.",
        )
    if not is_root():
        raise ClusterError(f"Missing Debian packages: {', '.join(missing)}.", f"Run `sudo {command}`.")
    with step(f"install Debian packages: {', '.join(missing)}", estimate=30):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-q"], env=environment, capture_output=True, check=False)
        process = subprocess.run(command.split(), env=environment, capture_output=True, text=True, check=False)
    if process.returncode != 0 or missing_packages(wanted, _exists):
        tail = "\n    ".join(process.stderr.strip().splitlines()[-4:])
        raise ClusterError(f"`{command}` failed:\n    {tail}", "Fix apt-get, then run the same command again.")


def unpacked(package: str) -> Path:
    """Folder in the cache with the files of a Debian package. The package is not installed, so none of its services start.

    Raises:
        ClusterError: if this is not Debian, or apt-get cannot download it.
    """
    folder = cache_root() / "debian" / package
    if folder.exists():
        return folder
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise ClusterError(
            f"This system is not Debian, and the programs of {package} are missing.",
            f"Put the programs of the Debian package {package} on PATH.",
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{package}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            with step(f"download the Debian package {package}", estimate=20):
                _unpack(package, folder)
    return folder


def _unpack(package: str, folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent) as parts:
        if is_root():
            subprocess.run(["apt-get", "update", "-q"], capture_output=True, check=False)
        for command in (["apt-get", "download", package], ["sh", "-c", "dpkg-deb --extract *.deb files"]):
            done = subprocess.run(command, cwd=parts, capture_output=True, text=True, check=False)
            if done.returncode:
                tail = "\n    ".join(done.stderr.strip().splitlines()[-4:])
                raise ClusterError(
                    f"`{' '.join(command)}` failed:\n    {tail}", "Fix apt-get, then run the same command again."
                )
        (Path(parts) / "files").rename(folder)


def available_memory() -> int:
    """Bytes of memory available without swapping (MemAvailable)."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def free_disk(path: Path) -> int:
    """Free bytes on the disk of `path` or its nearest existing parent."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def check_space(purpose: str, path: Path, disk: int, memory: int) -> None:
    """Check that `disk` and `memory` bytes are available.

    Raises:
        ClusterError: if not; it names the resource and the amount.
    """
    free = free_disk(path)
    if free < disk:
        raise ClusterError(
            f"{purpose} needs {disk / GIB:.0f} GiB of disk at {path}; {free / GIB:.1f} GiB are free.",
            "Free disk space, or set RUNWRIGHT_CACHE (and GOCACHE, GOMODCACHE) to folders on a larger disk.",
        )
    available = available_memory()
    if available < memory:
        raise ClusterError(
            f"{purpose} needs {memory / GIB:.1f} GiB of memory; {available / GIB:.1f} GiB are available.",
            "Stop other programs or clusters (cluster.py down --name OTHER), then run the same command again.",
        )
