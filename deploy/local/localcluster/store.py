"""The blob store: images in the cache as content-addressed files, shared by all clusters."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .layers import Blob, Process, config_json, digest_of, manifest_json
from .paths import STATE_ROOT, cache_root


def blobs_folder() -> Path:
    """Folder of the blobs. Each is a file named by its sha256."""
    folder = cache_root() / "images" / "blobs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def blob_path(digest: str) -> Path:
    """File of the blob `digest` ("sha256:…")."""
    return blobs_folder() / digest.removeprefix("sha256:")


def put_bytes(data: bytes) -> Blob:
    """Store `data` and return its descriptor."""
    blob = Blob(digest_of(data), len(data))
    path = blob_path(blob.digest)
    if not path.exists():
        with tempfile.NamedTemporaryFile(dir=blobs_folder(), delete=False) as scratch:
            scratch.write(data)
        os.replace(scratch.name, path)
    return blob


def put_file(source: Path) -> Blob:
    """Move `source` into the store and return its descriptor."""
    with source.open("rb") as stream:
        digest = "sha256:" + hashlib.file_digest(stream, "sha256").hexdigest()
    blob = Blob(digest, source.stat().st_size)
    path = blob_path(digest)
    if path.exists():
        source.unlink()
    else:
        shutil.move(source, path)
    return blob


def put_image(layers: Sequence[Blob], process: Process) -> Blob:
    """Store config and manifest of an image with `layers`; returns the manifest's descriptor."""
    config = put_bytes(config_json(process, layers, architecture()))
    return put_bytes(manifest_json(config, layers))


def architecture() -> str:
    """This machine's architecture as Go and OCI name it."""
    machine = os.uname().machine
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def read_json(digest: str) -> dict[str, Any]:
    """A stored config or manifest, parsed."""
    return json.loads(blob_path(digest).read_bytes())


def has_image(digest: str) -> bool:
    """True if the manifest `digest`, its config and its layers are stored."""
    if not blob_path(digest).exists():
        return False
    return all(blob_path(d).exists() for d in referenced(digest))


def referenced(digest: str) -> Iterator[str]:
    """The manifest `digest` itself, its config and its layers."""
    manifest = read_json(digest)
    yield digest
    yield manifest["config"]["digest"]
    for layer in manifest["layers"]:
        yield layer["digest"]


def prune() -> int:
    """Remove blobs that no cached image record and no cluster on this machine uses; returns their number."""
    live: set[str] = set()
    records = [*(cache_root() / "images").glob("*.json"), *STATE_ROOT.glob("*/images.json")]
    for record in records:
        for digest in json.loads(record.read_text()).values():
            if blob_path(digest).exists():
                live.update(referenced(digest))
    stale = [p for p in blobs_folder().iterdir() if len(p.name) == 64 and f"sha256:{p.name}" not in live]
    for path in stale:
        path.unlink()
    return len(stale)
