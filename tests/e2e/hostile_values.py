"""JSON, text and compressed data as deep, wide, long and odd as an API server takes them. Pure: seeded by the caller."""

from __future__ import annotations

import base64
import gzip
import json
import random
import zlib
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

DEPTHS = (30, 400, 990, 1_500, 5_000, 9_000, 10_000, 12_000)
"""Levels of JSON. Python's decoder ends near 1,000; API server 1.34 takes 10,000."""

PLANES = tuple(range(17))
"""Unicode's planes; noncharacters and private characters are in the last ones."""

CONTROLS = "".join(map(chr, (*range(1, 32), 127, *range(128, 160), 0x2028, 0x2029, 0x202E, 0xFEFF)))
"""Control characters without NUL, line separators, a change of direction and a byte order mark."""

OBJECT_BYTES = 1_450_000
"""A large object that etcd takes still: its limit is 1.5 MiB for one request."""


def nested(depth: int, style: str) -> str:
    """JSON of this many levels: `list`, `map` or `both`."""
    opening, closing = {"list": ("[", "]"), "map": ('{"a":', "}"), "both": ('[{"a":', "}]")}[style]
    times = depth // 2 if style == "both" else depth
    return opening * times + "1" + closing * times


STYLES = ("list", "map", "both")


class Raw:
    """Text that stands for itself in `document`, such as JSON that is too deep for Python's encoder."""

    def __init__(self, text: str) -> None:
        self.text = text


def document(value: Any) -> bytes:
    """JSON of a value that may contain Raw."""
    raw: list[str] = []

    def place(one: Any) -> str:
        raw.append(one.text)
        return f"@@{len(raw) - 1}@@"

    text = json.dumps(value, default=place)
    for number, one in enumerate(raw):
        text = text.replace(f'"@@{number}@@"', one)
    return text.encode("utf-8", "surrogatepass")


def plane_text(chance: random.Random, length: int) -> str:
    """Text with characters of every plane, in which surrogates alone are left out."""
    found: list[str] = []
    for number in range(length):
        point = PLANES[number % len(PLANES)] * 0x10000 + chance.randrange(0x10000)
        found.append(chr(point) if not 0xD800 <= point < 0xE000 and point else "\ufffe")
    return "".join(found)


def odd_text(chance: random.Random, length: int) -> str:
    """Text of one kind that is hard for somebody: planes, control characters, newlines, emoji, macros, markup, blanks."""
    kind = chance.randrange(8)
    if kind == 0:
        return plane_text(chance, length)
    unit = (
        CONTROLS,
        "line\n\r\n\tlevel=error msg=forged\n",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "[[{{[[",
        "../%2e%2e/\\..\\%00",
        "e\u0301\u0323" * 5,
        " ",
    )[kind - 1]
    return (unit * (length // len(unit) + 1))[:length]


def near_names(chance: random.Random, count: int, length: int) -> list[str]:
    """Names that are alike but for a few characters: the worst case of a search for the nearest one."""
    found: set[str] = set()
    while len(found) < count:
        letters = list("ab" * (length // 2))
        for _ in range(8):
            letters[chance.randrange(len(letters))] = chance.choice("abc")
        found.add("".join(letters))
    return sorted(found)


UNPACKED = 64 * 2**20
"""Bytes that a bomb unpacks to: 20 million objects of two bytes each take more than a GiB in Python."""

BOMBS: Mapping[str, Callable[[], bytes]] = {
    "zeros": lambda: b"0" * UNPACKED,
    "blanks": lambda: b" " * UNPACKED + b"{}",
    "objects": lambda: b"[" + b"{}," * (UNPACKED // 3) + b"{}]",
    "nodes": lambda: b'{"a":{"children":[' + b'"",' * (UNPACKED // 3) + b'""]}}',
    "keys": lambda: b"{" + b",".join(b'"%d":{}' % number for number in range(300_000)) + b"}",
    "deep": lambda: b"[" * 2**20 + b"]" * 2**20,
    "deep map": lambda: b'{"a":' * 9_000 + b"1" + b"}" * 9_000,
    "digits": lambda: b"1" * 2**22,
    "text": lambda: b'"' + b"x" * UNPACKED + b'"',
    "no json": lambda: b"\xff\xfe" * 1000,
    "empty": lambda: b"",
}
"""What is packed, by name."""


def bomb(data: bytes) -> bytes:
    """Data that compresses well, as gzip."""
    return gzip.compress(data, 6, mtime=0)


@cache
def packed(kind: str) -> str:
    """A value of `compressedNodes` or of a snapshot: base64 of gzip, or of what only begins like it."""
    if kind in BOMBS:
        return base64.b64encode(bomb(BOMBS[kind]())).decode()
    if kind == "twice":
        return base64.b64encode(bomb(bomb(b" " * UNPACKED))).decode()
    if kind == "cut":
        return base64.b64encode(bomb(b"{}" * 100_000)[:-20]).decode()
    if kind == "many members":
        return base64.b64encode(bomb(b"") * 30_000).decode()
    if kind == "zlib":
        return base64.b64encode(zlib.compress(b"{}")).decode()
    return "not base64: \n=" + kind


PACKED = (*BOMBS, "twice", "cut", "many members", "zlib", "other")


def odd_values() -> Mapping[str, Any]:
    """Values of a wrong type or range, by name, for a field that a controller reads."""
    return {
        "null": None,
        "true": True,
        "zero": 0,
        "huge number": Raw("1" + "0" * 300),
        "huge integer": Raw("9" * 18),
        "fraction": Raw("-1e-300"),
        "empty": "",
        "text": "x" * 70_000,
        "newlines": "\n" * 2_000,
        "list": [],
        "list of lists": [[[]]],
        "list of nulls": [None] * 100,
        "map": {},
        "map of odd keys": {"": "", "\u0000": 1, "a/b": [], "..": None},
        "early": "0000-00-00T00:00:00Z",
        "late": "9999-12-31T23:59:60Z",
        "no time": "2026-11-29T99:99:99+99:99",
        "slashes": "../../..",
        "division": "999999999999999999999/0",
    }


def yaml_texts(chance: random.Random) -> Mapping[str, str]:
    """Manifests of up to a million characters that are slow, large or odd to parse."""
    size = 120_000
    spec = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {}\nspec:\n  entrypoint: main\n  templates:\n"
    layers = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 30))
    return {
        "laughs": f"l0: &l0 ha\n{layers}",
        "flow lists": "[" * (size // 2),
        "flow maps": "{a: " * (size // 4),
        "block lists": "- " * (size // 2),
        "block maps": "".join(" " * n + "a:\n" for n in range(1_200)),
        "deep json": '{"spec":' * 20_000 + "1" + "}" * 20_000,
        "documents": "---\n" * (size // 4),
        "comments": "#\n" * (size // 2),
        "anchors": "".join(f"- &a{n} x\n" for n in range(size // 16)),
        "merge": "a: &a {x: 1}\n" + "b: {<<: [" + "*a, " * (size // 5) + "]}\n",
        "recursive": "&a [*a, *a]",
        "tag": "!!python/object/apply:os.system ['true']\n",
        "binary": "!!binary |\n  " + "A" * size,
        "quotes": '"' + "\\x41" * (size // 4) + '"',
        "digits": "a: " + "9" * size,
        "sexagesimal": "a: " + "1:" * 3_000 + "1",
        "items": "- a\n" * (size // 4),
        "keys": "".join(f"{n}: 1\n" for n in range(size // 9)),
        "templates": spec + "".join(f"  - {{name: t{n}, suspend: {{}}}}\n" for n in range(size // 33)),
        "macros": spec
        + "  - {name: main, suspend: {}}\n  arguments: {parameters: [{name: a, value: '"
        + "[[" * 32_000
        + "'}]}",
        "controls": json.dumps({"kind": "Workflow", "metadata": {"name": CONTROLS}, "spec": odd_text(chance, 5_000)}),
        "bytes": "\u0085\u2028\ufeff" * 1000,
    }
