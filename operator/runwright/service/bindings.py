"""Which HTTP request is which RPC: read from the contract (`google.api.http`), as grpc-gateway 1.16 reads it."""

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
    """One RPC and its HTTP form."""

    descriptor: MethodDescriptor
    verb: str
    template: str
    body: str
    """The field that is the body, `*` for the whole request, or empty."""
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
        """The fields that stand in the path."""
        return tuple(VARIABLE.findall(self.template))

    def request(self) -> Message:
        """An empty request."""
        return request_class(self.descriptor)()

    def variables(self, raw_path: str) -> dict[str, str] | None:
        """The fields in the path, as it was sent; None where it is another path. Raises UnicodeDecodeError."""
        found = self.pattern.fullmatch(raw_path)
        return {name: unquote(value, errors="strict") for name, value in found.groupdict().items()} if found else None


def request_class(method: MethodDescriptor) -> type[Message]:
    """What the RPC takes."""
    return GetMessageClass(method.input_type)


def reply_class(method: MethodDescriptor) -> type[Message]:
    """What the RPC gives."""
    return GetMessageClass(method.output_type)


def contract_services() -> Iterator[ServiceDescriptor]:
    """The services of the contract."""
    for file in FILES:
        yield from cast("dict[str, ServiceDescriptor]", file.services_by_name).values()


@cache
def bindings() -> tuple[Binding, ...]:
    """All RPCs; those whose path ends in `:verb` come before those that would take it for a part of an id."""
    found = [read_binding(method) for service in contract_services() for method in service.methods]
    return tuple(sorted(found, key=lambda one: not one.has_verb))


def match_path(raw_path: str) -> list[Binding]:
    """The RPCs of a path, whatever the method of the request; one that ends in `:verb` is that verb's, and no id."""
    found = [one for one in bindings() if one.pattern.fullmatch(raw_path)]
    return [one for one in found if one.has_verb] if found and found[0].has_verb else found


def read_binding(method: MethodDescriptor) -> Binding:
    """The HTTP form of an RPC."""
    rule = cast(Any, method.GetOptions()).Extensions[cast(Any, annotations_pb2).http]
    verb = str(rule.WhichOneof("pattern"))
    template = str(getattr(rule, verb))
    parts = VARIABLE.split(template)
    pattern = "".join(f"(?P<{part}>[^/]+)" if number % 2 else re.escape(part) for number, part in enumerate(parts))
    return Binding(method, verb.upper(), template, str(rule.body), re.compile(pattern))


def is_repeated(field: FieldDescriptor) -> bool:
    """Whether the field is a list."""
    return bool(cast(Any, field).is_repeated)
