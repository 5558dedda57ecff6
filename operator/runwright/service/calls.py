"""One call of the run service, whichever way it came: who calls, and what answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from google.protobuf.message import Message


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, as TokenReview has it."""

    user: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])


@dataclass(frozen=True, slots=True)
class Access:
    """One right of Kubernetes, as a SubjectAccessReview asks for it."""

    verb: str
    """get, list, create, patch, delete …"""
    namespace: str
    """Empty: in all namespaces."""
    resource: str = "pipelineruns"
    subresource: str = ""
    name: str = ""
    group: str = "runwright.dev"


class Authorizer(Protocol):
    """Who somebody is, and what they may do: both asked of Kubernetes."""

    async def identify(self, authorization: str) -> Caller:
        """Who sends this `authorization` header; empty where there was none.

        Raises ServiceError: UNAUTHENTICATED for a token that is no good or missing, UNAVAILABLE without an API server.
        """
        ...

    async def require(self, caller: Caller, access: Access) -> None:
        """Return if the caller has the right. Raises ServiceError: PERMISSION_DENIED, UNAVAILABLE."""
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """What a method is told beside its request."""

    caller: Caller
    method: str
    """`RunService/CreateRun`"""
    idempotency_key: str = ""
    """The header or metadata `idempotency-key`: calls of CreateRun with the same one make one run."""


Method = Callable[[Any, Call], Awaitable[Message]]
"""Takes the request's message and gives the reply's. Raises ServiceError, and ApiError for what the API server refuses
in a way that no method knows: the gateway tells the caller so, as UNAVAILABLE or INTERNAL, and logs it."""

Methods = Mapping[str, Method]
"""By `Service/Method`, such as `RunService/CreateRun`."""
