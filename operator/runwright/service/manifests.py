"""Manifests that runs share: each is stored once in its namespace, as a PipelineManifest named by its digest.

They have no owner references: those of ten thousand runs would not fit into the metadata. A sweep deletes those that no run
uses, and a run that is refused takes along the manifest that was stored for it.

A deletion names the resource version that was read. A call that finds its manifest stored writes USED_AT, unless that was
written within RENEWAL, and so changes the version: neither the sweep nor a refused call deletes it before the run exists.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta

from cachetools import LRUCache, TTLCache

from runwright.api.labels import MANIFEST_LABEL, USED_AT
from runwright.api.pipelinemanifest import KIND, digest_label, manifest_name
from runwright.api.resources import API_VERSION, PIPELINE_MANIFESTS, PIPELINE_RUNS
from runwright.core.workflow.manifest import digest_of
from runwright.kube.client import Client, Form, list_objects
from runwright.kube.clock import Clock
from runwright.kube.edit import edit_until_accepted
from runwright.kube.errors import ApiError
from runwright.kube.objects import (
    Json,
    Key,
    annotations_of,
    as_mapping,
    as_text,
    as_time,
    key_of,
    labels_of,
    metadata_of,
    uid_of,
    version_of,
)
from runwright.kube.resource import CONFIG_MAPS, Selection
from runwright.kube.supervise import Backoff, LoopGroup
from runwright.service.errors import Code, ServiceError, to_client_error
from runwright.service.present import ManifestRef
from runwright.service.single_flight import SingleFlight

logger = logging.getLogger(__name__)

RENEWAL = timedelta(minutes=10)
UNUSED = timedelta(hours=1)
"""Minimum age of the last use before the sweep deletes one: far more than RENEWAL and the time between the two writes."""

SWEEP_SECONDS = 600.0
BACKOFF = Backoff(5.0, 60.0)
"""Pauses after sweeps that failed."""

KNOWN_SECONDS = 60.0
"""How long a PipelineManifest whose use was just recorded is assumed to exist."""

MAX_KNOWN = 10_000

CACHE_BYTES = 32 * 1024 * 1024
"""Size of the cache of manifests that were read."""


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """A PipelineManifest in which the manifest of a new run is."""

    key: Key
    created: Json | None = None
    """The object, if it was created for this run."""


class Manifests:
    """The manifests of all namespaces."""

    def __init__(self, client: Client, clock: Clock, namespaces: tuple[str, ...] = ()) -> None:
        """`namespaces` are the ones to sweep; none means all."""
        self._client = client
        self._clock = clock
        self._namespaces = namespaces or ("",)
        self._cache = LRUCache[ManifestRef, str](CACHE_BYTES, getsizeof=sys.getsizeof)
        self._reads = SingleFlight[str]()
        self._known = TTLCache[Key, bool](MAX_KNOWN, KNOWN_SECONDS)

    # --------------------------------------------------------------------------------------------------------- store

    async def store(self, namespace: str, manifest: str) -> StoredManifest:
        """Store the manifest for a run that is created next. The sweep leaves it alone for UNUSED.

        Raises ApiError, and ServiceError where the API server refuses it, or another object has its name.
        """
        ref = ref_by_digest(namespace, manifest)
        key = Key(namespace, ref.name)
        if key in self._known:
            return StoredManifest(key)

        async def write(found: Json | None) -> Json | None:
            return await self._create(ref, manifest) if found is None else await self._record_use(ref, found)

        created = await edit_until_accepted(lambda: self._client.get(PIPELINE_MANIFESTS, key), write)
        if created is None:
            # Not for one that was just created: the first call may still delete it.
            self._known[key] = True
        return StoredManifest(key, created)

    async def _create(self, ref: ManifestRef, manifest: str) -> Json:
        labels = {MANIFEST_LABEL: digest_label(ref.digest)}
        metadata = {"name": ref.name, "namespace": ref.namespace, "labels": labels}
        body = {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "manifest": manifest}
        try:
            return await self._client.create(PIPELINE_MANIFESTS, body)
        except ApiError as error:
            if error.reason == "AlreadyExists":
                raise ApiError(409, "Conflict", error.message) from error
            raise to_client_error(error) or error from error

    async def _record_use(self, ref: ManifestRef, found: Json) -> None:
        key = key_of(found)
        if digest_of(as_text(found.get("manifest"))) != ref.digest:
            raise ServiceError(
                Code.FAILED_PRECONDITION,
                f"PipelineManifest {key}: expected the manifest with digest {ref.digest}; delete it, it is not ours",
            )
        used, now = as_time(annotations_of(found).get(USED_AT)), self._clock.now()
        if used is None or not timedelta() <= now - used < RENEWAL:
            patch = {"metadata": {"uid": uid_of(found), "annotations": {USED_AT: now.isoformat()}}}
            if await self._client.patch(PIPELINE_MANIFESTS, key, patch) is None:
                raise ApiError(
                    409, "Conflict", f"PipelineManifest {key} was deleted while its use was recorded; try again"
                )

    async def discard(self, stored: StoredManifest) -> None:
        """Delete a manifest again whose run was refused, if it was created for this run and no other run uses it.

        An error is logged: the sweep deletes it later.
        """
        if stored.created is None:
            return
        try:
            await self._delete(stored.created)
        except ApiError as error:
            logger.warning("PipelineManifest %s, whose run was refused, is left to the sweep: %s", stored.key, error)

    # ---------------------------------------------------------------------------------------------------------- read

    async def read(self, ref: ManifestRef) -> str:
        """Return the manifest; empty where there is none that runs may read, or it has another digest. Raises ApiError."""
        if (cached := self._cache.get(ref)) is not None:
            return cached
        # Many runs on a page have the same manifest.
        return await self._reads.call(ref, lambda: self._fetch(ref))

    async def _fetch(self, ref: ManifestRef) -> str:
        try:
            found = await self._client.get(CONFIG_MAPS if ref.key else PIPELINE_MANIFESTS, Key(ref.namespace, ref.name))
        except ApiError as error:
            # One run must not make the list of its namespace fail.
            if error.code not in (400, 403, 404, 422):
                raise
            logger.warning("manifest %s/%s is shown as empty: %s", ref.namespace, ref.name, error)
            return ""
        manifest = manifest_in(found or {}, ref.key)
        if ref.digest and manifest and digest_of(manifest) != ref.digest:
            return ""
        # Without a digest it may change at any time.
        if ref.digest and manifest:
            self._cache[ref] = manifest
        return manifest

    # --------------------------------------------------------------------------------------------------------- sweep

    def start_sweeps(self, loops: LoopGroup, in_use: Callable[[], set[Key] | None]) -> None:
        """Sweep every SWEEP_SECONDS."""

        async def step() -> float:
            if deleted := await self.sweep(in_use):
                logger.info("deleted %d manifests that no run uses", deleted)
            return SWEEP_SECONDS

        loops.start(
            "manifests sweep",
            step,
            after=SWEEP_SECONDS,
            limit=SWEEP_SECONDS,
            backoff=BACKOFF,
            essential=False,
        )

    async def sweep(self, in_use: Callable[[], set[Key] | None]) -> int:
        """Delete the PipelineManifests of the service that no run uses and none has used for UNUSED; returns their number.

        `in_use` returns those that runs name, None while not all runs are known. Raises ApiError.
        """
        deleted, used = 0, in_use()
        if used is None:
            return 0
        for namespace in self._namespaces:
            selection = Selection(namespace, labels=MANIFEST_LABEL)
            async for item in list_objects(self._client, PIPELINE_MANIFESTS, selection, form=Form.METADATA):
                if key_of(item) not in used and is_service_made(item) and self._expired(item):
                    deleted += await self._delete(item)
        return deleted

    def _expired(self, item: Json) -> bool:
        at = last_use(item)
        return at is not None and self._clock.now() - at >= UNUSED

    async def _delete(self, item: Json) -> bool:
        """Delete it at the version that was read, unless runs have its label."""
        key = key_of(item)
        # The index may lag behind: the API server decides, and the version as a precondition closes the gap.
        if await self._has_runs(key.namespace, as_text(labels_of(item).get(MANIFEST_LABEL))):
            return False
        try:
            await self._client.delete(PIPELINE_MANIFESTS, key, uid=uid_of(item), version=version_of(item))
        except ApiError as error:
            if error.code != 409:
                raise
            return False
        self._known.pop(key, None)
        return True

    async def _has_runs(self, namespace: str, label: str) -> bool:
        selection = Selection(namespace, labels=f"{MANIFEST_LABEL}={label}")
        async with aclosing(self._client.pages(PIPELINE_RUNS, selection, form=Form.METADATA, limit=1)) as pages:
            async for page in pages:
                return bool(page.items)
        return False


def manifest_in(body: Json, key: str) -> str:
    """The manifest in a ConfigMap under this key, or in a PipelineManifest for an empty key; empty where there is none.

    A ConfigMap without the label has none: who may read runs may not read ConfigMaps.
    """
    if not key:
        return as_text(body.get("manifest"))
    return as_text(as_mapping(body.get("data")).get(key)) if MANIFEST_LABEL in labels_of(body) else ""


def is_service_made(item: Json) -> bool:
    """Whether the PipelineManifest has the name and the label that the run service gives."""
    key, label = key_of(item), as_text(labels_of(item).get(MANIFEST_LABEL))
    return bool(label) and key.name.startswith(f"sha256-{label}")


def last_use(item: Json) -> datetime | None:
    """When a run was last created with the PipelineManifest: at its creation, or later."""
    return as_time(annotations_of(item).get(USED_AT)) or as_time(metadata_of(item).get("creationTimestamp"))


def ref_by_digest(namespace: str, manifest: str) -> ManifestRef:
    """The place of a manifest."""
    digest = digest_of(manifest)
    return ManifestRef(namespace, manifest_name(digest), digest=digest)
