"""REST: JSON over HTTP like KFP's gateway (grpc-gateway 1.16), made from the contract.

Replies have snake case and zero values. Requests may have snake or camel case; unknown fields are ignored.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from runwright import __version__
from runwright.service.bindings import Binding, is_repeated, match_path
from runwright.service.dispatch import Dispatch, Limits
from runwright.service.errors import Code, ServiceError, invalid_argument
from runwright.service.messages import UnreadableMessageError, read_fields, read_json
from runwright.service.openapi import openapi_document

ERROR_TYPE = "type.googleapis.com/api.Error"
LARGE = 256 * 1024
"""Bytes. Larger messages are encoded and decoded in a thread, so that the event loop goes on."""

OPENAPI_PATHS = ("/openapi.json", "/apis/v1beta1/openapi.json")


def rest_application(dispatch: Dispatch, limits: Limits) -> web.Application:
    """Create the HTTP application."""
    app = web.Application(client_max_size=limits.request_bytes)
    described = json.dumps(openapi_document()).encode()

    async def openapi(_: web.Request) -> web.Response:
        return web.Response(body=described, content_type="application/json")

    async def call(request: web.Request) -> web.StreamResponse:
        try:
            return await answer_request(request, dispatch, limits)
        except ServiceError as error:
            return error_response(error, error.code.http_status)

    for path in OPENAPI_PATHS:
        app.router.add_get(path, openapi)
    app.router.add_route("*", "/{path:.*}", call)
    return app


async def answer_request(request: web.Request, dispatch: Dispatch, limits: Limits) -> web.Response:
    """Carry out the RPC of an HTTP request. Raises ServiceError."""
    path = request.rel_url.raw_path
    matching = match_path(path)
    binding = next((one for one in matching if one.verb == request.method), None)
    if binding is None and matching:
        allowed = ", ".join(sorted({one.verb for one in matching}))
        error = ServiceError(Code.UNIMPLEMENTED, f"{request.method} is not supported here; expected {allowed}")
        return error_response(error, 405, {"Allow": allowed})
    if binding is None:
        return error_response(ServiceError(Code.NOT_FOUND, "Not Found"), 404)
    body = await read_body(request, limits)
    message = await run_in_thread_if(
        len(body) > LARGE, lambda: decode_request(binding, path, request.query.items(), body)
    )
    headers = {name.lower(): value for name, value in request.headers.items()}
    reply = await dispatch.call(binding.method, message, headers)
    shown = await run_in_thread_if(reply.ByteSize() > LARGE, lambda: encode_reply(binding, reply))
    return web.Response(body=shown, content_type="application/json")


async def read_body(request: web.Request, limits: Limits) -> bytes:
    """Read the body. Raises ServiceError for one that is too large or too slow."""
    try:
        async with asyncio.timeout(limits.seconds):
            return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        message = f"the request has more than {limits.request_bytes} bytes, the limit of a request"
        raise ServiceError(Code.RESOURCE_EXHAUSTED, message) from error
    except TimeoutError as error:
        raise ServiceError(
            Code.DEADLINE_EXCEEDED, f"the request was not received within {limits.seconds:.0f} s"
        ) from error


async def run_in_thread_if(large: bool, work: Any) -> Any:
    """Call `work`, in a thread if `large`."""
    return await asyncio.to_thread(work) if large else work()


def decode_request(binding: Binding, path: str, query: Iterable[tuple[str, str]], body: bytes) -> Message:
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
    return json.dumps(shown, separators=(",", ":")).encode()


def message_json(message: Message) -> dict[str, Any]:
    """A message as JSON, with zero values."""
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


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
