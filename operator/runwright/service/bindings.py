"""The HTTP form of each RPC: read from the contract's `google.api.http` options, as grpc-gateway 1.16 reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, cast
from urllib.parse import unquote

from google.api import annotations_pb2  # pyright: ignore[reportMissingTypeStubs]
from google.protobuf.descriptor import FieldDescriptor, FileDescriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from runwright.service.contract import experiment_pb2, healthz_pb2, run_pb2

FILES: tuple[FileDescriptor, ...] = (run_pb2.DESCRIPTOR, experiment_pb2.DESCRIPTOR, healthz_pb2.DESCRIPTOR)

VARIABLE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Binding:
    """An RPC and its HTTP form."""

    descriptor: MethodDescriptor
    verb: str
    template: str
    body: str
    """The request's field that is the HTTP body; `*` for the whole request, empty for no body."""
    pattern: re.Pattern[str]

    @property
    def method(self) -> str:
        """`Service/Method`"""
        return f"{self.descriptor.containing_service.name}/{self.descriptor.name}"

    @property
    def has_verb(self) -> bool:
        """Whether the path ends in `:verb`."""
        return ":" in self.template

    @property
    def path_fields(self) -> tuple[str, ...]:
        """The request's fields that are variables in the path."""
        return tuple(VARIABLE.findall(self.template))

    def request(self) -> Message:
        """Create an empty request."""
        return request_class(self.descriptor)()

    def variables(self, raw_path: str) -> dict[str, str] | None:
        """Parse the fields in a percent-encoded path; None where the path does not match. Raises UnicodeDecodeError."""
        found = self.pattern.fullmatch(raw_path)
        return {name: unquote(value, errors="strict") for name, value in found.groupdict().items()} if found else None


def request_class(method: MethodDescriptor) -> type[Message]:
    """The message class of the RPC's request."""
    return GetMessageClass(method.input_type)


def reply_class(method: MethodDescriptor) -> type[Message]:
    """The message class of the RPC's reply."""
    return GetMessageClass(method.output_type)


def contract_services() -> Iterator[ServiceDescriptor]:
    """The services of the contract."""
    for file in FILES:
        yield from cast("dict[str, ServiceDescriptor]", file.services_by_name).values()


@cache
def bindings() -> tuple[Binding, ...]:
    """All RPCs; those with a `:verb` come first, since the verb would also match as part of an id."""
    found = [read_binding(method) for service in contract_services() for method in service.methods]
    return tuple(sorted(found, key=lambda one: not one.has_verb))


def match_path(raw_path: str) -> list[Binding]:
    """The RPCs of a path, for any HTTP method. A path that ends in the `:verb` of an RPC is not an id."""
    found = [one for one in bindings() if one.pattern.fullmatch(raw_path)]
    return [one for one in found if one.has_verb] if found and found[0].has_verb else found


def read_binding(method: MethodDescriptor) -> Binding:
    """Read the HTTP form of an RPC from its options."""
    rule = cast(Any, method.GetOptions()).Extensions[cast(Any, annotations_pb2).http]
    verb = str(rule.WhichOneof("pattern"))
    template = str(getattr(rule, verb))
    parts = VARIABLE.split(template)
    pattern = "".join(f"(?P<{part}>[^/]+)" if number % 2 else re.escape(part) for number, part in enumerate(parts))
    return Binding(method, verb.upper(), template, str(rule.body), re.compile(pattern))


def is_repeated(field: FieldDescriptor) -> bool:
    """Whether the field is a list."""
    return bool(cast(Any, field).is_repeated)
