"""A gRPC channel whose streams send a token, for clients such as reflection that take no metadata."""

from __future__ import annotations

from typing import Any, NamedTuple

import grpc


class Details(NamedTuple):
    """What a client says of a call, to gRPC's interceptors."""

    method: str
    timeout: float | None
    metadata: Any
    credentials: Any
    wait_for_ready: bool | None
    compression: Any


class WithToken(grpc.StreamStreamClientInterceptor):
    """Adds a token to each stream."""

    def __init__(self, token: str) -> None:
        self._metadata = (("authorization", f"Bearer {token}"),)

    @staticmethod
    def on(channel: Any, token: str) -> Any:
        """The channel, with the token."""
        return grpc.intercept_channel(channel, WithToken(token))

    def intercept_stream_stream(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        """See gRPC."""
        it = client_call_details
        details = Details(it.method, it.timeout, self._metadata, it.credentials, it.wait_for_ready, it.compression)
        return continuation(details, request_iterator)
