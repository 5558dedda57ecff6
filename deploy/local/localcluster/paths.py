"""Where everything lives: the checkout's `.cluster/`, the shared cache, and a cluster's own folders on this machine."""

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

    It becomes part of a node name and of socket paths (108 bytes at most), hence at most 20 characters; and it names a
    folder in `.cluster/`, beside the default cluster's own files.

    Raises:
        ClusterError: if it is not a short lower-case DNS label.
    """
    if not re.fullmatch(r"[a-z]([a-z0-9-]{0,18}[a-z0-9])?", name) or name in RESERVED:
        raise ClusterError(
            f"{name!r} cannot name a cluster.",
            f"Use 1 to 20 lower-case letters, digits and dashes, a letter first, but not {' or '.join(RESERVED)}: --name demo.",
        )
    return name


def cache_root() -> Path:
    """Folder of built binaries and images, shared by all clusters: $RUNWRIGHT_CACHE or ~/.cache/runwright."""
    return Path(os.environ.get("RUNWRIGHT_CACHE") or Path.home() / ".cache" / "runwright")


@dataclass(frozen=True)
class ClusterPaths:
    """All paths of one cluster; the state of a cluster is removed whole, so nothing of it may lie elsewhere."""

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
        """The checkout's view of the cluster: `.cluster/` for the default name, `.cluster/NAME/` for others."""
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
