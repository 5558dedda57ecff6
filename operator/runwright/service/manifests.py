"""Manifests that runs share: each is stored once in its namespace, in a ConfigMap named by its digest, while a run uses it.

The ConfigMaps have no owner references: those of ten thousand runs would not fit into the metadata. A sweep deletes the
ConfigMaps that no run uses.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from contextlib import aclosing
from datetime import timedelta

from cachetools import LRUCache, TTLCache

from runwright.api.labels import MANIFEST_LABEL
from runwright.api.resources import GROUP, PIPELINE_RUNS
from runwright.core.workflow.manifest import digest_of
from runwright.kube.client import Client, Form, list_objects
from runwright.kube.clock import Clock
from runwright.kube.edit import edit_until_accepted, get_or_create
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
    uid_of,
    version_of,
)
from runwright.kube.resource import CONFIG_MAPS, Selection
from runwright.kube.supervise import Backoff, LoopGroup
from runwright.service.errors import Code, ServiceError
from runwright.service.present import ManifestRef
from runwright.service.single_flight import SingleFlight

logger = logging.getLogger(__name__)

USED_AT = f"{GROUP}/used-at"
"""Annotation of such a ConfigMap: when a run was last created with it, to within RENEWAL. Renewing it changes the version."""

KEY = "manifest"

RENEWAL = timedelta(minutes=10)
UNUSED = timedelta(hours=1)
"""Minimum age of the last use before a ConfigMap is deleted: far more than RENEWAL and the time between the two writes."""

SWEEP_SECONDS = 600.0
BACKOFF = Backoff(5.0, 60.0)
"""Pauses after sweeps that failed."""

KNOWN_SECONDS = 60.0
"""How long a ConfigMap that was just seen is assumed to exist."""

MAX_KNOWN = 10_000

CACHE_BYTES = 32 * 1024 * 1024
"""Size of the cache of manifests that were read."""


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

    async def store(self, namespace: str, manifest: str) -> ManifestRef:
        """Store the manifest for a run that is created next; returns its place. The sweep leaves it alone for UNUSED.

        Raises ApiError, and ServiceError where another object has its name.
        """
        ref = ref_by_digest(namespace, manifest)
        key = Key(namespace, ref.name)
        if key in self._known:
            return ref

        async def renew(found: Json) -> None:
            await self._renew(ref, found)

        await edit_until_accepted(lambda: get_or_create(self._client, CONFIG_MAPS, self._body(ref, manifest)), renew)
        self._known[key] = True
        return ref

    def _body(self, ref: ManifestRef, manifest: str) -> Json:
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": ref.name,
                "namespace": ref.namespace,
                "labels": {MANIFEST_LABEL: digest_label(ref.digest)},
                "annotations": {USED_AT: self._clock.now().isoformat()},
            },
            "immutable": True,
            "data": {KEY: manifest},
        }

    async def _renew(self, ref: ManifestRef, found: Json) -> None:
        key = key_of(found)
        if digest_of(as_text(as_mapping(found.get("data")).get(KEY))) != ref.digest:
            raise ServiceError(
                Code.FAILED_PRECONDITION,
                f"ConfigMap {key}: expected the manifest with digest {ref.digest} under {KEY!r}; delete it, it is not ours",
            )
        used, now = as_time(annotations_of(found).get(USED_AT)), self._clock.now()
        if used is None or not timedelta() <= now - used < RENEWAL:
            patch = {"metadata": {"uid": uid_of(found), "annotations": {USED_AT: now.isoformat()}}}
            if await self._client.patch(CONFIG_MAPS, key, patch) is None:
                raise ApiError(409, "Conflict", f"ConfigMap {key} was deleted while it was renewed; try again")

    # ---------------------------------------------------------------------------------------------------------- read

    async def read(self, ref: ManifestRef) -> str:
        """Return the manifest; empty where it was deleted, or has another digest. Raises ApiError."""
        if (cached := self._cache.get(ref)) is not None:
            return cached
        # Many runs on a page have the same manifest.
        return await self._reads.call(ref, lambda: self._fetch(ref))

    async def _fetch(self, ref: ManifestRef) -> str:
        found = await self._client.get(CONFIG_MAPS, Key(ref.namespace, ref.name))
        manifest = as_text(as_mapping((found or {}).get("data")).get(ref.key))
        if ref.digest and manifest and digest_of(manifest) != ref.digest:
            return ""
        # Without a digest it may be edited at any time.
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
        """Delete the ConfigMaps that no run uses and none has used for UNUSED; returns their number. Raises ApiError.

        `in_use` returns the ConfigMaps that runs name, None while not all runs are known.
        """
        deleted, used = 0, in_use()
        if used is None:
            return 0
        for namespace in self._namespaces:
            selection = Selection(namespace, labels=MANIFEST_LABEL)
            async for item in list_objects(self._client, CONFIG_MAPS, selection, form=Form.METADATA):
                if key_of(item) not in used and self._expired(item) and await self._delete(item):
                    deleted += 1
        return deleted

    def _expired(self, item: Json) -> bool:
        at = as_time(annotations_of(item).get(USED_AT))
        return at is not None and self._clock.now() - at >= UNUSED

    async def _delete(self, item: Json) -> bool:
        key = key_of(item)
        # The index may lag behind: the API server decides, and the version as a precondition closes the gap.
        if await self._has_runs(key.namespace, as_text(labels_of(item).get(MANIFEST_LABEL))):
            return False
        try:
            await self._client.delete(CONFIG_MAPS, key, uid=uid_of(item), version=version_of(item))
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


def ref_by_digest(namespace: str, manifest: str) -> ManifestRef:
    """The place of a manifest."""
    digest = digest_of(manifest)
    return ManifestRef(namespace, f"runwright-manifest-{digest_label(digest)}", KEY, digest)


def digest_label(digest: str) -> str:
    """A digest as the value of a label, which may have 63 characters: its first half."""
    return digest.removeprefix("sha256:")[:32]
