"""Bytes that a hostile client sends to the run service and to the probes, at its own pace. Pure and seeded.

HTTP/2 is written frame by frame, since no client library sends what is half, wrong or too much.
"""

from __future__ import annotations

import json
import random
import struct
import urllib.parse
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from tests.e2e.hostile_values import CONTROLS, bomb, nested, odd_text, plane_text
from tests.e2e.manifests import instant, workflow

Target = Literal["http", "grpc", "probe", "operator"]
"""REST and gRPC of the run service, its probes, and the operator's probes."""

TARGETS: tuple[Target, ...] = ("http", "grpc", "probe", "operator")
API = "/apis/v1beta1"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
LIST_RUNS = "/api.RunService/ListRuns"
EXPANDED = 128 * 2**20
"""Bytes that a compressed body expands to."""

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
END_STREAM, END_HEADERS = 0x1, 0x4
DATA, HEADERS, RESET, SETTINGS, PING, WINDOW, CONTINUATION = 0x0, 0x1, 0x3, 0x4, 0x6, 0x8, 0x9


@dataclass(frozen=True)
class Script:
    """What each of `connections` sends: bytes, each after a pause in seconds; then it waits `hold` seconds for the end."""

    trick: str
    variant: str
    target: Target
    steps: tuple[tuple[float, bytes], ...]
    hold: float = 2.0
    connections: int = 1


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """An HTTP/2 frame (RFC 9113, 4.1)."""
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def header_block(fields: list[tuple[str, str]]) -> bytes:
    """Fields as HPACK literals without an index (RFC 7541, 6.2.2)."""
    return b"".join(b"\x00" + string(name) + string(value) for name, value in fields)


def string(text: str) -> bytes:
    """A string of HPACK: its length as an integer with a prefix of 7 bits, and its bytes."""
    data = text.encode()
    length = len(data)
    if length < 127:
        return bytes((length,)) + data
    found, rest = bytearray((127,)), length - 127
    while rest >= 128:
        found.append(rest % 128 + 128)
        rest //= 128
    found.append(rest)
    return bytes(found) + data


def call_fields(path: str, token: str, *more: tuple[str, str]) -> list[tuple[str, str]]:
    """The fields of a gRPC call."""
    fields = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "x"), ("te", "trailers")]
    fields += [("content-type", "application/grpc"), *more]
    return [*fields, ("authorization", f"Bearer {token}")] if token else fields


def message(data: bytes, claimed: int | None = None) -> bytes:
    """A message of gRPC with its prefix, which may claim another length."""
    return b"\x00" + struct.pack(">I", len(data) if claimed is None else claimed) + data


def data_frames(stream: int, data: bytes, end: bool = True) -> bytes:
    """The data in frames of the usual size."""
    parts = [data[at : at + 16_384] for at in range(0, len(data), 16_384)] or [b""]
    return b"".join(
        frame(DATA, END_STREAM if end and number == len(parts) - 1 else 0, stream, part)
        for number, part in enumerate(parts)
    )


def http(verb: str, path: str, body: bytes = b"", token: str = "", length: int | None = None, **headers: str) -> bytes:
    """A request of HTTP/1.1, whose Content-Length may be wrong."""
    fields = {"Host": "x", **{name.replace("_", "-"): value for name, value in headers.items()}}
    if token:
        fields["Authorization"] = f"Bearer {token}"
    if body or length is not None:
        fields["Content-Length"] = str(len(body) if length is None else length)
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{verb} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body


@cache
def expanding_json(coding: str) -> bytes:
    """Compressed JSON that expands to EXPANDED bytes."""
    plain = b'{"name":"' + b"x" * EXPANDED + b'"}'
    return bomb(plain) if coding == "gzip" else zlib.compress(plain, 6)


class Requests:
    """Generates scripts; each trick is a method that yields some."""

    def __init__(self, seed: int, token: str, namespace: str, experiment: str) -> None:
        """`token` is the attacker's, with rights in `namespace`, where the id of an experiment is `experiment`."""
        self._chance = random.Random(seed)
        self._token, self._namespace, self._experiment = token, namespace, experiment

    def tricks(self) -> dict[str, Callable[[], Iterator[Script]]]:
        """Every trick by name."""
        return {
            name.removeprefix("do_"): getattr(self, name) for name in sorted(vars(Requests)) if name.startswith("do_")
        }

    def generate(self) -> list[Script]:
        """All scripts, in an order that the seed decides."""
        found = [script for trick in self.tricks().values() for script in trick()]
        self._chance.shuffle(found)
        return found

    def _tokens(self) -> tuple[tuple[str, str], ...]:
        return (("no token", ""), ("bad token", "x" * 6_000), ("token", self._token))

    # -------------------------------------------------------------------------------------------------- HTTP/1.1
    def do_half_requests(self) -> Iterator[Script]:
        """Heads and bodies that are never complete."""
        for target in TARGETS:
            yield Script(
                "half requests", f"half a head at {target}", target, ((0, b"GET /healthz HTTP/1.1\r\nHost: "),), 25, 60
            )
            yield Script("half requests", f"nothing at {target}", target, ((0, b""),), 25, 150)
        for name, token in self._tokens():
            half = http("POST", f"{API}/runs", b'{"name": "', token, 9_000_000)
            yield Script("half requests", f"half a body, {name}", "http", ((0, half),), 25, 40)

    def do_slow_requests(self) -> Iterator[Script]:
        """One byte at a time, or a large body in small pieces."""
        head = b"GET /readyz HTTP/1.1\r\nHost: x\r\nX-Slow: "
        for target in ("http", "probe", "operator"):
            steps = ((0.0, head), *((0.5, b"x") for _ in range(40)))
            yield Script("slow requests", f"a head at {target}", target, steps, 2, 30)
        for name, token in self._tokens():
            first = http("POST", f"{API}/runs", b"{", token, 10_000_000)
            steps = ((0.0, first), *((0.4, b"x" * 240_000) for _ in range(40)))
            yield Script("slow requests", f"a body, {name}", "http", steps, 2, 12)

    def do_large_bodies(self) -> Iterator[Script]:
        for name, token in self._tokens():
            for variant, body in (
                ("text", json.dumps({"name": "x" * 9_900_000}).encode()),
                ("list", nested(4_000_000, "list").encode()),
                ("numbers", b'{"resource_references":[' + b"{}," * 3_000_000 + b"{}]}"),
                ("keys", b"{" + b",".join(b'"%d":0' % n for n in range(700_000)) + b"}"),
                ("too large", b" " * 10_600_000),
            ):
                yield Script(
                    "large bodies",
                    f"{variant}, {name}",
                    "http",
                    ((0, http("POST", f"{API}/runs", body, token)),),
                    20,
                    2,
                )

    def do_compressed_bodies(self) -> Iterator[Script]:
        bodies = {
            "gzip": expanding_json("gzip"),
            "deflate": expanding_json("deflate"),
            "br": b"\x1b" * 1000,
            "gzip, gzip": b"x",
        }
        for name, token in self._tokens():
            for coding, body in bodies.items():
                request = http("POST", f"{API}/runs", body, token, Content_Encoding=coding)
                yield Script("compressed bodies", f"{coding}, {name}", "http", ((0, request),), 15, 4)

    def do_chunks(self) -> Iterator[Script]:
        start = http("POST", f"{API}/runs", b"", self._token, Transfer_Encoding="chunked")
        yield Script("chunks", "tiny ones", "http", ((0, start + b"1\r\nx\r\n" * 200_000),), 5, 3)
        yield Script("chunks", "a huge one", "http", ((0, start + b"FFFFFFFFFFFFFFFF\r\nx"),), 5)
        yield Script("chunks", "a long extension", "http", ((0, start + b"1;" + b"x" * 200_000 + b"\r\nx\r\n"),), 5)
        yield Script(
            "chunks",
            "and a length",
            "http",
            ((0, http("POST", API, b"0\r\n\r\nGET / HTTP/1.1\r\n\r\n", self._token, Transfer_Encoding="chunked")),),
            5,
        )

    def do_heads(self) -> Iterator[Script]:
        """Request lines and fields that are long, many or no HTTP."""
        many = "".join(f"X-{n}: {'v' * 50}\r\n" for n in range(20_000))
        texts = {
            "long path": http("GET", f"{API}/runs/" + "x" * 200_000),
            "long query": http("GET", f"{API}/runs?page_token=" + "x" * 7_000, token=self._token),
            "long field": http("GET", f"{API}/runs", X="x" * 200_000),
            "many fields": f"GET {API}/runs HTTP/1.1\r\nHost: x\r\n{many}\r\n".encode(),
            "many pairs": http("GET", f"{API}/runs?" + "&".join(["a=b"] * 1_900), token=self._token),
            "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 600,
            "http2": PREFACE + frame(SETTINGS, 0, 0) * 100,
            "zeros": b"\x00" * 100_000,
            "line ends": b"\r\n" * 100_000,
            "many requests": http("GET", f"{API}/runs", token="x") * 500,
            "upgrade": http(
                "GET",
                f"{API}/runs",
                Connection="Upgrade",
                Upgrade="websocket",
                Sec_WebSocket_Key="AAAAAAAAAAAAAAAAAAAAAA==",
                Sec_WebSocket_Version="13",
            ),
            "expect": http("POST", f"{API}/runs", b"", "", 9_000_000, Expect="100-continue"),
            "impersonation": http("GET", f"{API}/runs", token=self._token, Impersonate_User="system:admin"),
            "controls": f"GET {API}/runs HTTP/1.1\r\nHost: x\r\nX: {CONTROLS}\r\n\r\n".encode(),
        }
        for variant, data in texts.items():
            targets: tuple[Target, ...] = (
                ("http", "operator") if variant in ("many fields", "tls", "zeros") else ("http",)
            )
            for target in targets:
                yield Script("heads", f"{variant} at {target}", target, ((0, data),), 5, 5)

    def do_connections(self) -> Iterator[Script]:
        """Thousands of connections, some of them with a request each."""
        for target, number in zip(TARGETS, (1_200, 600, 400, 400), strict=True):
            yield Script("connections", f"at {target}", target, ((0, b""),), 6, number)
        yield Script("connections", "with a request", "http", ((0, http("GET", f"{API}/runs")),), 6, 300)

    # ------------------------------------------------------------------------------------------- calls of the API
    def _call(self, trick: str, variant: str, verb: str, path: str, body: Any = None, **query: str) -> Script:
        asked = f"?{urllib.parse.urlencode(query, errors='replace')}" if query else ""
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        return Script(trick, variant, "http", ((0, http(verb, API + path + asked, data, self._token)),), 10)

    def _list(self, variant: str, **query: str) -> Script:
        where = {"resource_reference_key.type": "NAMESPACE", "resource_reference_key.id": self._namespace}
        return self._call("lists", variant, "GET", "/runs", **{**where, **query})

    def do_lists(self) -> Iterator[Script]:
        for value in ("x" * 6_000, "\n", "\U0001f4a3" * 500, "../..", CONTROLS, "e30=", "-1", ""):
            yield self._list(f"page_token {value[:5]!r}", page_token=value)
            yield self._list(f"sort_by {value[:5]!r}", sort_by=f"metric:{value}")
            yield self._list(f"namespace {value[:5]!r}", **{"resource_reference_key.id": value})
        for size in ("-1", "0", "200", "2147483647", "99999999999999999999", "1e9", "x"):
            yield self._list(f"page_size {size}", page_size=size)
        for number in range(10):
            predicates = [{"op": "IS_SUBSTRING", "key": "name", "string_value": "ab" * 30} for _ in range(60)]
            yield self._list(f"predicates {number}", filter=json.dumps({"predicates": predicates}))
        for text in (
            nested(3_000, "list"),
            "[" * 7_000,
            '{"predicates":' * 900,
            json.dumps({"predicates": [{"op": 99, "key": "\U0001f4a3" * 300}]}),
        ):
            yield self._list(f"filter {text[:9]}", filter=text)

    def do_runs(self) -> Iterator[Script]:
        for identity in ("..", "%2e%2e", "a%2fb", "%00", "%0a", "x" * 7_000, "%f0%9f%92%a3" * 500, "%ff%fe"):
            for verb, rest in (("GET", ""), ("DELETE", ""), ("POST", ":archive"), ("POST", "/terminate")):
                yield self._call("runs", f"{verb} {identity[:9]}{rest}", verb, f"/runs/{identity}{rest}")
            yield self._call(
                "runs",
                f"artifact {identity[:9]}",
                "GET",
                f"/runs/{identity}/nodes/{identity}/artifacts/{identity}:read",
            )
        metrics = [
            {"name": odd_text(self._chance, 60), "node_id": "x" * 250, "number_value": 1e308} for _ in range(5_000)
        ]
        yield self._call("runs", "metrics", "POST", "/runs/x:reportMetrics", {"metrics": metrics})

    def do_creates(self) -> Iterator[Script]:
        """CreateRun with manifests, names and references as hard as those of objects."""
        good = json.dumps(workflow(instant()))
        owner = [{"key": {"type": "EXPERIMENT", "id": self._experiment}, "relationship": "OWNER"}]
        manifests = {
            "deep": '{"spec":' * 9_000 + "1" + "}" * 9_000,
            "deeper": nested(400_000, "both"),
            "laughs": "a: &a [x]\n"
            + "".join(f"b{n}: &b{n} [*{'a' if not n else f'b{n - 1}'}]\n" for n in range(3_000)),
            "large": json.dumps(workflow(instant(x="y" * 990_000))),
            "wide": json.dumps(workflow(instant(x=[{}] * 240_000))),
            "no yaml": CONTROLS * 1_000,
            "no map": "[" + good + "]",
        }
        for variant, manifest in manifests.items():
            body = {"name": variant, "pipeline_spec": {"workflow_manifest": manifest}, "resource_references": owner}
            yield self._call("creates", variant, "POST", "/runs", body)
        for other in ("default", "kube-system", "a/b", "..", "\n", "x" * 5_000):
            references = [
                *owner,
                {"key": {"type": "NAMESPACE", "id": other}, "relationship": "OWNER"},
                {"key": {"type": "EXPERIMENT", "id": other}, "relationship": "OWNER"},
            ]
            body = {"name": other, "pipeline_spec": {"workflow_manifest": good}, "resource_references": references}
            yield self._call("creates", f"references {other[:9]!r}", "POST", "/runs", body)
            yield self._call(
                "creates",
                f"experiment {other[:9]!r}",
                "POST",
                "/experiments",
                {
                    "name": plane_text(self._chance, 200),
                    "description": odd_text(self._chance, 4_000),
                    "resource_references": references[1:2],
                },
            )
        for variant, text in (
            ("deep", nested(9_000, "map")),
            ("unfinished", '{"a":' * 3_000),
            ("surrogate", '{"name":"\\ud800"}'),
            ("no utf-8", ""),
        ):
            yield self._call("creates", f"body {variant}", "POST", "/runs", text.encode() or b"\xff\xfe{}")

    # ------------------------------------------------------------------------------------------------------ gRPC
    def do_grpc(self) -> Iterator[Script]:
        start = PREFACE + frame(SETTINGS, 0, 0)

        def opened(stream: int, path: str, token: str = "", *more: tuple[str, str]) -> bytes:
            return frame(HEADERS, END_HEADERS, stream, header_block(call_fields(path, token, *more)))

        expanding = expanding_json("gzip")
        for name, token in self._tokens():
            idle = b"".join(opened(2 * n + 1, REFLECTION, token) for n in range(100))
            yield Script("grpc", f"idle reflection, {name}", "grpc", ((0, start + idle),), 25, 4)
            unfinished = b"".join(
                opened(2 * n + 1, LIST_RUNS, token) + frame(DATA, 0, 2 * n + 1, message(b"", 5)) for n in range(100)
            )
            yield Script("grpc", f"unfinished calls, {name}", "grpc", ((0, start + unfinished),), 25, 4)
            large = opened(1, "/api.RunService/CreateRun", token) + data_frames(1, message(b"\x0a" * 9_900_000))
            yield Script("grpc", f"a large message, {name}", "grpc", ((0, start + large),), 15, 6)
            claimed = opened(1, LIST_RUNS, token) + data_frames(1, message(b"x", 2**32 - 1), False)
            yield Script("grpc", f"a claim of 4 GiB, {name}", "grpc", ((0, start + claimed),), 5, 5)
            packed = opened(1, "/api.RunService/CreateRun", token, ("grpc-encoding", "gzip"))
            packed += data_frames(1, b"\x01" + message(expanding)[1:])
            yield Script("grpc", f"a compressed message, {name}", "grpc", ((0, start + packed),), 15, 4)
        resets = b"".join(
            opened(2 * n + 1, LIST_RUNS) + frame(RESET, 0, 2 * n + 1, struct.pack(">I", 8)) for n in range(8_000)
        )
        fields = header_block([(f"x-{n}", "v" * 4_000) for n in range(60)])
        calls = header_block(call_fields(LIST_RUNS, ""))
        endless = frame(HEADERS, 0, 1, calls) + b"".join(
            frame(CONTINUATION, 0, 1, fields[:16_000]) for _ in range(1_000)
        )
        for variant, data in (
            ("rapid reset", resets),
            ("endless headers", endless),
            ("large headers", frame(HEADERS, 0, 1, calls) + frame(CONTINUATION, END_HEADERS, 1, fields[:16_000])),
            ("settings", frame(SETTINGS, 0, 0) * 20_000),
            ("pings", frame(PING, 0, 0, b"12345678") * 20_000),
            ("windows", frame(WINDOW, 0, 0, struct.pack(">I", 1)) * 20_000),
            ("no frames", b"\xff" * 100_000),
            ("a huge frame", b"\xff\xff\xff\x00\x00\x00\x00\x00\x01" + b"x" * 100_000),
        ):
            yield Script("grpc", variant, "grpc", ((0, start + data),), 5, 3)
        yield Script("grpc", "preface alone", "grpc", ((0, PREFACE),), 25, 100)
