"""REST and gRPC on loopback: every RPC comes through, and every failure has the form that clients know."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from runwright.kube.errors import ApiError
from runwright.service.bindings import Binding, bindings, is_repeated, reply_class, request_class
from runwright.service.calls import Call
from runwright.service.contract.error_pb2 import Error
from runwright.service.contract.run_pb2 import GetRunRequest, ListRunsRequest, ReadArtifactResponse, Run, RunDetail
from runwright.service.dispatch import Dispatch, Limits
from runwright.service.errors import HTTP_STATUS, Code, ServiceError
from runwright.service.measures import ServiceMeasures
from runwright.service.openapi import documented_path, openapi_document
from runwright.service.rest import decode_request, message_json, rest_application
from runwright.service.rpc import make_grpc_server
from tests.unit.service.bench import Rights

TOKEN = {"Authorization": "Bearer ann"}


@dataclass
class Gateway:
    """Both doors, over methods that answer what the test says."""

    answer: Message | Exception | None = None
    seconds: float = 0.0
    calls: list[tuple[str, Message, Call]] = field(default_factory=list[tuple[str, Message, Call]])
    http: str = ""
    grpc: str = ""
    measures: ServiceMeasures = field(default_factory=ServiceMeasures)

    def method(self, one: Binding) -> Any:
        async def answer(request: Message, call: Call) -> Message:
            self.calls.append((one.method, request, call))
            await asyncio.sleep(self.seconds)
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer or reply_class(one.descriptor)()

        return answer

    async def send(self, verb: str, path: str, **options: Any) -> tuple[int, Any, Any]:
        options.setdefault("headers", TOKEN)
        async with ClientSession() as session, session.request(verb, self.http + path, **options) as reply:
            return reply.status, await reply.json(), reply.headers


LIMITS = Limits(request_bytes=100_000, seconds=0.5, at_a_time=4)


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    it = Gateway()
    dispatch = Dispatch({one.method: it.method(one) for one in bindings()}, Rights(), LIMITS, it.measures)
    rpc = make_grpc_server(dispatch, LIMITS)
    it.grpc = f"127.0.0.1:{rpc.add_insecure_port('127.0.0.1:0')}"
    await rpc.start()
    async with TestServer(rest_application(dispatch, LIMITS)) as rest:
        it.http = str(rest.make_url("")).rstrip("/")
        yield it
    await rpc.stop(None)


def filled(descriptor: Any, deep: bool = True) -> dict[str, Any]:
    """Something in every field."""
    found: dict[str, Any] = {}
    for one in descriptor.fields:
        if one.message_type is not None and not deep:
            continue
        if one.message_type is not None and one.message_type.full_name == "google.protobuf.Timestamp":
            value: Any = "2026-11-26T10:00:00Z"
        elif one.message_type is not None:
            value = filled(one.message_type)
        elif one.enum_type is not None:
            value = one.enum_type.values[1].name
        else:
            value = {
                FieldDescriptor.TYPE_STRING: f"a {one.name}",
                FieldDescriptor.TYPE_BYTES: base64.b64encode(b"\0\xff").decode(),
                FieldDescriptor.TYPE_BOOL: True,
                FieldDescriptor.TYPE_DOUBLE: 0.25,
            }.get(one.type, 7)
        found[one.name] = [value] if is_repeated(one) else value
    return found


@pytest.mark.parametrize("one", bindings(), ids=lambda one: one.method)
async def test_every_rpc_both_ways(gateway: Gateway, one: Binding):
    """Over REST, request and reply are what they are over gRPC."""
    wanted = filled(one.descriptor.input_type)
    request = ParseDict(wanted, request_class(one.descriptor)())
    gateway.answer = ParseDict(filled(one.descriptor.output_type), reply_class(one.descriptor)())
    path, query = one.template, dict[str, str]()
    for name in one.path_fields:
        path = path.replace(f"{{{name}}}", f"a%20{name}")
    body = None
    if one.body:
        body = wanted if one.body == "*" else wanted[one.body]
    else:
        for name, value in wanted.items():
            if isinstance(value, dict):
                query |= {f"{name}.{inner}": str(text) for inner, text in value.items()}
            elif name not in one.path_fields:
                query[name] = str(value)
    status, shown, _ = await gateway.send(one.verb, path, json=body, params=query)
    assert status == 200, shown
    shown = {name: value for name, value in shown.items() if name not in ("commit_sha", "tag_name")}
    assert shown == message_json(gateway.answer)
    async with grpc.aio.insecure_channel(gateway.grpc) as channel:
        service, name = one.method.split("/")
        call = channel.unary_unary(
            f"/api.{service}/{name}",
            request_serializer=request_class(one.descriptor).SerializeToString,
            response_deserializer=reply_class(one.descriptor).FromString,
        )
        assert (
            await call(request, metadata=(("authorization", "Bearer ann"), ("idempotency-key", "k"))) == gateway.answer
        )
    (over_rest, over_grpc) = gateway.calls
    assert over_rest[:2] == over_grpc[:2] == (one.method, request)
    if one.method != "HealthzService/GetHealthz":
        assert over_grpc[2].idempotency_key == "k" and over_rest[2].caller.user == "ann"


async def test_zero_values_and_times_are_shown(gateway: Gateway):
    gateway.answer = RunDetail(run=Run(id="x"))
    _, shown, _ = await gateway.send("GET", "/apis/v1beta1/runs/x")
    assert shown["run"]["storage_state"] == "STORAGESTATE_AVAILABLE"
    assert shown["run"]["status"] == "" and shown["run"]["metrics"] == []


async def test_what_clients_write_is_read(gateway: Gateway):
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
async def test_requests_that_fail_before_a_method(
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


async def test_the_health_check_is_open_to_all(gateway: Gateway):
    status, shown, _ = await gateway.send("GET", "/apis/v1beta1/healthz", headers={})
    assert status == 200 and set(shown) == {"multi_user", "commit_sha", "tag_name"}


async def over_grpc(gateway: Gateway) -> grpc.aio.AioRpcError:
    async with grpc.aio.insecure_channel(gateway.grpc) as channel:
        call = channel.unary_unary(
            "/api.RunService/GetRun",
            request_serializer=GetRunRequest.SerializeToString,
            response_deserializer=RunDetail.FromString,
        )
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(GetRunRequest(run_id="x"), metadata=(("authorization", "Bearer ann"),))
        return caught.value


@pytest.mark.parametrize("code", list(Code))
async def test_each_code_both_ways(gateway: Gateway, code: Code):
    gateway.answer = ServiceError(code, "Get run failed.: no such thing")
    status, shown, _ = await gateway.send("GET", "/apis/v1beta1/runs/x")
    assert (status, shown["code"]) == (HTTP_STATUS[code], int(code))
    assert shown["details"][0]["error_message"] == "no such thing"
    error = await over_grpc(gateway)
    assert error.code().value[0] == int(code)
    held: Any = dict(error.trailing_metadata() or ())
    details = Status.FromString(held["grpc-status-details-bin"])
    told = Error()
    assert details.code == int(code) and details.details[0].Unpack(told)
    assert told.error_details == "Get run failed.: no such thing"


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (ApiError(0, "Unreachable", "secret-host:6443"), Code.UNAVAILABLE),
        (ApiError(500, "InternalError", "secret-host"), Code.UNAVAILABLE),
        (ApiError(429, "TooManyRequests", "secret-host"), Code.UNAVAILABLE),
        (ApiError(409, "Conflict", "secret-host"), Code.ABORTED),
        (ApiError(403, "Forbidden", "secret-host"), Code.INTERNAL),
        (ZeroDivisionError("secret-host"), Code.INTERNAL),
    ],
)
async def test_what_goes_wrong_inside_is_logged_and_not_told(
    gateway: Gateway, failure: Exception, code: Code, caplog: pytest.LogCaptureFixture
):
    gateway.answer = failure
    with caplog.at_level(logging.INFO):
        status, shown, _ = await gateway.send("GET", "/apis/v1beta1/runs/x")
    assert (status, shown["code"]) == (HTTP_STATUS[code], int(code))
    assert "secret-host" not in json.dumps(shown)
    if code == Code.INTERNAL:
        id = shown["message"].partition("id ")[2][:8]
        assert any(id in record.message and "secret-host" in record.message for record in caplog.records)


async def test_a_call_has_its_time_and_its_turn(gateway: Gateway):
    gateway.seconds = 0.2
    replies = await asyncio.gather(*(gateway.send("GET", "/apis/v1beta1/runs/x") for _ in range(6)))
    assert sorted(status for status, *_ in replies) == [200] * 4 + [429] * 2
    gateway.seconds = 5
    status, shown, _ = await gateway.send("GET", "/apis/v1beta1/runs/x")
    assert (status, shown["code"]) == (504, 4)
    series = gateway.measures.registry.get_sample_value
    for code, number in (("OK", 4), ("RESOURCE_EXHAUSTED", 2), ("DEADLINE_EXCEEDED", 1)):
        labels = {"method": "RunService/GetRun", "code": code}
        assert series("runwright_serve_call_duration_seconds_count", labels) == number


async def test_large_replies_come_whole(gateway: Gateway):
    gateway.answer = ReadArtifactResponse(data=bytes(range(256)) * 40_000)
    _, shown, _ = await gateway.send("GET", "/apis/v1beta1/runs/r/nodes/n/artifacts/a:read")
    assert base64.b64decode(shown["data"]) == bytes(range(256)) * 40_000


async def test_reflection_tells_the_services(gateway: Gateway):
    from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

    def ask() -> tuple[Any, Any]:
        with grpc.insecure_channel(gateway.grpc) as channel:
            found = ProtoReflectionDescriptorDatabase(channel)
            return found.get_services(), found.FindFileContainingSymbol("api.RunService")

    names, file = await asyncio.to_thread(ask)
    assert {"api.RunService", "api.ExperimentService", "api.HealthzService"} <= set(names)
    assert len(file.service[0].method) == 10


# --------------------------------------------------------------------------------------------------------------- messages
texts = st.text(max_size=8)
runs = st.builds(
    Run,
    id=texts,
    name=texts,
    storage_state=st.sampled_from([0, 1]),
    metrics=st.lists(st.fixed_dictionaries({"name": texts, "number_value": st.floats(allow_nan=False)}), max_size=3),
)


@given(runs)
def test_what_goes_out_comes_in_again(run: Run):
    again = ParseDict(json.loads(json.dumps(message_json(run))), Run())
    assert again.name == run.name and len(again.metrics) == len(run.metrics)
    for one, other in zip(again.metrics, run.metrics, strict=True):
        assert one.number_value == other.number_value or math.isinf(other.number_value)


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode), st.lists(st.tuples(texts, texts), max_size=3))
def test_no_body_and_no_query_is_too_odd(body: bytes, query: list[tuple[str, str]]):
    for one in bindings():
        path = one.template.replace("{run_id}", "r").replace("{id}", "r")
        path = path.replace("{node_id}", "n").replace("{artifact_name}", "a")
        names = [(f"{name}.{field}", value) for name, value in query for field in ("id", "type", "x")]
        try:
            decode_request(one, path, [*query, *names, ("page_size", "1")], body)
        except ServiceError as error:
            assert error.code == Code.INVALID_ARGUMENT


# ---------------------------------------------------------------------------------------------------------------- OpenAPI
def test_the_document_describes_what_is_served():
    described = openapi_document()
    assert {(verb.upper(), path) for path, item in described["paths"].items() for verb in item} == {
        (one.verb, documented_path(one)) for one in bindings()
    }
    assert set(described["paths"]["/apis/v1beta1/runs/{run_id}"]) == {"get", "delete"}
    for reference in references(described):
        assert reference.removeprefix("#/components/schemas/") in described["components"]["schemas"]
    listing = described["paths"]["/apis/v1beta1/runs"]["get"]["parameters"]
    assert {one["name"] for one in listing} == {
        "page_token",
        "page_size",
        "sort_by",
        "resource_reference_key.type",
        "resource_reference_key.id",
        "filter",
    }
    assert ListRunsRequest.DESCRIPTOR.fields_by_name["page_size"]


@pytest.mark.parametrize("one", bindings(), ids=lambda one: one.method)
def test_replies_are_as_the_document_says(one: Binding):
    described = openapi_document()
    operation = described["paths"][documented_path(one)][one.verb.lower()]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    check = Draft202012Validator({**schema, "components": described["components"]})
    for message in (
        reply_class(one.descriptor)(),
        ParseDict(filled(one.descriptor.output_type), reply_class(one.descriptor)()),
    ):
        check.validate(message_json(message))


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set[str]()
        return own | {found for inner in value.values() for found in references(inner)}
    return {found for inner in value for found in references(inner)} if isinstance(value, list) else set()
