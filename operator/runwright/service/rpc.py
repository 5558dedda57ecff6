"""gRPC: the methods by their names in the contract, with reflection. Errors have the same details as in KFP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import grpc
import grpc.aio
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status
from grpc_reflection.v1alpha import reflection

from runwright.service.bindings import Binding, bindings, contract_services, reply_class, request_class
from runwright.service.contract.error_pb2 import Error
from runwright.service.dispatch import Dispatch, Limits
from runwright.service.errors import ServiceError

MAX_MESSAGE = 2000
"""Characters of an error's message: HTTP/2 limits trailers to some kilobytes."""

CODES = {code.value[0]: code for code in grpc.StatusCode}


def make_grpc_server(dispatch: Dispatch, limits: Limits) -> grpc.aio.Server:
    """Create the gRPC server, without an address."""
    made = grpc.aio.server(
        options=(
            ("grpc.max_receive_message_length", limits.request_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),
        ),
        maximum_concurrent_rpcs=limits.at_a_time,
    )
    by_service: dict[str, dict[str, Any]] = {}
    for one in bindings():
        descriptor = one.descriptor
        by_service.setdefault(descriptor.containing_service.full_name, {})[descriptor.name] = (
            grpc.unary_unary_rpc_method_handler(
                cast(Any, rpc_handler(one, dispatch)),
                request_deserializer=request_class(descriptor).FromString,
                response_serializer=reply_class(descriptor).SerializeToString,
            )
        )
    made.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(name, methods) for name, methods in by_service.items()]
    )
    names = [service.full_name for service in contract_services()]
    reflection.enable_server_reflection([*names, reflection.SERVICE_NAME], made)
    return made


def rpc_handler(one: Binding, dispatch: Dispatch) -> Callable[[Message, Any], Any]:
    """Create the handler of an RPC."""

    async def answer(request: Message, context: Any) -> Message:
        headers = {str(key).lower(): value for key, value in context.invocation_metadata() if isinstance(value, str)}
        try:
            return await dispatch.call(one.method, request, headers)
        except ServiceError as error:
            await context.abort(CODES[int(error.code)], error.message[:MAX_MESSAGE], error_trailers(error))
            raise

    return answer


def error_trailers(error: ServiceError) -> tuple[tuple[str, bytes]]:
    """The trailers with the error's details, as `google.rpc.Status`."""
    message = error.message[:MAX_MESSAGE]
    status = cast(Any, Status)(code=int(error.code), message=message)
    status.details.add().Pack(Error(error_message=message.rpartition(".: ")[2], error_details=message))
    return (("grpc-status-details-bin", cast(bytes, status.SerializeToString())),)
