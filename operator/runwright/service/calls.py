"""A call of the run service, over REST or gRPC: its caller, and the method that answers it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from google.protobuf.message import Message

from runwright.service.budget import Hold, unlimited

ANONYMOUS_GROUP = "system:unauthenticated"
"""The group of callers without a token."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The authenticated user, as a TokenReview describes it."""

    user: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])


@dataclass(frozen=True, slots=True)
class Access:
    """One right in Kubernetes, as in a SubjectAccessReview."""

    verb: str
    """get, list, create, patch, delete …"""
    namespace: str
    """Empty for all namespaces."""
    resource: str = "pipelineruns"
    subresource: str = ""
    name: str = ""
    group: str = "runwright.dev"


class Authorizer(Protocol):
    """Authentication and authorization."""

    async def identify(self, authorization: str, peer: str = "") -> Caller:
        """Return the caller who sent this `authorization` header; empty for a request without one.

        `peer` is the owner (`peer_owner`) of the reviews that are in flight for it.

        Raises ServiceError: UNAUTHENTICATED for an invalid or missing token, UNAVAILABLE without an API server.
        """
        ...

    async def require(self, caller: Caller, access: Access) -> None:
        """Return if the caller has the right. Raises ServiceError: PERMISSION_DENIED, UNAVAILABLE."""
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """What a method gets beside its request."""

    caller: Caller
    method: str
    """`RunService/CreateRun`"""
    idempotency_key: str = ""
    """The header or metadata `idempotency-key`: calls of CreateRun with equal keys create one run."""
    reply: Hold = field(default_factory=unlimited, compare=False)
    """Bytes that the method holds for its reply; released when the reply was sent. service/budget.py says how to charge it."""


Method = Callable[[Any, Call], Awaitable[Message]]
"""Takes the request's message and returns the reply's. Raises ServiceError, and ApiError for other errors of the API
server, which `dispatch` maps to a status and logs."""

Methods = Mapping[str, Method]
"""By `Service/Method`, such as `RunService/CreateRun`."""
