"""Container images as bytes: reproducible layers, configs and manifests in the OCI format (image-spec v1.0)."""

import hashlib
import io
import json
import stat
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True)
class Entry:
    """One file, folder or symlink of a layer. `source` is bytes, a file to read, or None for a folder."""

    path: str
    source: bytes | Path | None = None
    mode: int = 0o755
    link: str | None = None


@dataclass(frozen=True)
class Blob:
    """A stored blob, named by its content."""

    digest: str
    size: int


@dataclass(frozen=True)
class Process:
    """How containers of an image start."""

    entrypoint: Sequence[str] = ()
    cmd: Sequence[str] = ()
    env: Sequence[str] = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/games",)
    user: str = ""
    workdir: str = "/"


def digest_of(data: bytes) -> str:
    """The OCI digest of `data`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _parents(entries: Sequence[Entry]) -> set[str]:
    named = {entry.path.strip("/") for entry in entries}
    parents = {str(p) for name in named for p in Path(name).parents if str(p) != "."}
    return parents - named


def write_layer(entries: Sequence[Entry], target: Path) -> None:
    """Write `entries` as an uncompressed tar. The same entries always give the same bytes.

    It adds missing parent folders with mode 0755. All entries belong to root and have time 0.
    """
    everything = [*entries, *(Entry(parent) for parent in _parents(entries))]
    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as tar:
        for entry in sorted(everything, key=lambda item: item.path.strip("/")):
            info = tarfile.TarInfo(entry.path.strip("/"))
            info.mode, info.mtime = entry.mode, 0
            if entry.link is not None:
                info.type, info.linkname, info.mode = tarfile.SYMTYPE, entry.link, 0o777
                tar.addfile(info)
            elif entry.source is None:
                info.type = tarfile.DIRTYPE
                tar.addfile(info)
            elif isinstance(entry.source, bytes):
                info.size = len(entry.source)
                tar.addfile(info, io.BytesIO(entry.source))
            else:
                info.size = entry.source.stat().st_size
                with entry.source.open("rb") as stream:
                    tar.addfile(info, stream)


def config_json(process: Process, layers: Sequence[Blob], architecture: str) -> bytes:
    """The image config. Layers are uncompressed, so their digests are also their diff ids."""
    config = {
        "created": "1970-01-01T00:00:00Z",
        "architecture": architecture,
        "os": "linux",
        "config": {
            "Entrypoint": list(process.entrypoint) or None,
            "Cmd": list(process.cmd) or None,
            "Env": list(process.env),
            "User": process.user,
            "WorkingDir": process.workdir,
        },
        "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in layers]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "runwright"} for _ in layers],
    }
    return json.dumps(config, sort_keys=True, separators=(",", ":")).encode()


def manifest_json(config: Blob, layers: Sequence[Blob]) -> bytes:
    """The image manifest that joins a config and its layers."""

    def descriptor(blob: Blob, media_type: str) -> Mapping[str, object]:
        return {"mediaType": media_type, "digest": blob.digest, "size": blob.size}

    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": descriptor(config, CONFIG_TYPE),
        "layers": [descriptor(layer, LAYER_TYPE) for layer in layers],
    }
    return json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()


def executable(path: str, source: bytes | Path) -> Entry:
    """An executable file at `path`."""
    return Entry(path, source, stat.S_IRWXU | stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH)
