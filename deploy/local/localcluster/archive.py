"""Loads image archives of `docker save` and buildah's `docker-archive:` into the blob store."""

import gzip
import json
import shutil
import tarfile
from pathlib import Path
from typing import IO, cast

from . import store
from .errors import ClusterError
from .layers import Blob, manifest_json


def load(archive: Path) -> dict[str, str]:
    """Store all images of `archive` and return name -> manifest digest.

    Raises:
        ClusterError: if the file is not an image archive.
    """
    try:
        with tarfile.open(archive) as tar:
            entries = json.loads(_member(tar, "manifest.json").read())
            return {name: _store(tar, entry) for entry in entries for name in entry["RepoTags"] or []}
    except (OSError, tarfile.TarError, KeyError, ValueError) as error:
        raise ClusterError(
            f"{archive} is not an image archive: {error}",
            "Create one with `docker save --output FILE IMAGE` or `buildah push IMAGE docker-archive:FILE:IMAGE`.",
        ) from error


def _member(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    stream = tar.extractfile(name)
    if stream is None:
        raise KeyError(f"{name} is not a file")
    return stream


def _store(tar: tarfile.TarFile, entry: dict[str, object]) -> str:
    config = store.put_bytes(_member(tar, cast(str, entry["Config"])).read())
    layers = [_layer(tar, name) for name in cast(list[str], entry["Layers"])]
    return store.put_bytes(manifest_json(config, layers)).digest


def _layer(tar: tarfile.TarFile, name: str) -> Blob:
    scratch = store.blobs_folder() / "load.tmp"
    with _member(tar, name) as source, scratch.open("wb") as target:
        compressed = source.read(2) == b"\x1f\x8b"
        source.seek(0)
        shutil.copyfileobj(gzip.GzipFile(fileobj=source) if compressed else source, target, 1 << 20)
    return store.put_file(scratch)
