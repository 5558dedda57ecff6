"""Loads an image into a running cluster of real components: names it in the mirror and removes older copies from the node."""

import json
import subprocess
from pathlib import Path

from . import archive, binaries, store
from .catalogue import split_reference
from .errors import ClusterError
from .paths import ClusterPaths, cache_root
from .progress import say

KEPT_TAGS = 5


def with_image(names: dict[str, str], reference: str, digest: str, kept: int = KEPT_TAGS) -> dict[str, str]:
    """`names` (pattern -> digest) with `reference` added. Keeps only the `kept` newest exact tags of its repository."""
    repository, tag = split_reference(reference)
    wanted = f"{repository}:{tag}"
    older = [name for name in names if name.startswith(f"{repository}:") and "*" not in name and name != wanted]
    dropped = set(older[: max(0, len(older) - kept + 1)])
    rest = {name: value for name, value in names.items() if name != wanted and name not in dropped}
    return {**rest, wanted: digest}


def write_names(paths: ClusterPaths, names: dict[str, str]) -> None:
    """Replace the mirror's image names (pattern -> digest) atomically."""
    scratch = paths.image_names.with_suffix(".tmp")
    scratch.write_text(json.dumps(names, indent=2))
    scratch.replace(paths.image_names)


def refresh(paths: ClusterPaths, built: dict[str, str]) -> None:
    """Add the images of the current pins to a running cluster. Loaded images stay."""
    before: dict[str, str] = json.loads(paths.image_names.read_text())
    if before != (names := {**before, **built}):
        write_names(paths, names)


def load(paths: ClusterPaths, file: Path) -> list[str]:
    """Load all images of an archive into the cluster; returns their names.

    Raises:
        ClusterError: if the cluster is not running, or the file is not an image archive.
    """
    if not paths.image_names.exists():
        raise ClusterError(f"Cluster {paths.name} is not running.", f"Start it: cluster.py up --name {paths.name}")
    with binaries.build_lock(cache_root()):
        loaded = archive.load(file)
        before: dict[str, str] = json.loads(paths.image_names.read_text())
        names = before
        for reference, digest in loaded.items():
            names = with_image(names, reference, digest)
        write_names(paths, names)
        store.prune()
    for reference, digest in loaded.items():
        repository, tag = split_reference(reference)
        changed = before.get(f"{repository}:{tag}") not in (None, digest)
        if changed:
            _remove_from_node(paths, repository, tag)
        say(f"  {reference} is in cluster {paths.name}{' (replaced)' if changed else ''}")
    return list(loaded)


def _node_images(paths: ClusterPaths) -> list[str]:
    """Names of the images on the node."""
    command = ["ctr", "--address", str(paths.containerd_socket), "--namespace", "k8s.io", "images", "list", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return [line for line in done.stdout.splitlines() if not line.startswith("sha256:")]


def _remove_from_node(paths: ClusterPaths, repository: str, tag: str) -> None:
    """Remove the node's copy of an image. With `imagePullPolicy: IfNotPresent`, pods would continue to use it."""
    stale = [name for name in _node_images(paths) if split_reference(name) == (repository, tag)]
    command = ["ctr", "--address", str(paths.containerd_socket), "--namespace", "k8s.io", "images", "remove", *stale]
    if stale:
        subprocess.run(command, capture_output=True, check=False)
