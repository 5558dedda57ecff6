"""gRPC: calls, the details of errors, and reflection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.json_format import ParseDict
from google.rpc.status_pb2 import Status

from runwright.service import rpc
from runwright.service.bindings import Binding, bindings, reply_class, request_class
from runwright.service.contract.error_pb2 import Error
from runwright.service.contract.run_pb2 import GetRunRequest, RunDetail
from runwright.service.errors import Code, ServiceError
from tests.grpc_token import WithToken
from tests.unit.service.gateway import Gateway, filled


@pytest.mark.parametrize("one", bindings(), ids=lambda one: one.method)
async def test_every_rpc_over_grpc_reaches_its_method_with_its_request(gateway: Gateway, one: Binding):
    request = ParseDict(filled(one.descriptor.input_type), request_class(one.descriptor)())
    gateway.answer = ParseDict(filled(one.descriptor.output_type), reply_class(one.descriptor)())
    async with grpc.aio.insecure_channel(gateway.grpc) as channel:
        service, name = one.method.split("/")
        call = channel.unary_unary(
            f"/api.{service}/{name}",
            request_serializer=request_class(one.descriptor).SerializeToString,
            response_deserializer=reply_class(one.descriptor).FromString,
        )
        metadata = (("authorization", "Bearer ann"), ("idempotency-key", "k"))
        assert await call(request, metadata=metadata) == gateway.answer
    ((method, received, made),) = gateway.calls
    assert (method, received) == (one.method, request)
    if one.method != "HealthzService/GetHealthz":
        assert (made.idempotency_key, made.caller.user) == ("k", "ann")


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
async def test_an_error_has_its_code_and_details_in_the_trailers(gateway: Gateway, code: Code):
    gateway.answer = ServiceError(code, "Get run failed.: no such thing")
    error = await over_grpc(gateway)
    assert error.code().value[0] == int(code)
    held: Any = dict(error.trailing_metadata() or ())
    details = Status.FromString(held["grpc-status-details-bin"])
    unpacked = Error()
    assert details.code == int(code) and details.details[0].Unpack(unpacked)
    assert (unpacked.error_message, unpacked.error_details) == ("no such thing", "Get run failed.: no such thing")


async def test_a_long_message_is_cut_to_fit_into_the_trailers(gateway: Gateway):
    gateway.answer = ServiceError(Code.INVALID_ARGUMENT, "x" * 100_000)
    error = await over_grpc(gateway)
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT and error.details() == "x" * 2000


async def test_reflection_lists_the_services(gateway: Gateway):
    from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

    def ask() -> tuple[Any, Any]:
        with grpc.insecure_channel(gateway.grpc) as channel:
            found = ProtoReflectionDescriptorDatabase(WithToken.on(channel, "ann"))
            return found.get_services(), found.FindFileContainingSymbol("api.RunService")

    names, file = await asyncio.to_thread(ask)
    assert {"api.RunService", "api.ExperimentService", "api.HealthzService"} <= set(names)
    assert len(file.service[0].method) == 10


LIST = "/api.RunService/ListRuns"
REFLECT = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


async def refused(gateway: Gateway, method: str, message: bytes | None, token: str = "ann", **options: Any) -> Any:
    """The error of a call that sends one message; None for a call that sends none and does not end."""

    async def nothing() -> AsyncIterator[bytes]:
        await asyncio.sleep(5)
        yield b""

    async with grpc.aio.insecure_channel(gateway.grpc) as channel:
        metadata = (("authorization", f"Bearer {token}"),) if token else ()
        # Not a stream for a message: one that is refused while it still sends can get INTERNAL from its own library instead.
        call: Any = channel.unary_stream(method) if message is not None else channel.stream_stream(method)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in call(nothing() if message is None else message, metadata=metadata, **options):
                pass
        return caught.value


@pytest.mark.parametrize("method", [LIST, REFLECT])
async def test_without_a_token_no_message_is_awaited(gateway: Gateway, method: str):
    error = await refused(gateway, method, None, token="")
    assert error.code() == grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("method", [LIST, REFLECT])
async def test_a_message_that_does_not_come_ends_the_call(
    gateway: Gateway, method: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(rpc, "READ_SECONDS", 0.1)
    error = await refused(gateway, method, None)
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert not gateway.budget.calls.used and not gateway.budget.bodies.used


async def test_the_health_check_reads_no_message(gateway: Gateway):
    async with grpc.aio.insecure_channel(gateway.grpc) as channel:
        call = channel.stream_unary("/api.HealthzService/GetHealthz")

        async def nothing() -> AsyncIterator[bytes]:
            await asyncio.sleep(5)
            yield b""

        async with asyncio.timeout(3):
            await call(nothing())


async def test_a_message_that_is_compressed_or_none_or_of_too_many_parts_is_refused(gateway: Gateway):
    error = await refused(gateway, LIST, b"\0" * 1000, compression=grpc.Compression.Gzip)
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED
    error = await refused(gateway, LIST, b"\xff\xff")
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    error = await refused(gateway, "/api.RunService/ReportRunMetrics", b"\x12\0" * 50_001)
    assert error.code() in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INVALID_ARGUMENT)


@pytest.mark.parametrize(
    ("peer", "address"),
    [("ipv4:10.0.0.1:2345", "10.0.0.1"), ("ipv6:%5B::1%5D:2345", "::1"), ("ipv6:[fe80::1%25eth0]:1", "fe80::1%eth0")],
)
def test_the_address_of_a_peer(peer: str, address: str):
    assert rpc.peer_address(peer) == address
