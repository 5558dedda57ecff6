"""The run service's REST and gRPC servers on loopback, over methods that answer as the test says."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientSession
from aiohttp.test_utils import TestServer
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from runwright.service.bindings import Binding, bindings, is_repeated, reply_class
from runwright.service.budget import Budget, Limits
from runwright.service.calls import Call
from runwright.service.dispatch import Dispatch
from runwright.service.measures import ServiceMeasures
from runwright.service.rest import rest_application
from runwright.service.rpc import make_grpc_server
from runwright.service.server import HTTP_OPTIONS
from tests.unit.service.bench import Rights

TOKEN = {"Authorization": "Bearer ann"}


@dataclass
class Gateway:
    """Both servers."""

    answer: Message | Exception | None = None
    seconds: float = 0.0
    calls: list[tuple[str, Message, Call]] = field(default_factory=list[tuple[str, Message, Call]])
    http: str = ""
    grpc: str = ""
    measures: ServiceMeasures = field(default_factory=ServiceMeasures)
    budget: Budget = field(default_factory=lambda: Budget(LIMITS))

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


@asynccontextmanager
async def open_gateway() -> AsyncIterator[Gateway]:
    """Start both servers."""
    it = Gateway()
    dispatch = Dispatch({one.method: it.method(one) for one in bindings()}, Rights(), it.budget, it.measures)
    rpc = make_grpc_server(dispatch)
    it.grpc = f"127.0.0.1:{rpc.add_insecure_port('127.0.0.1:0')}"
    await rpc.start()
    rest = TestServer(rest_application(dispatch))
    await rest.start_server(**{**HTTP_OPTIONS, "lingering_time": 0.05})
    it.http = str(rest.make_url("")).rstrip("/")
    yield it
    await rest.close()
    await rpc.stop(None)


def filled(descriptor: Any, deep: bool = True) -> dict[str, Any]:
    """A message of this type as JSON, with a value in every field."""
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


def example_path(one: Binding) -> str:
    """A path of the RPC."""
    path = one.template
    for name in one.path_fields:
        path = path.replace(f"{{{name}}}", f"a%20{name}")
    return path
