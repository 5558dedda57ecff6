"""gRPC: the methods by their names in the contract, with reflection. Errors have the same details as in KFP.

Every method is served as a stream: gRPC then calls the handler when the headers are there, and the handler reads the one
message of the request when it knows the caller. On the wire a unary call and a stream of one message are the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack
from typing import Any, cast
from urllib.parse import unquote

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message
from google.rpc.status_pb2 import Status
from grpc_reflection.v1alpha import reflection
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest

from runwright.service.bindings import Binding, bindings, contract_services, request_class
from runwright.service.budget import Budget, Hold, Limits
from runwright.service.contract.error_pb2 import Error
from runwright.service.conversion import convert
from runwright.service.dispatch import PUBLIC_METHODS, Dispatch, Envelope
from runwright.service.errors import Code, ServiceError, invalid_argument
from runwright.service.messages import UnreadableMessageError, check_message_size

MAX_MESSAGE = 2000
"""Characters of an error's message: HTTP/2 limits trailers to some kilobytes."""

READ_SECONDS = 10.0
"""How long a client may take to send the message of a request."""

WRITE_SECONDS = 30.0
"""How long a client may take to read a reply."""

MAX_METADATA = 24 * 1024
"""Bytes of the headers of a call: the longest token, and as much again."""

STREAMS_OF_A_CONNECTION = 100
"""Calls of one connection at the same time; a client waits with more (HTTP/2)."""

CODES = {code.value[0]: code for code in grpc.StatusCode}


def make_grpc_server(dispatch: Dispatch) -> grpc.aio.Server:
    """Create the gRPC server, without an address."""
    limits = dispatch.budget.limits
    made = grpc.aio.server(options=channel_options(limits), maximum_concurrent_rpcs=4 * limits.at_a_time)
    by_service: dict[str, dict[str, Any]] = {}
    for one in bindings():
        descriptor = one.descriptor
        by_service.setdefault(descriptor.containing_service.full_name, {})[descriptor.name] = raw_stream(
            rpc_handler(one, dispatch)
        )
    names = [service.full_name for service in contract_services()]
    servicer = reflection.aio.ReflectionServicer([*names, reflection.SERVICE_NAME])
    by_service[reflection.SERVICE_NAME] = {"ServerReflectionInfo": raw_stream(reflection_handler(servicer, dispatch))}
    made.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(name, methods) for name, methods in by_service.items()]
    )
    return made


def channel_options(limits: Limits) -> tuple[tuple[str, int], ...]:
    """Options of gRPC's core: https://grpc.github.io/grpc/core/group__grpc__arg__keys.html."""
    return (
        ("grpc.max_receive_message_length", limits.request_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", 0),
        # A compressed message would be unpacked before its size is known.
        ("grpc.compression_enabled_algorithms_bitset", 1),
        ("grpc.max_metadata_size", MAX_METADATA),
        ("grpc.absolute_max_metadata_size", MAX_METADATA),
        ("grpc.max_concurrent_streams", STREAMS_OF_A_CONNECTION),
        ("grpc.max_allowed_incoming_connections", limits.connections),
        ("grpc.server_handshake_timeout_ms", 10_000),
        ("grpc.max_connection_idle_ms", 60_000),
        ("grpc.max_connection_age_ms", 600_000),
        ("grpc.max_connection_age_grace_ms", 120_000),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.http2.bdp_probe", 0),
    )


def raw_stream(handler: Callable[[Any, Any], Awaitable[None]]) -> Any:
    """A method whose handler reads and writes bytes."""
    return cast(Any, grpc).stream_stream_rpc_method_handler(handler)


def rpc_handler(one: Binding, dispatch: Dispatch) -> Callable[[Any, Any], Awaitable[None]]:
    """Create the handler of an RPC."""
    request = request_class(one.descriptor)

    async def answer(_: AsyncIterator[bytes], context: Any) -> None:
        async def receive(body: Hold) -> Message:
            if one.method in PUBLIC_METHODS:
                return request()
            return await read_request(context, one, body, dispatch.budget)

        refusal: ServiceError | None = None
        with ExitStack() as holds:
            try:
                reply = await dispatch.call(envelope_of(one.method, context), receive, holds)
                size = reply.message.ByteSize()
                await reply.bytes.add_when_free(size)
                encoded = await convert(size, reply.message.SerializeToString)
                async with asyncio.timeout(WRITE_SECONDS):
                    await context.write(encoded)
            except ServiceError as error:
                refusal = plain(error)
            except TimeoutError:
                message = f"the reply was not read within {WRITE_SECONDS:.0f} s"
                refusal = ServiceError(Code.DEADLINE_EXCEEDED, message)
        if refusal:
            await abort(context, refusal)

    return answer


async def read_request(context: Any, one: Binding, body: Hold, budget: Budget) -> Message:
    """Read and decode the message of a call. Raises ServiceError."""
    request = request_class(one.descriptor)
    # gRPC does not say how long the message is before it has read all of it.
    longest = budget.limits.request_bytes
    await budget.readers.take(body, longest)
    try:
        async with asyncio.timeout(READ_SECONDS) as timeout:
            with budget.readers.reading(body, timeout):
                raw = await context.read()
    except TimeoutError as error:
        message = f"the request was not received within {READ_SECONDS:.0f} s, or others needed its place"
        raise ServiceError(Code.DEADLINE_EXCEEDED, message) from error
    if raw is grpc.aio.EOF:
        raise invalid_argument("expected a message")
    body.drop(longest - len(raw))

    def decode() -> Message:
        check_message_size(raw, one.descriptor.input_type)
        return request.FromString(raw)

    try:
        return await convert(len(raw), decode)
    except (DecodeError, UnreadableMessageError) as error:
        raise invalid_argument(f"the message cannot be decoded: {error}") from error


def reflection_handler(servicer: Any, dispatch: Dispatch) -> Callable[[Any, Any], Awaitable[None]]:
    """Create the handler of reflection. A stream is a call of its user, and lasts as long as a call at most."""

    async def answer(_: AsyncIterator[bytes], context: Any) -> None:
        async def requests() -> AsyncIterator[Message]:
            while (raw := await context.read()) is not grpc.aio.EOF:
                yield ServerReflectionRequest.FromString(raw)

        refusal: ServiceError | None = None
        with ExitStack() as holds:
            try:
                async with asyncio.timeout(READ_SECONDS):
                    await dispatch.enter(envelope_of("ServerReflection/ServerReflectionInfo", context), holds)
                    async for reply in servicer.ServerReflectionInfo(requests(), context):
                        await context.write(reply.SerializeToString())
            except ServiceError as error:
                refusal = plain(error)
            except TimeoutError:
                refusal = ServiceError(Code.DEADLINE_EXCEEDED, f"a stream may last {READ_SECONDS:.0f} s")
            except DecodeError:
                refusal = invalid_argument("expected a ServerReflectionRequest")
        if refusal:
            await abort(context, refusal)

    return answer


def envelope_of(method: str, context: Any) -> Envelope:
    """The envelope of a call, from its metadata and the address of the client."""
    headers = {str(key).lower(): value for key, value in context.invocation_metadata() if isinstance(value, str)}
    return Envelope(method, headers, peer_address(context.peer()))


def plain(error: ServiceError) -> ServiceError:
    """The error without its traceback: gRPC keeps the error of a call, and with it all that its frames refer to."""
    return ServiceError(error.code, error.message)


async def abort(context: Any, error: ServiceError) -> None:
    """End a call with an error. Raises AbortError, which ends the handler."""
    await context.abort(CODES[int(error.code)], error.message[:MAX_MESSAGE], error_trailers(error))


def peer_address(peer: str) -> str:
    """The address in a peer of gRPC: `ipv4:10.0.0.1:2345`, `ipv6:%5B::1%5D:2345`."""
    return unquote(peer).partition(":")[2].rpartition(":")[0].strip("[]")


def error_trailers(error: ServiceError) -> tuple[tuple[str, bytes]]:
    """The trailers with the error's details, as `google.rpc.Status`."""
    message = error.message[:MAX_MESSAGE]
    status = cast(Any, Status)(code=int(error.code), message=message)
    status.details.add().Pack(Error(error_message=message.rpartition(".: ")[2], error_details=message))
    return (("grpc-status-details-bin", cast(bytes, status.SerializeToString())),)
