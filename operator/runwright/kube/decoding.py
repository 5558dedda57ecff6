"""Decode what the API server sends, within bounds: the one place where its bytes become objects.

Kubernetes (1.34) takes objects of 10,000 levels; Python's decoder and encoder end near 1,000. An object beyond the bounds is
cut instead of refused: its deepest parts become null, and a mark says so (`incompleteness`). Metadata survives, so that the
object can be named, and its neighbours in a list or watch are decoded as usual.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple, cast, overload

from typing_extensions import override

from runwright.kube.errors import ApiError
from runwright.kube.objects import INCOMPLETE, Incompleteness, Json, as_mapping

MAX_OBJECT_BYTES = 16 * 1024 * 1024
"""Longest reply to a request about one object, and longest line of a watch.

etcd holds 1.5 MB of an object; a ConfigMap of control characters is six times as long in JSON.
"""

MAX_PAGE_BYTES = MAX_OBJECT_BYTES
"""Longest page of a list: a longer one is requested again with fewer objects."""

PAGE_BYTES = 8 * 1024 * 1024
"""Size of the pages that are requested after a large one. 300 runs of 1 MB take 40 pages."""

SHRINK = 8
"""By how much the number of objects is divided after a page of more than MAX_PAGE_BYTES."""

MAX_DEPTH = 100
"""Levels of an object that are decoded. Pods and Workflows stay below 25; the package's recursive functions need less than 1,000."""

MAX_CONTAINERS = 100_000
"""Objects and arrays in one object that are decoded without a closer look: 25 MB in memory.

A Workflow of 1.5 MB, the most that etcd holds, has 60,000; a crafted one has 500,000.
"""

MAX_FIELD_CONTAINERS = 50_000
"""Objects and arrays that are kept in each top-level field of an object with more than MAX_CONTAINERS."""

TOO_DEEP = "TooDeep"
TOO_COMPLEX = "TooComplex"
TOO_LARGE = "TooLarge"
UNDECODABLE = "Undecodable"

_AS_BRACES = bytes.maketrans(b"[]", b"{}")
_NOT_STRUCTURE = bytes(set(range(256)) - set(b'{}[]"'))
_NOT_ESCAPES = bytes(set(range(256)) - set(b'{}[]"\\nturbf/'))
"""Everything but structure, and the characters that can follow a backslash (RFC 8259)."""
_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_BRACKET = re.compile(rb'(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+"?)*+([{}\[\]])', re.DOTALL)
"""The next bracket outside strings. Possessive: takes linear time, whatever the bytes are."""
_KEY = re.compile(rb'"([^"\\]{1,100})"\s*:\s*\Z')


class Shape(NamedTuple):
    """How deep and how wide a JSON text is."""

    depth: int
    """Levels of objects and arrays; MAX_DEPTH + ENVELOPE_DEPTH + 1 for more than that, and for text that is no JSON."""
    containers: int
    """Objects and arrays."""


ENVELOPE_DEPTH = 4
"""Levels around an object in a list, in a watch event, or in a Table of a watch event."""

_DEPTH_COUNTED = MAX_DEPTH + ENVELOPE_DEPTH


class BoundsError(ValueError):
    """A JSON text is nested deeper than MAX_DEPTH, or has more than MAX_CONTAINERS objects and arrays."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        """TOO_DEEP or TOO_COMPLEX."""


def shape_of(data: bytes) -> Shape:
    """Measure a JSON text without decoding it; takes a third of the time that decoding takes.

    Strings are dropped by the parity of quotes. Then each pass removes the innermost pairs of brackets, so that the number of
    passes is the depth. Exact for JSON; anything else fails in the decoder, at the latest at the measured depth.
    """
    if len(data) < 16 * 1024 and (most := data.count(b"{") + data.count(b"[")) <= MAX_DEPTH:
        return Shape(most, most)
    escapes = data.count(b"\\")
    if escapes * 40 > len(data):
        # Many escapes, as in a manifest in a string: the regular expression would be slower.
        data = data.translate(None, _NOT_ESCAPES).replace(b"\\\\", b"").replace(b'\\"', b"")
    elif escapes:
        data = _ESCAPE.sub(b"", data)
    rest = data.translate(_AS_BRACES, _NOT_STRUCTURE).replace(b'""', b"")
    if b'"' in rest:
        rest = b"".join(rest.split(b'"')[::2])
    containers, depth = rest.count(b"{"), 0
    while rest:
        shorter = rest.replace(b"{}", b"")
        depth += 1
        if depth > _DEPTH_COUNTED or len(shorter) == len(rest):
            return Shape(_DEPTH_COUNTED + 1, containers)
        rest = shorter
    return Shape(depth, containers)


def load_bounded(text: str | bytes) -> Any:
    """Decode a JSON text that stands in a field of an object. Raises BoundsError, and ValueError for what is no JSON."""
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    shape = shape_of(data)
    if shape.depth > MAX_DEPTH:
        raise BoundsError(TOO_DEEP, f"nested deeper than {MAX_DEPTH} levels")
    if shape.containers > MAX_CONTAINERS:
        raise BoundsError(TOO_COMPLEX, f"has more than {MAX_CONTAINERS} objects and arrays")
    return _loads(data)


def decode(data: bytes) -> Json:
    """Decode an object. Raises ApiError (code 0, Undecodable) for anything else.

    Beyond MAX_DEPTH and MAX_CONTAINERS it is cut, and marked as incomplete.
    """
    shape = shape_of(data)
    if shape.depth <= MAX_DEPTH and shape.containers <= MAX_CONTAINERS:
        return _decoded(data)
    cut = _cut(data, 0)
    return cut.mark(dict(_decoded(cut.data)))


def decode_event(data: bytes) -> Json:
    """Decode an event of a watch, `type` and `object`, as `decode` does; the mark is in its object."""
    shape = shape_of(data)
    if shape.depth <= MAX_DEPTH + 1 and shape.containers <= MAX_CONTAINERS:
        return _decoded(data)
    cut = _cut(data, 1)
    event = dict(_decoded(cut.data))
    event["object"] = cut.mark(dict(as_mapping(event.get("object"))))
    return event


class DecodedPage(NamedTuple):
    """A page of a list, or of a Table."""

    envelope: Json
    """The list without its items."""
    items: Sequence[Json]
    """The items, or a Table's rows."""
    size: int
    """Bytes of the page."""


def decode_page(data: bytes) -> DecodedPage:
    """Decode a page of a list as `decode` does; only the items beyond the bounds are cut and marked.

    The items of a page with many containers are decoded one by one, each time that they are read.
    """
    shape = shape_of(data)
    if shape.depth <= MAX_DEPTH + 2 and shape.containers <= MAX_CONTAINERS:
        envelope = dict(_decoded(data))
        name = "items" if "items" in envelope else "rows"
        items = envelope.pop(name, None)
        found = cast(list[object], items) if isinstance(items, list) else []
        return DecodedPage(envelope, [cast(Json, item) for item in found if isinstance(item, dict)], len(data))
    outer, spans = _split(data)
    return DecodedPage(decode(outer), _LazyItems(data, spans), len(data))


def next_limit(asked: int, limit: int, size: int) -> int:
    """Objects to request in the next page, at most `asked`, after a page of `limit` objects had `size` bytes."""
    return max(1, min(asked, limit * PAGE_BYTES // max(1, size)))


class _LazyItems(Sequence[Json]):
    """Items of a page, decoded as they are read."""

    def __init__(self, data: bytes, spans: list[tuple[int, int]]) -> None:
        self._data, self._spans = data, spans

    @override
    def __len__(self) -> int:
        return len(self._spans)

    @overload
    def __getitem__(self, index: int) -> Json: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Json]: ...
    @override
    def __getitem__(self, index: int | slice) -> Json | Sequence[Json]:
        if isinstance(index, slice):
            return _LazyItems(self._data, self._spans[index])
        start, end = self._spans[index]
        return decode(self._data[start:end])


class _Cut(NamedTuple):
    """A JSON text whose parts beyond the bounds are null."""

    data: bytes
    reason: str
    """Empty if nothing but `metadata.managedFields` was cut."""
    field: str
    """The first field that was cut, by its first levels."""

    def mark(self, body: dict[str, Any]) -> Json:
        """Mark the decoded object, unless it is complete but for its managedFields, which nobody needs."""
        if self.reason:
            limit = f"nested deeper than {MAX_DEPTH} levels"
            if self.reason == TOO_COMPLEX:
                limit = f"made of more than {MAX_FIELD_CONTAINERS} objects and arrays"
            body[INCOMPLETE] = Incompleteness(self.reason, f"{self.field or 'the object'} is {limit}")
        return body


def _cut(data: bytes, envelope: int) -> _Cut:
    """Replace what is beyond the bounds by null. `envelope` is the number of levels around the object."""
    pieces: list[bytes] = []
    path: list[str] = []
    copied = depth = containers = cut_at = 0
    reason = field = ""
    for found in _BRACKET.finditer(data):
        at = found.start(1)
        if data[at] in b"]}":
            if cut_at == depth and cut_at:
                cut_at, copied = 0, at + 1
            depth -= 1
            continue
        depth += 1
        if cut_at:
            continue
        inner = depth - envelope
        if 2 <= inner <= 4:
            key = _KEY.search(data, max(0, at - 120), at)
            path[inner - 2 :] = [key[1].decode("utf-8", "replace") if key else ""]
        # Counted for each field, in metadata for each of its fields: managedFields stand before ownerReferences.
        first_of_field = inner == 2 or (inner == 3 and path[0] == "metadata")
        containers = 1 if first_of_field else containers + 1
        if inner > MAX_DEPTH or containers > MAX_FIELD_CONTAINERS:
            pieces += (data[copied:at], b"null")
            cut_at = depth
            if not reason and path[:2] != ["metadata", "managedFields"]:
                reason = TOO_DEEP if inner > MAX_DEPTH else TOO_COMPLEX
                field = ".".join(name for name in path if name)
    if cut_at:
        raise ApiError(0, UNDECODABLE, "the API server sent no JSON: it ends within an object")
    pieces.append(data[copied:])
    return _Cut(b"".join(pieces), reason, field)


def _split(data: bytes) -> tuple[bytes, list[tuple[int, int]]]:
    """Split a page into the list without its items, and the span of each item."""
    name, depth, start, end = "", 0, 0, 0
    spans: list[tuple[int, int]] = []
    item_at = 0
    for found in _BRACKET.finditer(data):
        at = found.start(1)
        if data[at] in b"[{":
            depth += 1
            if depth == 2 and data[at] == ord("[") and not name:
                key = _KEY.search(data, max(0, at - 120), at)
                if key and key[1] in (b"items", b"rows"):
                    name, start = key[1].decode(), at + 1
            elif depth == 3 and name and not end:
                item_at = at
            continue
        if depth == 3 and name and not end:
            spans.append((item_at, at + 1))
        elif depth == 2 and name and not end:
            end = at
        depth -= 1
    return (data[:start] + data[end:], spans) if end else (data, [])


def _decoded(data: bytes) -> Json:
    try:
        return as_mapping(_loads(data))
    except ValueError as error:
        raise ApiError(0, UNDECODABLE, f"the API server sent no JSON: {error}") from error


def _loads(data: bytes) -> Any:
    try:
        return json.loads(data)
    except RecursionError as error:
        # Not for JSON within MAX_DEPTH, unless Python's own stack is nearly full.
        raise ValueError("nested too deeply") from error
