"""REST: requests are decoded, replies and errors have the form of KFP's gateway."""

from __future__ import annotations

import asyncio
import base64
import json
import math
from contextlib import suppress
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from hypothesis import given
from hypothesis import strategies as st

from runwright.service import rest
from runwright.service.bindings import Binding, bindings, reply_class, request_class
from runwright.service.contract.run_pb2 import ReadArtifactResponse, Run, RunDetail
from runwright.service.errors import HTTP_STATUS, Code, ServiceError
from runwright.service.reply_json import message_json
from runwright.service.rest import decode_request
from tests.unit.service.gateway import TOKEN, Gateway, example_path, filled


@pytest.mark.parametrize("one", bindings(), ids=lambda one: one.method)
async def test_every_rpc_over_rest_reaches_its_method_with_its_request(gateway: Gateway, one: Binding):
    wanted = filled(one.descriptor.input_type)
    gateway.answer = ParseDict(filled(one.descriptor.output_type), reply_class(one.descriptor)())
    body, query = None, dict[str, str]()
    if one.body:
        body = wanted if one.body == "*" else wanted[one.body]
    else:
        for name, value in wanted.items():
            if isinstance(value, dict):
                query |= {f"{name}.{inner}": str(text) for inner, text in value.items()}
            elif name not in one.path_fields:
                query[name] = str(value)
    status, shown, _ = await gateway.send(one.verb, example_path(one), json=body, params=query)
    assert status == 200, shown
    shown = {name: value for name, value in shown.items() if name not in ("commit_sha", "tag_name")}
    assert shown == message_json(gateway.answer)
    ((method, request, call),) = gateway.calls
    assert (method, request) == (one.method, ParseDict(wanted, request_class(one.descriptor)()))
    assert call.caller.user == ("" if one.method == "HealthzService/GetHealthz" else "ann")


async def test_replies_have_zero_values(gateway: Gateway):
    gateway.answer = RunDetail(run=Run(id="x"))
    _, shown, _ = await gateway.send("GET", "/apis/v1beta1/runs/x")
    assert shown["run"]["storage_state"] == "STORAGESTATE_AVAILABLE"
    assert shown["run"]["status"] == "" and shown["run"]["metrics"] == []


async def test_requests_in_snake_or_camel_case_with_unknown_fields_are_decoded(gateway: Gateway):
    _, _, _ = await gateway.send(
        "POST",
        "/apis/v1beta1/runs",
        json={"name": "x", "pipelineSpec": {"workflowManifest": "m"}, "unknown": {"a": [1]}},
    )
    request: Any = gateway.calls[-1][1]
    assert (request.run.name, request.run.pipeline_spec.workflow_manifest) == ("x", "m")
    params = {"page_size": "5", "sort_by": "", "resource_reference_key.type": "1", "unknown": "x", "page_size.x": "1"}
    await gateway.send("GET", "/apis/v1beta1/runs", params=params | {"resourceReferenceKey.id": "e"})
    listing: Any = gateway.calls[-1][1]
    assert (listing.page_size, listing.resource_reference_key.type, listing.resource_reference_key.id) == (5, 1, "e")
    await gateway.send("GET", "/apis/v1beta1/runs/r/nodes/a%2Fb:c/artifacts/x%3A:read")
    artifact: Any = gateway.calls[-1][1]
    assert (artifact.run_id, artifact.node_id, artifact.artifact_name) == ("r", "a/b:c", "x:")
    await gateway.send("POST", "/apis/v1beta1/runs/r/terminate")
    assert gateway.calls[-1][0] == "RunService/TerminateRun"


@pytest.mark.parametrize(
    ("verb", "path", "options", "status", "code"),
    [
        ("GET", "/apis/v1beta1/runs?page_size=many", {}, 400, 3),
        ("GET", "/apis/v1beta1/runs?resource_reference_key.type=NONE", {}, 400, 3),
        ("GET", "/apis/v1beta1/runs/%ff", {}, 400, 3),
        ("POST", "/apis/v1beta1/runs", {"data": "{"}, 400, 3),
        ("POST", "/apis/v1beta1/runs", {"data": "[]"}, 400, 3),
        ("POST", "/apis/v1beta1/runs", {"data": "null"}, 400, 3),
        ("POST", "/apis/v1beta1/runs", {"data": b"\xff\xfe"}, 400, 3),
        ("POST", "/apis/v1beta1/runs", {"data": '{"a":' * 500}, 400, 3),
        ("POST", "/apis/v1beta1/runs", {"data": '{"resource_references": [null]}'}, 400, 3),
        ("POST", "/apis/v1beta1/runs", {"data": '{"name": 5}'}, 400, 3),
        ("POST", "/apis/v1beta1/runs", {"data": '{"name": "' + "x" * 200_000 + '"}'}, 429, 8),
        ("POST", "/apis/v1beta1/runs/x:reportMetrics", {"data": '{"metrics": [{"number_value": "x"}]}'}, 400, 3),
        ("GET", "/apis/v1beta1/nothing", {}, 404, 5),
        ("GET", "/", {}, 404, 5),
        ("PUT", "/apis/v1beta1/runs", {}, 405, 12),
        ("GET", "/apis/v1beta1/runs/x:archive", {}, 405, 12),
        ("GET", "/apis/v1beta1/runs", {"headers": {}}, 401, 16),
        ("GET", "/apis/v1beta1/runs", {"headers": TOKEN | {"Impersonate-User": "root"}}, 400, 3),
    ],
)
async def test_a_malformed_request_is_refused_before_its_method(
    gateway: Gateway, verb: str, path: str, options: dict[str, Any], status: int, code: int
):
    found, shown, headers = await gateway.send(verb, path, **options)
    assert (found, shown["code"]) == (status, code), shown
    assert shown["error"] == shown["message"] == shown["details"][0]["error_details"]
    assert shown["details"][0]["@type"] == "type.googleapis.com/api.Error"
    assert not gateway.calls
    if status == 405:
        assert headers["Allow"] == ("POST" if path.endswith(":archive") else "GET, POST")
    if status == 401:
        assert headers["WWW-Authenticate"] == "Bearer"


async def raw(gateway: Gateway, *pieces: bytes) -> tuple[bytes, bytes]:
    """The status line, and the rest until the end of the connection."""
    host, _, port = gateway.http.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for piece in pieces:
        writer.write(piece)
    async with asyncio.timeout(5):
        first, rest = await reader.readline(), await reader.read()
    writer.close()
    return first, rest


POST = b"POST /apis/v1beta1/runs HTTP/1.1\r\nHost: x\r\n"
ANN = b"Authorization: Bearer ann\r\n"


async def test_without_a_token_the_body_is_not_read_and_the_connection_ends(gateway: Gateway):
    status, rest = await raw(gateway, POST + b"Content-Length: 50000\r\nExpect: 100-continue\r\n\r\n", b"{")
    assert b" 401 " in status and b"Connection: close" in rest


async def test_a_body_is_asked_for_when_the_caller_is_known(gateway: Gateway):
    head = POST + ANN + b"Connection: close\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    status, rest = await raw(gateway, head, b"{}")
    assert b" 100 Continue" in status and b"HTTP/1.1 200 OK" in rest


@pytest.mark.parametrize(
    ("head", "body", "status", "words"),
    [
        (b"Content-Length: 5\r\nContent-Encoding: gzip", b"12345", b" 400 ", b"Send the body without compression"),
        (b"Content-Length: 100001", b"", b" 429 ", b"the limit of a request"),
        (b"Transfer-Encoding: chunked", b"186a1\r\n" + b" " * 100_001 + b"\r\n", b" 429 ", b"the limit of a request"),
        (b"Transfer-Encoding: chunked", b"zz\r\n", b" 400 ", b"chunk"),
        (b"Content-Length: 9", b"{", b" 504 ", b"expected 32768 bytes a second"),
        (b"Content-Length: 60000", b'{"a":[' + b"1," * 20_000, b" 504 ", b"expected 32768 bytes a second"),
    ],
)
async def test_a_body_that_cannot_be_read_ends_the_connection(
    gateway: Gateway, head: bytes, body: bytes, status: bytes, words: bytes, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(rest, "SLOW_SECONDS", 0.1)
    first, others = await raw(gateway, POST + ANN + head + b"\r\n\r\n", body)
    assert status in first and words in others.replace(b"0 s", b"5 s") and not gateway.calls
    assert not gateway.budget.calls.used


async def test_the_health_check_needs_no_token(gateway: Gateway):
    status, shown, _ = await gateway.send("GET", "/apis/v1beta1/healthz", headers={})
    assert status == 200 and set(shown) == {"multi_user", "commit_sha", "tag_name"}


@pytest.mark.parametrize("code", list(Code))
async def test_an_error_has_the_http_status_and_body_of_its_code(gateway: Gateway, code: Code):
    gateway.answer = ServiceError(code, "Get run failed.: no such thing")
    status, shown, _ = await gateway.send("GET", "/apis/v1beta1/runs/x")
    assert (status, shown["code"]) == (HTTP_STATUS[code], int(code))
    assert shown["details"][0]["error_message"] == "no such thing"


async def test_a_large_reply_is_sent_whole(gateway: Gateway):
    gateway.answer = ReadArtifactResponse(data=bytes(range(256)) * 40_000)
    _, shown, _ = await gateway.send("GET", "/apis/v1beta1/runs/r/nodes/n/artifacts/a:read")
    assert base64.b64decode(shown["data"]) == bytes(range(256)) * 40_000


async def large_reply(gateway: Gateway) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection on which a reply of 40 MB begins."""
    gateway.answer = ReadArtifactResponse(data=bytes(30_000_000))
    host, _, port = gateway.http.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=64 * 1024)
    path = "/apis/v1beta1/runs/r/nodes/n/artifacts/a:read"
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ann\r\n\r\n".encode())
    assert (await reader.readline()).split()[1] == b"200"
    return reader, writer


async def test_a_client_that_reads_a_large_reply_slowly_is_cut_off(gateway: Gateway, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rest, "WRITE_SECONDS", 0.1)
    monkeypatch.setattr(rest, "WRITE_BYTES", 1 << 40)
    reader, writer = await large_reply(gateway)
    while gateway.budget.calls.used:  # noqa: ASYNC110 - the end of a call is no event
        await asyncio.sleep(0.01)
    assert gateway.budget.replies.used == 0
    got = 0
    with suppress(ConnectionError):
        while piece := await reader.read(1 << 20):
            got += len(piece)
    assert got < 40_000_000
    writer.close()


async def test_a_client_that_leaves_during_a_large_reply_leaves_nothing_behind(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
):
    _, writer = await large_reply(gateway)
    assert gateway.budget.calls.used == 1
    writer.transport.abort()
    async with asyncio.timeout(5):
        while gateway.budget.calls.used:  # noqa: ASYNC110 - the end of a call is no event
            await asyncio.sleep(0.01)
    assert gateway.budget.replies.used == 0
    assert (await gateway.send("GET", "/apis/v1beta1/healthz"))[0] == 200
    assert [one for one in caplog.records if one.levelname == "ERROR"] == []


async def test_other_calls_are_answered_while_a_large_reply_is_sent(gateway: Gateway):
    _, writer = await large_reply(gateway)
    for _ in range(3):
        gateway.answer = None
        assert (await gateway.send("GET", "/apis/v1beta1/runs/r"))[0] == 200
    writer.transport.abort()


texts = st.text(max_size=8)
runs = st.builds(
    Run,
    id=texts,
    name=texts,
    storage_state=st.sampled_from([0, 1]),
    metrics=st.lists(st.fixed_dictionaries({"name": texts, "number_value": st.floats(allow_nan=False)}), max_size=3),
)


@given(runs)
def test_an_encoded_message_decodes_to_the_same(run: Run):
    again = ParseDict(json.loads(json.dumps(message_json(run))), Run())
    assert again.name == run.name and len(again.metrics) == len(run.metrics)
    for one, other in zip(again.metrics, run.metrics, strict=True):
        assert one.number_value == other.number_value or math.isinf(other.number_value)


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode), st.lists(st.tuples(texts, texts), max_size=3))
def test_any_body_and_query_is_decoded_or_an_invalid_argument(body: bytes, query: list[tuple[str, str]]):
    for one in bindings():
        path = one.template.replace("{run_id}", "r").replace("{id}", "r")
        path = path.replace("{node_id}", "n").replace("{artifact_name}", "a")
        names = [(f"{name}.{field}", value) for name, value in query for field in ("id", "type", "x")]
        try:
            decode_request(one, path, [*query, *names, ("page_size", "1")], body)
        except ServiceError as error:
            assert error.code == Code.INVALID_ARGUMENT
