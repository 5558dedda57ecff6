"""Errors of requests to the API server, and how replies map to them."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import cast

from runwright.kube.objects import Json, as_mapping, as_text


class ApiError(Exception):
    """The API server refused a request, or could not be reached (`code` 0)."""

    def __init__(
        self, code: int, reason: str, message: str, causes: tuple[str, ...] = (), wait: float | None = None
    ) -> None:
        super().__init__(f"{code} {reason}: {message}")
        self.code = code
        """HTTP status; 0 where there was no reply: the request may or may not have been carried out."""
        self.reason = reason
        """`reason` of Kubernetes' Status, such as AlreadyExists, Conflict, NotFound, Invalid."""
        self.message = message
        self.wait = wait
        """Seconds after which a retry makes sense; None where that is unknown."""
        self.causes = causes
        """`reason` of each of the Status' causes, such as NamespaceTerminating."""


def status_error(code: int, body: bytes) -> ApiError:
    """Map a reply that is not a success; the API server writes a Status as its body, a proxy may write anything."""
    status: Json = {}
    with suppress(ValueError, RecursionError):
        status = as_mapping(json.loads(body))
    found = as_mapping(status.get("details")).get("causes")
    causes = cast(list[object], found) if isinstance(found, list) else []
    return ApiError(
        code,
        as_text(status.get("reason")) or "Unknown",
        as_text(status.get("message")) or body[:500].decode(errors="replace"),
        tuple(as_text(as_mapping(cause).get("reason")) for cause in causes),
    )


def unreachable(error: Exception) -> ApiError:
    """Map a request that got no reply."""
    return ApiError(0, "Unreachable", f"no reply from the API server: {type(error).__name__}: {error}")


def not_served(resource: object) -> ApiError:
    """The error for a kind that the API server does not serve."""
    return ApiError(404, "NotServed", f"{resource} are not served by this cluster: install the CRDs")


def error_line(error: BaseException) -> str:
    """Reason and message of an error, on one line."""
    reason, message = type(error).__name__, str(error)
    if isinstance(error, ApiError):
        reason, message = f"{error.code} {error.reason}" if error.code else error.reason, error.message
    return f"{reason}: {' '.join(message.split())}"
