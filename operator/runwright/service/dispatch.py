"""Carries out calls, from REST and gRPC: authentication, limits, mapping of errors, metrics."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass

from google.protobuf.message import Message

from runwright.kube.errors import ApiError
from runwright.service.calls import Authorizer, Call, Caller, Methods
from runwright.service.errors import Code, ServiceError, invalid_argument, unavailable
from runwright.service.measures import ServiceMeasures

logger = logging.getLogger(__name__)

PUBLIC_METHODS = frozenset({"HealthzService/GetHealthz"})
"""Methods that need no authentication."""

REQUEST_SECONDS = 60.0
MAX_CALLS = 256
"""Calls that run at the same time; more are refused with RESOURCE_EXHAUSTED."""

IMPERSONATION = "impersonate-"


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of requests."""

    request_bytes: int = 10 * 1024 * 1024
    seconds: float = REQUEST_SECONDS
    at_a_time: int = MAX_CALLS


class Dispatch:
    """All methods, with what is common to them."""

    def __init__(self, methods: Methods, authorizer: Authorizer, limits: Limits, measures: ServiceMeasures) -> None:
        self._methods = methods
        self._authorizer = authorizer
        self._limits = limits
        self._measures = measures
        self._running = 0

    @property
    def running(self) -> int:
        """Number of calls that are running."""
        return self._running

    async def call(self, method: str, request: Message, headers: Mapping[str, str]) -> Message:
        """Call `Service/Method`; `headers` have lower-case names. Raises ServiceError and nothing else."""
        began, code, user = time.perf_counter(), "OK", ""
        self._running += 1
        try:
            if self._running > self._limits.at_a_time:
                raise ServiceError(Code.RESOURCE_EXHAUSTED, "too many calls are running; try again in a moment")
            async with asyncio.timeout(self._limits.seconds):
                call = await self._identified(method, headers)
                user = call.caller.user
                return await self._methods[method](request, call)
        except TimeoutError:
            error = ServiceError(Code.DEADLINE_EXCEEDED, f"no reply within {self._limits.seconds:.0f} s")
            code = error.code.name
            raise error from None
        except ServiceError as error:
            code = error.code.name
            if error.code not in (Code.NOT_FOUND, Code.INVALID_ARGUMENT):
                logger.info("%s by %s: %s: %s", method, user or "nobody", code, error.message)
            raise
        except ApiError as error:
            translated = to_service_error(method, error)
            code = translated.code.name
            raise translated from error
        except Exception as error:
            translated = internal_error(method, error)
            code = translated.code.name
            raise translated from error
        finally:
            self._running -= 1
            self._measures.call(method, code, time.perf_counter() - began)

    async def _identified(self, method: str, headers: Mapping[str, str]) -> Call:
        if any(name.startswith(IMPERSONATION) for name in headers):
            raise invalid_argument("Impersonate-* headers are not supported: call with a token of that user")
        if method in PUBLIC_METHODS:
            return Call(Caller(""), method)
        caller = await self._authorizer.identify(headers.get("authorization", ""))
        return Call(caller, method, headers.get("idempotency-key", ""))


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
