"""The cluster's folder in the checkout, `.cluster/`: its kubeconfig, and the programs for users and tests."""

import json
from collections.abc import Mapping
from pathlib import Path

from . import binaries, pins
from .choice import Provider
from .paths import REPO, ClusterPaths


def write_kubeconfig(paths: ClusterPaths, text: str) -> None:
    """Write the kubeconfig with mode 0600, because it contains a key."""
    paths.home.mkdir(parents=True, exist_ok=True)
    paths.kubeconfig.touch(0o600)
    paths.kubeconfig.chmod(0o600)
    paths.kubeconfig.write_text(text)


def link_programs(paths: ClusterPaths, programs: Mapping[str, Path]) -> None:
    """Link `programs` in `.cluster/bin`, and the argo CLI if it is built."""
    argo = binaries.folder(pins.ARGO) / "argo"
    paths.bin.mkdir(parents=True, exist_ok=True)
    for name, program in {"argo": argo, **programs}.items():
        link = paths.bin / name
        link.unlink(missing_ok=True)
        if program.exists():
            link.symlink_to(program)


def write_provider(paths: ClusterPaths, provider: Provider) -> None:
    """Record the provider of the cluster for later commands."""
    paths.provider.write_text(json.dumps({"provider": provider.value}))


def read_provider(paths: ClusterPaths) -> Provider | None:
    """The recorded provider, or None."""
    try:
        return Provider(json.loads(paths.provider.read_text())["provider"])
    except (OSError, ValueError, KeyError):
        return None


def own_kubeconfigs() -> frozenset[Path]:
    """The kubeconfigs that this tool wrote in this checkout."""
    home = REPO / ".cluster"
    return frozenset(path.resolve() for path in (home / "kubeconfig", *home.glob("*/kubeconfig")))


def remove(paths: ClusterPaths) -> None:
    """Remove the files of this module and the folders that are then empty."""
    for path in (paths.kubeconfig, paths.provider, *(paths.bin.iterdir() if paths.bin.is_dir() else ())):
        path.unlink(missing_ok=True)
    for folder in (paths.bin, paths.home, REPO / ".cluster"):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
