"""What goes wrong with a request to the API server."""

from __future__ import annotations


class ApiError(Exception):
    """The API server refused a request, or could not be reached (`code` 0)."""

    def __init__(
        self, code: int, reason: str, message: str, causes: tuple[str, ...] = (), wait: float | None = None
    ) -> None:
        super().__init__(f"{code} {reason}: {message}")
        self.code = code
        """HTTP status; 0 where there was no reply: whether the request was carried out is then unknown."""
        self.reason = reason
        """The `reason` of Kubernetes' Status, such as AlreadyExists, Conflict, NotFound, Invalid."""
        self.message = message
        self.wait = wait
        """Seconds after which it is worth another try, where that is known."""
        self.causes = causes
        """The `reason` of each of the Status' causes, such as NamespaceTerminating."""
