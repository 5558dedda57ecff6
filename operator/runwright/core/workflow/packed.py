"""Unpacks what Argo or a snapshot packed: base64, gzip and JSON. Bounded, because anyone who may edit a Workflow can write it.

82 KB of gzip can unpack to 64 MiB of JSON, and these to 1.7 GiB of objects.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from typing import Any

from runwright.kube.decoding import MAX_DEPTH, shape_of
from runwright.kube.objects import Json, as_mapping

MAX_UNPACKED_BYTES = 16 * 1024 * 1024
"""Bytes of JSON. A node of Argo has about 1 KB, so this is a Workflow of 16,000 nodes; etcd holds about 10,000, compressed."""

MAX_UNPACKED_CONTAINERS = 250_000
"""Objects and arrays in the JSON: about 60 MB of memory. 10,000 nodes with artifacts have 110,000."""

MAX_UNPACKED_VALUES = 1_000_000
"""Commas in the JSON; with the other bounds, the objects take at most 200 MB of memory. 10,000 nodes have 400,000 commas."""

SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
"""Escape of a surrogate; an unpaired one cannot be sent to the API server."""


class PackedError(Exception):
    """A text cannot be unpacked; the message says why."""

    def __init__(self, message: str, *, too_large: bool = False) -> None:
        super().__init__(message)
        self.too_large = too_large
        """Whether it is beyond a bound, and not invalid."""


def unpack_json(packed: str) -> Json:
    """Decodes an object from base64, gzip and JSON. Other threads run meanwhile.

    Raises:
        PackedError: it is invalid, or has more than MAX_UNPACKED_BYTES, MAX_UNPACKED_VALUES,
            MAX_UNPACKED_CONTAINERS or MAX_DEPTH.
    """
    try:
        unpacker = zlib.decompressobj(wbits=31)
        raw = unpacker.decompress(base64.b64decode(packed), MAX_UNPACKED_BYTES)
        if not unpacker.eof and len(raw) >= MAX_UNPACKED_BYTES:
            raise PackedError(f"unpacks to more than {MAX_UNPACKED_BYTES} bytes", too_large=True)
        if not unpacker.eof:
            raise PackedError("ends before the end of its gzip data")
        _check_shape(raw)
        found = as_mapping(json.loads(raw, object_hook=_let_other_threads_run))
        if SURROGATE.search(raw):
            found = {key: _without_surrogates(value) for key, value in found.items()}
        return found
    except (binascii.Error, zlib.error, ValueError, RecursionError) as error:
        raise PackedError(f"is not an object in JSON, gzip and base64: {error}") from None


def _check_shape(raw: bytes) -> None:
    shape = shape_of(raw)
    if shape.depth > MAX_DEPTH:
        raise PackedError(f"nests deeper than {MAX_DEPTH} levels, or is no JSON", too_large=True)
    if shape.containers > MAX_UNPACKED_CONTAINERS:
        raise PackedError(f"has more than {MAX_UNPACKED_CONTAINERS} objects and arrays", too_large=True)
    if raw.count(b",") > MAX_UNPACKED_VALUES:
        raise PackedError(f"has more than {MAX_UNPACKED_VALUES} commas", too_large=True)


def _let_other_threads_run(found: dict[str, Any]) -> dict[str, Any]:
    """Called for each decoded object: the interpreter can switch threads only between two of its own instructions."""
    return found


def _without_surrogates(value: Any) -> Any:
    return json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
