"""Reads the output artifacts of runs: locates, fetches and unpacks them as a stream.

KFP's ReadArtifact returns the object without unpacking it (run.proto: `ReadArtifactResponse.data`): `raw=True`.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Mapping
from contextlib import AsyncExitStack, aclosing, contextmanager

from runwright.api.resources import REFERENCED
from runwright.artifacts.allowed import ARGO_CONFIG_MAPS, AllowedStores, argo_endpoints
from runwright.artifacts.blobs import Blobs
from runwright.artifacts.direct import DirectStore
from runwright.artifacts.hosts import Endpoint
from runwright.artifacts.locate import Located, locate_artifact
from runwright.artifacts.packing import Packing, make_unpacker
from runwright.artifacts.places import (
    CONTROL,
    MAX_KEY,
    ArtifactError,
    GcsPlace,
    RawPlace,
    SecretKey,
    StorePlace,
    quote_name,
)
from runwright.artifacts.stores import ObjectStore, Opened
from runwright.artifacts.unpacker import PackingError
from runwright.artifacts.untar import BLOCK, MAX_PADDING, TAR_END, tar_header, tar_padding
from runwright.core.workflow.build import ObjectRef
from runwright.kube.client import Client
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, Key, as_mapping, as_text, key_of
from runwright.kube.resource import CONFIG_MAPS, SECRETS

__all__ = ["AllowedStores", "ArtifactError", "Artifacts"]

logger = logging.getLogger(__name__)

MAX_OBJECTS = 100_000
"""Maximum objects of a directory that was saved with `archive: none`."""

ARGO_SECONDS = 60.0
"""How long Argo's configuration is used until it is read again."""


class Artifacts:
    """The output artifacts of Workflows, which come from the cluster or from a WorkflowSnapshot.

    Its methods raise ArtifactError, also in the middle of a stream, if an artifact is missing, refused or damaged.
    """

    def __init__(self, client: Client, allowed: AllowedStores | None) -> None:
        """`allowed` are the stores that may be contacted, and with which identity.

        None: all but metadata services, for a process that runs as the user. A service must restrict them: a Workflow can
        name any host and any bucket, and the service would return what its user may not read.
        """
        self._client = client
        self._allowed = allowed
        self._of_argo: frozenset[Endpoint] = frozenset()
        self._of_argo_until = 0.0

    async def read(
        self, workflow: Json, node_id: str, name: str, *, raw: bool = False, limit: int | None = None
    ) -> AsyncGenerator[bytes]:
        """Streams an artifact as the user's program wrote it.

        Yields a file unpacked, and a directory as a tar, or as a zip if it was saved as one. With `raw`, yields the object
        in the bucket unchanged. TooLarge if more than `limit` bytes would be yielded: before the first of them, if the
        store says so. Close the generator (`aclosing`) if you do not read all of it.
        """
        with name_artifact_in_errors(workflow, node_id, name):
            async with AsyncExitStack() as stack:
                located, source = await self._open(workflow, node_id, name, limit, stack)
                packing = Packing.NONE if raw else located.packing
                if limit is not None and packing == Packing.NONE and source.size > limit:
                    raise too_large_error(limit)
                given = 0
                async with aclosing(unpack_stream(source.chunks, packing)) as pieces:
                    async for piece in pieces:
                        given += len(piece)
                        if limit is not None and given > limit:
                            raise too_large_error(limit)
                        yield piece

    async def read_small(self, workflow: Json, node_id: str, name: str, limit: int) -> bytes:
        """Reads a whole artifact, as `read` does; TooLarge if it has more than `limit` bytes, packed or unpacked."""
        with name_artifact_in_errors(workflow, node_id, name):
            async with AsyncExitStack() as stack:
                located, source = await self._open(workflow, node_id, name, limit, stack)
                return await read_whole(located.packing, source, limit)

    async def _open(
        self, workflow: Json, node_id: str, name: str, limit: int | None, stack: AsyncExitStack
    ) -> tuple[Located, Opened]:
        namespace = key_of(workflow).namespace
        located = await self._locate(workflow, node_id, name, namespace)
        place = located.place
        if isinstance(place, RawPlace):
            data = place.data.encode("utf-8", "surrogatepass")
            # Argo does not pack artifacts in the Workflow itself.
            return Located(place, Packing.NONE), Opened(len(data), single_chunk(data))
        await self._check(place)
        store = make_store(place, await self._secrets(namespace, place), loopback=self._allowed is None)
        stack.push_async_callback(store.close)
        if not place.key.endswith("/"):
            try:
                return located, await store.open(place.key)
            except ArtifactError as error:
                # Argo saves a directory with `archive: none` as one object per file, under the key.
                if error.reason != "ObjectNotFound" or located.packing != Packing.NONE:
                    raise
                missing = error
        else:
            missing = ArtifactError(
                "ObjectNotFound", f"bucket {place.store} has no object under {quote_name(place.key)}"
            )
        there: list[tuple[str, int]] = []
        async for entry in store.list(place.key):
            there.append(entry)
            if limit is not None and len(there) * BLOCK > limit:
                raise too_large_error(limit)
            if len(there) > MAX_OBJECTS:
                raise ArtifactError("TooLarge", f"the directory has more than {MAX_OBJECTS} objects")
        if not there:
            raise missing
        whole = sum(size for _, size in there)
        return Located(place, Packing.NONE), Opened(whole, tar_directory(store, place, there))

    async def _check(self, place: StorePlace) -> None:
        """Raises ArtifactError if the place may not be read."""
        if self._allowed is None or self._allowed.permits(place):
            return
        if place.own_identity or not self._allowed.permits(place, await self._argo_endpoints(self._allowed)):
            raise self._allowed.refusal(place)

    async def _argo_endpoints(self, allowed: AllowedStores) -> frozenset[Endpoint]:
        """The servers of Argo's own artifact repositories, read at most once in `ARGO_SECONDS`."""
        now = asyncio.get_running_loop().time()
        if allowed.argo_namespace and now >= self._of_argo_until:
            found: list[Json] = []
            for name in ARGO_CONFIG_MAPS:
                try:
                    config_map = await self._client.get(CONFIG_MAPS, Key(allowed.argo_namespace, name))
                except ApiError as error:
                    logger.debug("ConfigMap %s/%s cannot be read: %s", allowed.argo_namespace, name, error)
                else:
                    found += [config_map] if config_map is not None else []
            self._of_argo = await asyncio.to_thread(argo_endpoints, found)
            self._of_argo_until = now + ARGO_SECONDS
        return self._of_argo

    async def _locate(self, workflow: Json, node_id: str, name: str, namespace: str) -> Located:
        objects: dict[ObjectRef, Json | None] = {}
        namespaces = self._allowed.config_map_namespaces(namespace) if self._allowed is not None else None
        while True:
            found = await asyncio.to_thread(locate_artifact, workflow, node_id, name, objects, namespaces)
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


def make_store(place: StorePlace, secrets: Mapping[str, str], *, loopback: bool) -> ObjectStore:
    """The store of a place. `loopback` permits names that lead to this machine. Raises ArtifactError."""
    if place.cloud or isinstance(place, GcsPlace):
        return Blobs(place, secrets)
    return DirectStore(place, secrets, loopback=loopback)


async def read_whole(packing: Packing, source: Opened, limit: int) -> bytes:
    """Reads and unpacks an object; TooLarge if it has more than `limit` bytes, packed or unpacked."""
    if source.size > limit:
        raise too_large_error(limit)
    inflated = 0

    def count(more: int) -> None:
        nonlocal inflated
        inflated += more
        if inflated > limit + MAX_PADDING:
            raise too_large_error(limit)

    whole = bytearray()
    async with aclosing(unpack_stream(source.chunks, packing, count)) as pieces:
        async for piece in pieces:
            whole += piece
            if len(whole) > limit:
                raise too_large_error(limit)
    return bytes(whole)


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


async def tar_directory(store: ObjectStore, place: StorePlace, there: list[tuple[str, int]]) -> AsyncIterator[bytes]:
    """Streams the objects under the place's key as a tar of a directory."""
    folder = place.key.rstrip("/")
    top = folder.rpartition("/")[2]
    for key, size in there:
        name = key.removeprefix(folder)
        if (
            not name.startswith("/")
            or any(part in ("", ".", "..") for part in name[1:].split("/"))
            or (CONTROL.search(name) or len(key.encode()) > MAX_KEY)
        ):
            raise ArtifactError(
                "Unsupported", f"the directory has an object with an invalid file name: {quote_name(key)}"
            )
        yield tar_header(f"{top}{name}", size)
        opened, given = await store.open(key), 0
        async for chunk in opened.chunks:
            given += len(chunk)
            yield chunk
        if given != size:
            raise ArtifactError("Unreachable", f"the object {quote_name(key)} changed while it was read")
        yield tar_padding(size)
    yield TAR_END
