"""REST: JSON over HTTP like KFP's gateway (grpc-gateway 1.16), made from the contract.

Replies have snake case and zero values. Requests may have snake or camel case; unknown fields are ignored.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from http import HTTPStatus
from typing import Any, TypeVar

from aiohttp import web
from aiohttp.http_exceptions import PayloadEncodingError
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from runwright import __version__
from runwright.service.bindings import Binding, is_repeated, match_path
from runwright.service.budget import Budget, Hold, Limits
from runwright.service.conversion import convert
from runwright.service.dispatch import Dispatch, Envelope
from runwright.service.door import answer_in_turn
from runwright.service.errors import Code, ServiceError, invalid_argument
from runwright.service.messages import UnreadableMessageError, read_fields, read_json
from runwright.service.openapi import openapi_document
from runwright.service.reply_json import json_pieces, json_text, message_json

ERROR_TYPE = "type.googleapis.com/api.Error"
SLOW_SECONDS, SLOW_BYTES = 5.0, 32 * 1024
"""A body must arrive at SLOW_BYTES a second, in each period of SLOW_SECONDS."""

WRITE_SECONDS = 30.0
"""How long a client may take to read a reply; for a large one, a second more for each WRITE_BYTES."""

WRITE_BYTES = 512 * 1024

WHOLE = 256 * 1024
"""Bytes of a message. A larger reply is encoded and sent in pieces."""

JSON = "application/json"

T = TypeVar("T", bound=web.StreamResponse)

OPENAPI_PATHS = ("/openapi.json", "/apis/v1beta1/openapi.json")


def rest_application(dispatch: Dispatch) -> web.Application:
    """Create the HTTP application."""
    app = web.Application(middlewares=[answer_in_turn])
    described = json.dumps(openapi_document()).encode()

    async def openapi(request: web.Request) -> web.Response:
        return closing(request, web.Response(body=described, content_type=JSON))

    async def call(request: web.Request) -> web.StreamResponse:
        try:
            return closing(request, await answer_request(request, dispatch))
        except ServiceError as error:
            return closing(request, error_response(error, error.code.http_status))

    for path in OPENAPI_PATHS:
        app.router.add_get(path, openapi, expect_handler=expect_nothing)
    app.router.add_route("*", "/{path:.*}", call, expect_handler=expect_nothing)
    return app


async def expect_nothing(request: web.Request) -> None:
    """Leave `Expect: 100-continue` unanswered until the body is read."""


def closing(request: web.Request, response: T) -> T:
    """The response, which ends the connection if the body of the request was not read."""
    if not request.content.at_eof():
        response.force_close()
    return response


async def answer_request(request: web.Request, dispatch: Dispatch) -> web.StreamResponse:
    """Carry out the RPC of an HTTP request, and send its reply. Raises ServiceError."""
    path = request.rel_url.raw_path
    matching = match_path(path)
    binding = next((one for one in matching if one.verb == request.method), None)
    if binding is None and matching:
        allowed = ", ".join(sorted({one.verb for one in matching}))
        error = ServiceError(Code.UNIMPLEMENTED, f"{request.method} is not supported here; expected {allowed}")
        return error_response(error, 405, {"Allow": allowed})
    if binding is None:
        return error_response(ServiceError(Code.NOT_FOUND, "Not Found"), 404)
    headers = {name.lower(): value for name, value in request.headers.items()}

    async def receive(body: Hold) -> Message:
        # A method without a body does not read one, and the connection is closed after the reply.
        read = await read_body(request, body, dispatch.budget) if binding.body else b""
        return await convert(len(read), lambda: decode_request(binding, path, request.query.items(), read))

    with ExitStack() as holds:
        reply = await dispatch.call(Envelope(binding.method, headers, request.remote or ""), receive, holds)
        if (size := reply.message.ByteSize()) > WHOLE:
            return await send_pieces(request, json_pieces(reply.message), size)
        await reply.bytes.add_when_free(size)
        response = closing(request, web.Response(body=encode_reply(binding, reply.message), content_type=JSON))
        await send_reply(request, response)
        return response


async def send_reply(request: web.Request, response: web.Response) -> None:
    """Send a reply, and return when the client has read it but for a rest that fits into the buffers.

    Raises ConnectionError; `door` ends the connection of a client that does not read.
    """
    await response.prepare(request)
    await response.write_eof()
    await request.writer.drain()


async def send_pieces(request: web.Request, pieces: Iterator[bytes], size: int) -> web.StreamResponse:
    """Send a large reply as it is encoded: its JSON is never whole in memory. Ends the connection of a slow client."""
    response = closing(request, web.StreamResponse())
    response.content_type = JSON
    try:
        async with asyncio.timeout(WRITE_SECONDS + size / WRITE_BYTES):
            await response.prepare(request)
            for piece in pieces:
                # Returns when the client has read all but what fits into the buffers.
                await response.write(piece)
                await asyncio.sleep(0)
            await response.write_eof()
    except TimeoutError:
        request.protocol.force_close()
    return response


async def read_body(request: web.Request, body: Hold, budget: Budget) -> bytearray:
    """Read the body. Raises ServiceError for one that is too large, too slow or compressed."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise invalid_argument("header Content-Encoding: expected none. Send the body without compression.")
    length, received, limits = request.content_length, bytearray(), budget.limits
    if length is not None:
        check_length(length, limits)
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    loop, enough = asyncio.get_running_loop(), SLOW_SECONDS * SLOW_BYTES
    try:
        async with asyncio.timeout(SLOW_SECONDS) as timeout:
            with budget.readers.reading(body, timeout):
                async for piece in request.content.iter_any():
                    check_length(len(received) + len(piece), limits)
                    await budget.readers.take(body, len(piece))
                    received += piece
                    if len(received) >= enough and not timeout.expired():
                        enough = len(received) + SLOW_SECONDS * SLOW_BYTES
                        timeout.reschedule(loop.time() + SLOW_SECONDS)
    except TimeoutError as error:
        message = (
            f"the request was not received: expected {SLOW_BYTES} bytes a second, got less for {SLOW_SECONDS:.0f} s"
        )
        raise ServiceError(Code.DEADLINE_EXCEEDED, message) from error
    except (web.RequestPayloadError, PayloadEncodingError) as error:
        raise invalid_argument("the body does not have the length or the chunks that its headers say") from error
    except ConnectionError as error:
        raise ServiceError(Code.CANCELLED, "the connection ended before the request was complete") from error
    return received


def check_length(length: int, limits: Limits) -> None:
    """Raise ServiceError for a body that is too large."""
    if length > limits.request_bytes:
        message = f"the request has more than {limits.request_bytes} bytes, the limit of a request"
        raise ServiceError(Code.RESOURCE_EXHAUSTED, message)


def decode_request(binding: Binding, path: str, query: Iterable[tuple[str, str]], body: bytes | bytearray) -> Message:
    """Decode a request's message from path, query and body. Raises ServiceError (INVALID_ARGUMENT)."""
    message = binding.request()
    try:
        if binding.body:
            part = message if binding.body == "*" else getattr(message, binding.body)
            if body.strip():
                read_json(body, part, ignore_unknown=True)
            if part is not message:
                part.SetInParent()
        else:
            taken = set(binding.path_fields)
            read_fields(query_fields(binding.descriptor.input_type, query, taken), message)
        for name, value in (binding.variables(path) or {}).items():
            setattr(message, name, value)
    except UnreadableMessageError as error:
        raise invalid_argument(str(error)) from error
    except UnicodeDecodeError as error:
        raise invalid_argument("path: expected percent-encoded UTF-8") from error
    return message


def query_fields(of: Descriptor, query: Iterable[tuple[str, str]], taken: set[str]) -> dict[str, Any]:
    """Decode the query's fields, with dotted names such as `resource_reference_key.id`. Unknown names are ignored."""
    given: dict[str, Any] = {}
    for name, value in query:
        here, descriptor, parts = given, of, name.split(".")
        for number, part in enumerate(parts):
            field = find_field(descriptor, part)
            if field is None or (number == 0 and field.name in taken):
                break
            if number == len(parts) - 1:
                if field.message_type is None:
                    here[field.name] = [value] if is_repeated(field) else value
                break
            if field.message_type is None or is_repeated(field):
                break
            here = here.setdefault(field.name, {})
            descriptor = field.message_type
    return given


def find_field(of: Descriptor, name: str) -> FieldDescriptor | None:
    """Find a field by its name in snake or camel case."""
    return of.fields_by_name.get(name) or next((one for one in of.fields if one.json_name == name), None)


def encode_reply(binding: Binding, reply: Message) -> bytes:
    """Encode a reply."""
    shown = message_json(reply)
    if binding.method == "HealthzService/GetHealthz":
        # KFP's HTTP handler adds these to the fields of the contract.
        shown |= {"commit_sha": "", "tag_name": __version__}
    return json_text(shown)


def error_json(error: ServiceError) -> dict[str, Any]:
    """The body of an error, as in KFP: `message` is the whole text, `error_message` its innermost part."""
    details = {
        "@type": ERROR_TYPE,
        "error_message": error.message.rpartition(".: ")[2],
        "error_details": error.message,
    }
    return {"error": error.message, "message": error.message, "code": int(error.code), "details": [details]}


def error_response(error: ServiceError, status: int, headers: Mapping[str, str] | None = None) -> web.Response:
    """The response for an error."""
    more = dict(headers or {})
    if error.code == Code.UNAUTHENTICATED:
        more["WWW-Authenticate"] = "Bearer"
    if error.code in (Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED) and status != HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        more["Retry-After"] = "1"
    return web.json_response(error_json(error), status=status, headers=more)
