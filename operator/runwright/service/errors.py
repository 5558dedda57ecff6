"""Errors of calls: a gRPC status code and a message."""

from __future__ import annotations

from enum import IntEnum

from runwright.kube.errors import ApiError


class Code(IntEnum):
    """The gRPC status codes that the run service returns."""

    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16

    @property
    def http_status(self) -> int:
        """The HTTP status of the code, as grpc-gateway 1.16 (KFP 1.8.22) maps it."""
        return HTTP_STATUS[self]


HTTP_STATUS = {
    Code.CANCELLED: 408,
    Code.UNKNOWN: 500,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.UNAUTHENTICATED: 401,
}


class ServiceError(Exception):
    """A call failed. The client gets the code and the message, and nothing else."""

    def __init__(self, code: Code, message: str) -> None:
        """`message` names the object or the field, and what was expected."""
        super().__init__(message)
        self.code = code
        self.message = message

    def within(self, what: str) -> ServiceError:
        """The same error, with a prefix that says what failed."""
        return ServiceError(self.code, f"{what}: {self.message}")


def invalid_argument(message: str) -> ServiceError:
    """The error for a request that cannot succeed; the message names the field and what was expected."""
    return ServiceError(Code.INVALID_ARGUMENT, message)


def not_found(kind: str, id: str) -> ServiceError:
    """The error for an id without an object."""
    return ServiceError(Code.NOT_FOUND, f"{kind} {id} not found.")


def unavailable(message: str) -> ServiceError:
    """The error for a request that may succeed a moment later."""
    return ServiceError(Code.UNAVAILABLE, message)


def to_client_error(error: ApiError) -> ServiceError | None:
    """Map the API server's refusal of an object to a client's error; None for errors that are not about the request."""
    if error.code in (400, 413, 422):
        return invalid_argument(error.message)
    if error.code == 403:
        # The caller's rights were checked: what remains are quotas, admission policies, and terminating namespaces.
        return ServiceError(Code.FAILED_PRECONDITION, error.message)
    if error.code == 404:
        return ServiceError(Code.NOT_FOUND, error.message)
    return None
