"""Reads the output artifacts of runs: locates, fetches and unpacks them as a stream.

KFP's ReadArtifact returns the object without unpacking it (run.proto: `ReadArtifactResponse.data`): `raw=True`.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Generator
from contextlib import aclosing, contextmanager

from runwright.api.resources import REFERENCED
from runwright.artifacts.blobs import Blobs, Opened, StorePlace
from runwright.artifacts.locate import Located, locate_artifact
from runwright.artifacts.packing import Packing, make_unpacker
from runwright.artifacts.places import ArtifactError, RawPlace, SecretKey, quote_name
from runwright.artifacts.unpacker import PackingError
from runwright.artifacts.untar import MAX_PADDING, TAR_END, tar_header, tar_padding
from runwright.core.workflow.build import ObjectRef
from runwright.kube.client import Client
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, Key, as_mapping, as_text, key_of
from runwright.kube.resource import SECRETS

__all__ = ["ArtifactError", "Artifacts"]


class Artifacts:
    """The output artifacts of Workflows, which come from the cluster or from a WorkflowSnapshot.

    Its methods raise ArtifactError, also in the middle of a stream, if an artifact is missing, refused or damaged.
    """

    def __init__(self, client: Client, own_identity_for: Collection[str] | None = None) -> None:
        """`own_identity_for` are the buckets (HOST/BUCKET) that may be read with the identity of this process.

        None: all buckets, for a process that runs as the user. A service must restrict them: a Workflow can name any
        bucket, and the service would return objects that its user may not read.
        """
        self._client = client
        self._own_identity_for = own_identity_for

    async def read(self, workflow: Json, node_id: str, name: str, *, raw: bool = False) -> AsyncGenerator[bytes]:
        """Streams an artifact as the user's program wrote it.

        Yields a file unpacked, and a directory as a tar, or as a zip if it was saved as one. With `raw`, yields the object
        in the bucket unchanged. Close the generator (`aclosing`) if you do not read all of it.
        """
        with name_artifact_in_errors(workflow, node_id, name):
            located, source = await self._open(workflow, node_id, name)
            packing = Packing.NONE if raw else located.packing
            async with aclosing(unpack_stream(source.chunks, packing)) as pieces:
                async for piece in pieces:
                    yield piece

    async def read_small(self, workflow: Json, node_id: str, name: str, limit: int) -> bytes:
        """Reads a whole artifact, as `read` does; TooLarge if it has more than `limit` bytes, packed or unpacked."""
        with name_artifact_in_errors(workflow, node_id, name):
            located, source = await self._open(workflow, node_id, name)
            if source.size > limit:
                raise too_large_error(limit)
            inflated = 0

            def count(more: int) -> None:
                nonlocal inflated
                inflated += more
                if inflated > limit + MAX_PADDING:
                    raise too_large_error(limit)

            whole = bytearray()
            async with aclosing(unpack_stream(source.chunks, located.packing, count)) as pieces:
                async for piece in pieces:
                    whole += piece
                    if len(whole) > limit:
                        raise too_large_error(limit)
            return bytes(whole)

    async def _open(self, workflow: Json, node_id: str, name: str) -> tuple[Located, Opened]:
        located = await self._locate(workflow, node_id, name)
        place = located.place
        if isinstance(place, RawPlace):
            data = place.data.encode("utf-8", "surrogatepass")
            # Argo does not pack artifacts in the Workflow itself.
            return Located(place, Packing.NONE), Opened(len(data), single_chunk(data))
        if place.own_identity and self._own_identity_for is not None and place.store not in self._own_identity_for:
            raise ArtifactError(
                "Refused",
                f"the Workflow names no Secret for bucket {place.store}, and the bucket is not among those that may be "
                f"read with the identity of this process",
            )
        blobs = Blobs(place, await self._secrets(key_of(workflow).namespace, place))
        if not place.key.endswith("/"):
            try:
                return located, await blobs.open(place.key)
            except ArtifactError as error:
                # Argo saves a directory with `archive: none` as one object per file, under the key.
                if error.reason != "ObjectNotFound" or located.packing != Packing.NONE:
                    raise
                missing = error
        else:
            missing = ArtifactError(
                "ObjectNotFound", f"bucket {place.store} has no object under {quote_name(place.key)}"
            )
        there = [entry async for entry in blobs.list(place.key)]
        if not there:
            raise missing
        whole = sum(size for _, size in there)
        return Located(place, Packing.NONE), Opened(whole, tar_directory(blobs, place, there))

    async def _locate(self, workflow: Json, node_id: str, name: str) -> Located:
        objects: dict[ObjectRef, Json | None] = {}
        while True:
            found = await asyncio.to_thread(locate_artifact, workflow, node_id, name, objects)
            if isinstance(found, Located):
                return found
            for ref in found.objects:
                objects[ref] = await self._config_map(ref)

    async def _config_map(self, ref: ObjectRef) -> Json | None:
        try:
            return await self._client.get(REFERENCED[ref.kind], Key(ref.namespace, ref.name))
        except ApiError as error:
            raise api_refusal(f"{ref}, which names the bucket", error) from error

    async def _secrets(self, namespace: str, place: StorePlace) -> dict[str, str]:
        secrets: dict[str, Json | None] = {}
        values: dict[str, str] = {}
        for field, wanted in place.secrets.items():
            if wanted.name not in secrets:
                try:
                    secrets[wanted.name] = await self._client.get(SECRETS, Key(namespace, wanted.name))
                except ApiError as error:
                    raise api_refusal(f"Secret {quote_name(wanted.name)}, which {field} names", error) from error
            values[field] = secret_value(field, wanted, namespace, secrets[wanted.name])
        return values


def secret_value(field: str, wanted: SecretKey, namespace: str, secret: Json | None) -> str:
    """The text under a key of a Secret; None is a missing Secret. Raises ArtifactError."""
    where = f"{field}: Secret {quote_name(wanted.name)} in namespace {quote_name(namespace)}"
    if secret is None:
        raise ArtifactError("Refused", f"{where} does not exist")
    data = as_mapping(secret.get("data"))
    if wanted.key not in data:
        raise ArtifactError("Refused", f"{where} has no key {quote_name(wanted.key)}")
    try:
        return base64.b64decode(as_text(data[wanted.key])).decode()
    except (binascii.Error, ValueError):
        raise ArtifactError("Refused", f"{where}, key {quote_name(wanted.key)}: expected text") from None


def api_refusal(what: str, error: ApiError) -> ArtifactError:
    """Maps an error of the API server for the object `what`."""
    if error.code == 403:
        return ArtifactError("Refused", f"not allowed to read {what}: {error.message}")
    return ArtifactError("Unreachable", f"the API server did not return {what}: {error}")


def too_large_error(limit: int) -> ArtifactError:
    """The error for an artifact over the limit."""
    return ArtifactError("TooLarge", f"it has more than {limit} bytes")


@contextmanager
def name_artifact_in_errors(workflow: Json, node_id: str, name: str) -> Generator[None]:
    """Adds run, node and artifact to the message of each ArtifactError."""
    key = key_of(workflow)
    try:
        yield
    except ArtifactError as error:
        about = f"run {key.namespace}/{key.name}, node {quote_name(node_id)}, artifact {quote_name(name)}"
        raise ArtifactError(error.reason, f"{about}: {error.message}") from error


async def single_chunk(data: bytes) -> AsyncIterator[bytes]:
    """A stream of one chunk."""
    yield data


async def unpack_stream(
    chunks: AsyncIterator[bytes], packing: Packing, inflated: Callable[[int], None] = lambda _: None
) -> AsyncGenerator[bytes]:
    """Unpacks a stream of an object's chunks, each piece in a thread: a megabyte takes milliseconds."""
    if packing == Packing.NONE:
        async for chunk in chunks:
            yield chunk
        return
    undo = make_unpacker(packing, inflated)
    try:
        async for chunk in chunks:
            made = undo.feed(chunk)
            while (piece := await asyncio.to_thread(next, made, None)) is not None:
                yield piece
        rest = undo.end()
        while (piece := await asyncio.to_thread(next, rest, None)) is not None:
            yield piece
    except PackingError as error:
        raise ArtifactError("Unsupported", str(error)) from error


async def tar_directory(blobs: Blobs, place: StorePlace, there: list[tuple[str, int]]) -> AsyncIterator[bytes]:
    """Streams the objects under the place's key as a tar of a directory."""
    folder = place.key.rstrip("/")
    top = folder.rpartition("/")[2]
    for key, size in there:
        name = key.removeprefix(folder)
        if not name.startswith("/") or any(part in ("", ".", "..") for part in name[1:].split("/")):
            raise ArtifactError(
                "Unsupported", f"the directory has an object with an invalid file name: {quote_name(key)}"
            )
        yield tar_header(f"{top}{name}", size)
        opened, given = await blobs.open(key), 0
        async for chunk in opened.chunks:
            given += len(chunk)
            yield chunk
        if given != size:
            raise ArtifactError("Unreachable", f"the object {quote_name(key)} changed while it was read")
        yield tar_padding(size)
    yield TAR_END
