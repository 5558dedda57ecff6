"""Paths: the checkout's `.cluster/`, the shared cache, and a cluster's folders on this machine."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from .errors import ClusterError

REPO = Path(__file__).resolve().parents[3]
LOCAL = REPO / "deploy" / "local"
PINS = LOCAL / "pins"
PROGRAMS = LOCAL / "programs"
DEFAULT_NAME = "default"
RESERVED = ("bin", "kubeconfig")
STATE_ROOT = Path("/var/lib/runwright")
RUN_ROOT = Path("/run/runwright")


def checked_name(name: str) -> str:
    """Return `name` if it can name a cluster.

    The name is part of a node name and of socket paths (108 bytes at most), hence at most 20 characters. It is also a folder in
    `.cluster/`, which contains the default cluster's files.

    Raises:
        ClusterError: if it is not a short lower-case DNS label.
    """
    if not re.fullmatch(r"[a-z]([a-z0-9-]{0,18}[a-z0-9])?", name) or name in RESERVED:
        raise ClusterError(
            f"--name: invalid cluster name {name!r}.",
            f"Use 1 to 20 lower-case letters, digits and dashes, starting with a letter, except {' and '.join(RESERVED)}: --name demo.",
        )
    return name


def cache_root() -> Path:
    """Folder of built binaries and images, shared by all clusters: $RUNWRIGHT_CACHE or ~/.cache/runwright."""
    return Path(os.environ.get("RUNWRIGHT_CACHE") or Path.home() / ".cache" / "runwright")


@dataclass(frozen=True)
class ClusterPaths:
    """All paths of one cluster. `down` removes these folders, so all of its state must be in them."""

    name: str
    repo: Path = REPO

    @property
    def state(self) -> Path:
        return STATE_ROOT / self.name

    @property
    def run(self) -> Path:
        return RUN_ROOT / self.name

    @property
    def record(self) -> Path:
        return self.state / "cluster.json"

    @property
    def pki(self) -> Path:
        return self.state / "pki"

    @property
    def config(self) -> Path:
        return self.state / "config"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def audit_log(self) -> Path:
        return self.logs / "audit.log"

    @property
    def pids(self) -> Path:
        return self.run / "pids"

    @property
    def namespaces(self) -> Path:
        return self.run / "ns"

    @property
    def netns(self) -> Path:
        return self.namespaces / "net"

    @property
    def mntns(self) -> Path:
        return self.namespaces / "mnt"

    @property
    def containerd_socket(self) -> Path:
        return self.run / "containerd.sock"

    @property
    def image_names(self) -> Path:
        return self.state / "images.json"

    @property
    def lock(self) -> Path:
        return RUN_ROOT / f"{self.name}.lock"

    @property
    def home(self) -> Path:
        """The cluster's folder in the checkout: `.cluster/` for the default name, `.cluster/NAME/` for others."""
        base = self.repo / ".cluster"
        return base if self.name == DEFAULT_NAME else base / self.name

    @property
    def kubeconfig(self) -> Path:
        return self.home / "kubeconfig"

    @property
    def provider(self) -> Path:
        return self.home / "provider.json"

    @property
    def bin(self) -> Path:
        return self.home / "bin"
