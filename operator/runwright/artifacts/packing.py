"""Unpacks an artifact: from the object's bytes to those that the user's program wrote.

Argo 3.7 packs by the artifact's `archive` (`stageArchiveFile` of its executor): `tar` (the default) is a gzipped tar of the
file or directory, `zip` a zip, and `none` the file itself.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from enum import StrEnum

from runwright.artifacts.unpacker import Chain, Gunzip, PackingError, Passthrough, Unpacker
from runwright.artifacts.untar import BLOCK, MAX_NOTE, Untar, tar_entry
from runwright.artifacts.unzip import Unzip
from runwright.kube.objects import Json, as_mapping


class Packing(StrEnum):
    """Values of an artifact's `archive`."""

    TAR = "tar"
    ZIP = "zip"
    NONE = "none"
    UNSAID = "unsaid"
    """No `archive`: Argo packs as tar, and unpacks only if it finds a tar, because another program may have written it."""


def packing_of(artifact: Json) -> Packing:
    """The packing of an output artifact. If `archive` has several fields, the precedence is as in Argo's executor."""
    archive = as_mapping(artifact.get("archive"))
    for packing in (Packing.NONE, Packing.TAR, Packing.ZIP):
        if archive.get(packing) is not None:
            return packing
    return Packing.UNSAID


def make_unpacker(packing: Packing, inflated: Callable[[int], None] = lambda _: None) -> Unpacker:
    """Creates the unpacker. It calls `inflated` with the size of each decompressed piece; `inflated` may raise."""
    match packing:
        case Packing.NONE:
            return Passthrough()
        case Packing.TAR:
            return Chain(Gunzip(inflated), Untar())
        case Packing.ZIP:
            return Unzip(inflated)
        case Packing.UNSAID:
            return DetectTar(inflated)


class DetectTar(Unpacker):
    """Unpacks a gzipped tar and passes on any other object, as Argo does without `archive`."""

    def __init__(self, inflated: Callable[[int], None]) -> None:
        self._inflated = inflated
        self._seen = b""
        self._chosen: Unpacker | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yields nothing until the format is known."""
        if self._chosen is not None:
            yield from self._chosen.feed(data)
            return
        self._seen += data
        is_tar = begins_as_tar(self._seen)
        if is_tar is not None:
            yield from self._choose(is_tar)

    def end(self) -> Iterator[bytes]:
        """Ends the unpacker of the detected format."""
        if self._chosen is None:
            yield from self._choose(False)
        if self._chosen is not None:
            yield from self._chosen.end()

    def _choose(self, is_tar: bool) -> Iterator[bytes]:
        self._chosen = make_unpacker(Packing.TAR if is_tar else Packing.NONE, self._inflated)
        seen, self._seen = self._seen, b""
        yield from self._chosen.feed(seen)


def begins_as_tar(data: bytes) -> bool | None:
    """Whether an object with this start is a gzipped tar; None if more bytes are needed."""
    if not b"\x1f\x8b".startswith(data[:2]):
        return False
    try:
        head = zlib.decompressobj(wbits=31).decompress(data, BLOCK)
        if len(head) < BLOCK:
            return None if len(data) < MAX_NOTE else False
        return tar_entry(head) is not None
    except (zlib.error, PackingError):
        return False
