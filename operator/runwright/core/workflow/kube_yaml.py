"""Parses YAML and JSON text to JSON values, as Kubernetes' own tools do.

kubectl and Argo's CLI convert YAML to JSON with sigs.k8s.io/yaml over go.yaml.in/yaml/v2 (v2.4): YAML 1.1 booleans
(`yes`, `on`), Go's integers, dates as strings, no base-60 numbers, and mapping keys as strings. In addition, a duplicate
key in a mapping is refused, as in kubectl's strict validation.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import yaml

MAX_DEPTH = 100
"""Maximum nesting depth; a Workflow that uses every field has about 25 levels."""

MAX_EXPANDED = 4_000_000
"""Maximum characters of a text after its aliases are expanded."""

MAX_VALUES = 200_000
"""Maximum number of values in a document; a Workflow of 1.4 MB, the most that etcd holds, has about 100,000."""

MAX_TAG_DIRECTIVES = 16
"""Maximum `%TAG` lines of a text: libyaml compares each with all others, in one call that stops the process."""

_TAG_DIRECTIVE = re.compile("(?:^|[\n\r\x85\u2028\u2029])\ufeff?%TAG")

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's parser if PyYAML includes it: 100 times as fast as the one in Python."""

_TAG = "tag:yaml.org,2002:"
_SCALAR_TAGS = frozenset(_TAG + name for name in ("str", "int", "float", "bool", "null", "timestamp"))
_CONSTANTS: dict[str, Any] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}
_INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_INTEGER = re.compile(r"([-+]?)(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO][0-7]+|0[0-7]*|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_MERGE = object()
_EXACT = 1 << 53


class UnreadableTextError(Exception):
    """The text cannot be parsed; the message says why, with line and column if known."""


def load_json(text: str) -> Any:
    """Parses a JSON text.

    Raises:
        json.JSONDecodeError: it is not JSON.
        UnreadableTextError: it has a duplicate key, a number that is too large, or too many levels.
    """
    try:
        value = json.loads(
            text, object_pairs_hook=_unique, parse_float=_finite, parse_constant=_no_constant, parse_int=_bounded
        )
    except RecursionError:
        raise UnreadableTextError(f"it nests deeper than {MAX_DEPTH} levels") from None
    check_depth(value)
    return value


def load_yaml(text: str) -> list[Any]:
    """Parses the documents of a YAML text; leaves out empty ones.

    Raises:
        UnreadableTextError: it is not YAML, has no JSON form, expands to more than `MAX_EXPANDED` characters, or has more
            than `MAX_TAG_DIRECTIVES` `%TAG` lines.
    """
    if len(_TAG_DIRECTIVE.findall(text)) > MAX_TAG_DIRECTIVES:
        raise UnreadableTextError(f"it has more than {MAX_TAG_DIRECTIVES} %TAG lines; no manifest needs one")
    try:
        documents = [document for document in _documents(text) if document is not None]
        # Aliases share one object. Copy it, so that an edit has an effect in one place only.
        documents = cast("list[Any]", json.loads(json.dumps(documents)))
    except RecursionError:
        raise UnreadableTextError(f"it nests deeper than {MAX_DEPTH} levels") from None
    for document in documents:
        check_depth(document)
    return documents


def check_depth(value: Any) -> None:
    """Checks that `value` nests no deeper than `MAX_DEPTH`, and has no more than `MAX_VALUES` values.

    Raises:
        UnreadableTextError: it does.
    """
    level: list[Any] = [value]
    values = 0
    for _ in range(MAX_DEPTH + 1):
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(cast("dict[str, Any]", item).values())
            elif isinstance(item, list):
                below.extend(cast("list[Any]", item))
        if not below:
            return
        values += len(below)
        if values > MAX_VALUES:
            raise UnreadableTextError(f"it has more than {MAX_VALUES} values")
        level = below
    raise UnreadableTextError(f"it nests deeper than {MAX_DEPTH} levels")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))
        raise UnreadableTextError(f'duplicate key "{twice[:80]}" in an object')
    return found


def _finite(literal: str) -> float:
    number = float(literal)
    if not math.isfinite(number):
        raise UnreadableTextError(f"the number {literal[:40]} is too large")
    return number


def _bounded(literal: str) -> int | float:
    # Python refuses to convert more than 4300 digits; Go reads a number that does not fit into 64 bits as a float.
    return int(literal) if len(literal) <= 20 else _finite(literal)


def _no_constant(literal: str) -> Any:
    raise UnreadableTextError(f"{literal} is not a JSON number")


@dataclass(slots=True)
class _Open:
    """A mapping or list while it is being parsed."""

    value: dict[str, Any] | list[Any]
    anchor: str | None
    start: int
    """Expanded characters of the document before it."""
    key: Any = None
    has_key: bool = False
    merged: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])


def _documents(text: str) -> Iterator[Any]:
    reader = _Document()
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            reader.read(event)
            if isinstance(event, yaml.DocumentEndEvent):
                yield reader.root
                reader = _Document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise UnreadableTextError(f"{_where(mark)}: {error.problem or error.context}") from None
    except (yaml.YAMLError, UnicodeError) as error:
        raise UnreadableTextError(" ".join(str(error).split())) from None


def _where(mark: Any) -> str:
    return "somewhere" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}"


class _Document:
    """Builds one document from libyaml's events, with its own stack, so that no text can exhaust Python's."""

    def __init__(self) -> None:
        self.root: Any = None
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Any, int] | _Open] = {}
        self._size = 0

    def read(self, event: yaml.Event) -> None:
        match event:
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.AliasEvent():
                self._alias(event)
            case yaml.MappingStartEvent():
                self._start({}, event)
            case yaml.SequenceStartEvent():
                self._start([], event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._end(event)
            case _:
                pass

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        text = event.value
        value = _MERGE if text == "<<" and event.implicit[0] and self._wants_key() else _resolve(event)
        self._grow(len(text) + 1, event)
        if event.anchor:
            self._anchors[event.anchor] = (value, len(text) + 1)
        self._put(value, event)

    def _alias(self, event: yaml.AliasEvent) -> None:
        found = self._anchors.get(event.anchor or "")
        if isinstance(found, _Open):
            raise UnreadableTextError(f"{_where(event.start_mark)}: the anchor {event.anchor!r} contains itself")
        if found is None:
            raise UnreadableTextError(
                f"{_where(event.start_mark)}: there is no anchor {event.anchor!r} before this alias"
            )
        value, size = found
        self._grow(size, event)
        self._put(value, event)

    def _start(self, value: dict[str, Any] | list[Any], event: yaml.CollectionStartEvent) -> None:
        expected = _TAG + ("map" if isinstance(value, dict) else "seq")
        if event.tag not in (None, "!", expected):
            raise UnreadableTextError(f"{_where(event.start_mark)}: the tag {event.tag} has no meaning in JSON")
        if self._wants_key():
            raise UnreadableTextError(f"{_where(event.start_mark)}: a mapping's key must be a string")
        if len(self._open) >= MAX_DEPTH:
            raise UnreadableTextError(f"{_where(event.start_mark)}: it nests deeper than {MAX_DEPTH} levels")
        opened = _Open(value, event.anchor, self._size)
        if event.anchor:
            self._anchors[event.anchor] = opened
        self._open.append(opened)
        self._grow(2, event)

    def _end(self, event: yaml.Event) -> None:
        done = self._open.pop()
        if isinstance(done.value, dict):
            for merged in done.merged:
                for key, value in merged.items():
                    done.value.setdefault(key, value)
        if done.anchor and self._anchors.get(done.anchor) is done:
            self._anchors[done.anchor] = (done.value, self._size - done.start)
        self._put(done.value, event)

    def _put(self, value: Any, event: yaml.Event) -> None:
        if not self._open:
            self.root = value
            return
        top = self._open[-1]
        if isinstance(top.value, list):
            top.value.append(value)
        elif not top.has_key:
            top.key = value if value is _MERGE else _key(value, event)
            top.has_key = True
            if top.key is not _MERGE and top.key in top.value:
                raise UnreadableTextError(f'{_where(event.start_mark)}: duplicate key "{top.key[:80]}" in a mapping')
        else:
            top.has_key = False
            if top.key is _MERGE:
                top.merged.extend(_mappings(value, event))
            else:
                top.value[top.key] = value

    def _wants_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1].value, dict) and not self._open[-1].has_key

    def _grow(self, size: int, event: yaml.Event) -> None:
        self._size += size
        if self._size > MAX_EXPANDED:
            raise UnreadableTextError(
                f"{_where(event.start_mark)}: with its aliases expanded, it has more than {MAX_EXPANDED} characters"
            )


def _mappings(value: Any, event: yaml.Event) -> list[dict[str, Any]]:
    found = cast("list[Any]", value) if isinstance(value, list) else [value]
    if not all(isinstance(one, dict) for one in found):
        raise UnreadableTextError(f"{_where(event.start_mark)}: `<<` merges mappings only")
    return found


def _key(value: Any, event: yaml.Event) -> str:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case _:
            raise UnreadableTextError(f"{_where(event.start_mark)}: a mapping's key must be a string")


def _resolve(event: yaml.ScalarEvent) -> Any:
    text, tag = event.value, event.tag
    if tag == _TAG + "str" or tag == "!" or (tag is None and not event.implicit[0]):
        return text
    if tag is not None and tag not in _SCALAR_TAGS:
        raise UnreadableTextError(f"{_where(event.start_mark)}: the tag {tag} has no meaning in JSON")
    value = _plain(text, event)
    if tag is not None and not _is_a(tag.removeprefix(_TAG), value):
        raise UnreadableTextError(f"{_where(event.start_mark)}: {text[:40]!r} is not a {tag.removeprefix(_TAG)}")
    return float(value) if tag == _TAG + "float" and isinstance(value, int) else value


def _is_a(name: str, value: Any) -> bool:
    match name:
        case "bool":
            return isinstance(value, bool)
        case "null":
            return value is None
        case "int":
            return isinstance(value, int) and not isinstance(value, bool)
        case "float":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case _:
            return isinstance(value, str)


def _plain(text: str, event: yaml.ScalarEvent) -> Any:
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INFINITE.fullmatch(text):
        raise UnreadableTextError(f"{_where(event.start_mark)}: {text} is not a JSON number")
    if text[0] not in "+-.0123456789":
        return text
    # Go removes all underscores of a number; if it starts with a point, only those between digits.
    digits = text.replace("_", "") if text[0] != "." else re.sub(r"(?<=[0-9])_(?=[0-9])", "", text)
    whole = _INTEGER.fullmatch(digits)
    if whole and len(digits) <= 70:
        number = _integer(whole.group(1), whole.group(2))
        if -(1 << 63) <= number < 1 << 64:
            return number
    if not _FLOAT.fullmatch(digits):
        return text
    number = float(digits)
    if not math.isfinite(number):
        return text
    # Go writes a float without a fraction as an integer, which integer fields then accept.
    return int(number) if number.is_integer() and abs(number) < _EXACT else number


def _integer(sign: str, digits: str) -> int:
    prefixed = len(digits) > 1 and digits[0] == "0" and digits[1].isdigit()
    number = int(digits, 8) if prefixed else int(digits, 0)
    return -number if sign == "-" else number
