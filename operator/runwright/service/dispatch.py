"""Carries out calls, from REST and gRPC: authentication, limits, mapping of errors, metrics."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from google.protobuf.message import Message

from runwright.kube.errors import ApiError
from runwright.service.budget import Budget, Hold, peer_owner, user_owner
from runwright.service.calls import ANONYMOUS_GROUP, Authorizer, Call, Caller, Methods
from runwright.service.errors import Code, ServiceError, invalid_argument, unavailable
from runwright.service.measures import ServiceMeasures

logger = logging.getLogger(__name__)

PUBLIC_METHODS = frozenset({"HealthzService/GetHealthz"})
"""Methods that need no authentication."""

REFUSAL_LINES, REFUSAL_SECONDS = 20, 10.0
"""Lines about refused calls: the metric `runwright_serve_call_duration_seconds` counts all."""

IMPERSONATION = "impersonate-"


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is known of a call before its request is read."""

    method: str
    """`Service/Method`"""
    headers: Mapping[str, str]
    """By lower-case name."""
    peer: str = ""
    """The address of the client."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply that is not sent yet."""

    message: Message
    bytes: Hold
    """What it takes in memory."""


Receive = Callable[[Hold], Awaitable[Message]]
"""Reads and decodes the request, and charges its bytes to the hold. Raises ServiceError."""


class RefusalLog:
    """Logs refused calls: REFUSAL_LINES of each code in REFUSAL_SECONDS, and then how many more there were."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._windows: dict[str, tuple[float, int]] = {}

    def log(self, code: str, line: str) -> None:
        """Log or count a refusal."""
        now = self._clock()
        since, number = self._windows.get(code, (now, 0))
        if now - since >= REFUSAL_SECONDS:
            if number > REFUSAL_LINES:
                logger.info("%d more calls were refused with %s", number - REFUSAL_LINES, code)
            since, number = now, 0
        self._windows[code] = since, number + 1
        if number < REFUSAL_LINES:
            logger.info("%s", line)


class Dispatch:
    """All methods, with what is common to them."""

    def __init__(self, methods: Methods, authorizer: Authorizer, budget: Budget, measures: ServiceMeasures) -> None:
        self._methods = methods
        self._authorizer = authorizer
        self.budget = budget
        self._measures = measures
        self._refusals = RefusalLog()

    @property
    def running(self) -> int:
        """Number of calls that are running."""
        return self.budget.calls.used

    async def call(self, envelope: Envelope, receive: Receive, holds: ExitStack) -> Reply:
        """Identify the caller, then receive the request, then carry it out. Raises ServiceError and nothing else.

        `holds` gets what the call holds of the budget: the transport closes it when the reply was sent.
        """
        method, limits = envelope.method, self.budget.limits
        began, code, user = time.perf_counter(), "OK", ""
        try:
            async with asyncio.timeout(limits.seconds):
                caller, owner = await self.enter(envelope, holds)
                user = caller.user
                reply = holds.enter_context(self.budget.replies.hold(owner))
                call = Call(caller, method, envelope.headers.get("idempotency-key", ""), reply)
                request = await receive(holds.enter_context(self.budget.bodies.hold(owner)))
                return Reply(await self._methods[method](request, call), reply)
        except ServiceError as error:
            code = error.code.name
            if error.code not in (Code.NOT_FOUND, Code.INVALID_ARGUMENT):
                self._refusals.log(code, f"{method} by {user or envelope.peer or 'nobody'}: {code}: {error.message}")
            raise
        except Exception as error:
            refusal = self._refusal(method, error)
            code = refusal.code.name
            try:
                raise refusal from (None if isinstance(error, TimeoutError) else error)
            finally:
                # The traceback refers to this frame, and the frame must not refer to it: a cycle would keep the request.
                del refusal
        finally:
            self._measures.call(method, code, time.perf_counter() - began)

    def _refusal(self, method: str, error: Exception) -> ServiceError:
        """What a client gets to know of an error."""
        if isinstance(error, TimeoutError):
            return ServiceError(Code.DEADLINE_EXCEEDED, f"no reply within {self.budget.limits.seconds:.0f} s")
        return to_service_error(method, error) if isinstance(error, ApiError) else internal_error(method, error)

    async def enter(self, envelope: Envelope, holds: ExitStack) -> tuple[Caller, str]:
        """Identify the caller and take a place among the calls; returns the owner of what the call uses. Raises ServiceError."""
        if any(name.startswith(IMPERSONATION) for name in envelope.headers):
            raise invalid_argument("Impersonate-* headers are not supported: call with a token of that user")
        owner, caller = peer_owner(envelope.peer), Caller("")
        if envelope.method not in PUBLIC_METHODS:
            caller = await self._authorizer.identify(envelope.headers.get("authorization", ""), owner)
            if ANONYMOUS_GROUP not in caller.groups:
                owner = user_owner(caller.user)
        holds.enter_context(self.budget.calls.hold(owner, 1))
        return caller, owner


def to_service_error(method: str, error: ApiError) -> ServiceError:
    """Map an error of the API server to a gRPC status. Drops its text, which may name objects the client may not see."""
    if error.code in (0, 429, 500, 502, 503, 504):
        logger.warning("%s: the API server: %s", method, error)
        return unavailable("the Kubernetes API server does not answer; try again in a moment")
    if error.code == 409:
        return ServiceError(Code.ABORTED, "the object was changed at the same time; try again")
    return internal_error(method, error)


def internal_error(method: str, error: Exception) -> ServiceError:
    """The error for a failure of the service. The log has its cause under the id that the message names."""
    id = secrets.token_hex(4)
    logger.error("%s failed (id %s): %s: %s", method, id, type(error).__name__, error, exc_info=error)
    return ServiceError(Code.INTERNAL, f"Internal Server Error (id {id}: the log of the run service has it)")
