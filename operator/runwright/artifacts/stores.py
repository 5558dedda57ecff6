"""What all object stores have in common: their interface, their time limits, and the messages of their errors.

Only the error code of a store's reply is passed on: its text can contain the request, with signature and access key.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from runwright.artifacts.places import ArtifactError, quote_name

CONNECT_SECONDS, READ_SECONDS = 5, 20
"""Timeouts of a connection and of the wait for the next bytes. Callers limit the time of a whole artifact."""

OWN_IDENTITY = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a web identity, or the node's role",
    "gcs": "GOOGLE_APPLICATION_CREDENTIALS, or workload identity",
    "azure": "AZURE_CLIENT_ID and what belongs to it, or workload identity",
    "server": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
}
"""What a process needs to read with its own identity. A web identity and a role are of use in AWS only."""

NO_BUCKET = ("NoSuchBucket", "ContainerNotFound")
NO_OBJECT = ("NoSuchKey", "BlobNotFound", "ResourceNotFound", "")


@dataclass(frozen=True, slots=True)
class Opened:
    """An open object."""

    size: int
    chunks: AsyncIterator[bytes]


class ObjectStore(Protocol):
    """A bucket or container. Close it after use."""

    async def open(self, key: str) -> Opened:
        """Opens the object with this key; its chunks are fetched on demand. Raises ArtifactError."""
        ...

    def list(self, folder: str) -> AsyncIterator[tuple[str, int]]:
        """Key and size of each object under a folder. Raises ArtifactError."""
        ...

    async def close(self) -> None:
        """Closes all connections."""
        ...


def missing(where: str, key: str, code: str) -> ArtifactError | None:
    """The error for a bucket or object that does not exist; None if the code has another meaning."""
    if code in NO_BUCKET:
        return ArtifactError("ObjectNotFound", f"{where} does not exist")
    if code in NO_OBJECT:
        return ArtifactError("ObjectNotFound", f"{where} has no object with the key {quote_name(key)}")
    return None


def refused_key(where: str, key: str, code: str, status: str) -> ArtifactError:
    """The error for a request that the store refuses."""
    reply = ", ".join(part for part in (code, f"HTTP {status}" if status else "") if part)
    return ArtifactError(
        "Refused", f"{where} refused to give the key {quote_name(key)}{f' ({reply})' if reply else ''}"
    )
