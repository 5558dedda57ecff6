"""Manifests that runs share: each is kept once in its namespace, in a ConfigMap by its digest, while a run uses it.

No owner references: ten thousand runs of one manifest would not fit into its metadata. A sweep deletes what no run uses.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import timedelta
from typing import NoReturn

from runwright.api.resources import GROUP
from runwright.core.workflow.manifest import digest_of
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, Key, as_mapping, as_text, as_time, key_of, metadata_of
from runwright.ports import Clock, OwnObjects
from runwright.service.errors import Code, ServiceError
from runwright.service.present import ManifestRef

logger = logging.getLogger(__name__)

MANIFEST_LABEL = f"{GROUP}/manifest"
"""On a ConfigMap that holds a manifest, and on the runs that were made with it: the first half of its SHA-256."""

USED_AT = f"{GROUP}/used-at"
"""On such a ConfigMap: when a run was last made with it, within RENEWED. Renewing it moves the resourceVersion."""

KEY = "manifest"

RENEWED = timedelta(minutes=10)
UNUSED = timedelta(hours=1)
"""How long no run was made with it before it may go: far more than RENEWED and the time between the two writes."""

SWEEP_SECONDS = 600.0
KNOWN_SECONDS = 60.0
"""How long a ConfigMap that was just seen is taken to be there."""

REMEMBERED_BYTES = 32 * 1024 * 1024
"""Of manifests that were read, the last ones."""


class Manifests:
    """The manifests of all namespaces."""

    def __init__(self, objects: OwnObjects, clock: Clock) -> None:
        self._objects = objects
        self._clock = clock
        self._read: OrderedDict[ManifestRef, str] = OrderedDict()
        self._bytes = 0
        self._reading: dict[ManifestRef, asyncio.Task[str]] = {}
        self._known: dict[Key, float] = {}

    # ---------------------------------------------------------------------------------------------------------- keep

    async def keep(self, namespace: str, manifest: str) -> ManifestRef:
        """See to it that the manifest is there, and stays for the run that is made next; where it is.

        Raises ApiError, and ServiceError where something else stands in its place.
        """
        ref = ref_by_digest(namespace, manifest)
        key = Key(namespace, ref.name)
        if time.monotonic() - self._known.get(key, -KNOWN_SECONDS) < KNOWN_SECONDS:
            return ref
        there = await self._objects.get_config_map(key)
        if there is None:
            there = await self._create(ref, manifest)
        if digest_of(as_text(as_mapping(there.get("data")).get(KEY))) != ref.digest:
            raise ServiceError(
                Code.FAILED_PRECONDITION,
                f"ConfigMap {key}: expected the manifest with digest {ref.digest} under {KEY!r}; delete it, it is not ours",
            )
        await self._renew(key, there)
        self._known[key] = time.monotonic()
        if len(self._known) > 10_000:
            self._known.clear()
        return ref

    async def _create(self, ref: ManifestRef, manifest: str) -> Json:
        body = {
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
        try:
            return await self._objects.create_config_map(body)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
        return await self._objects.get_config_map(Key(ref.namespace, ref.name)) or {}

    async def _renew(self, key: Key, there: Json) -> None:
        metadata, now = metadata_of(there), self._clock.now()
        used = as_time(as_mapping(metadata.get("annotations")).get(USED_AT))
        if used is None or not timedelta() <= now - used < RENEWED:
            patch = {"metadata": {"uid": metadata.get("uid"), "annotations": {USED_AT: now.isoformat()}}}
            if await self._objects.patch_config_map(key, patch) is None:
                raise ApiError(409, "Conflict", f"ConfigMap {key} was deleted just now; try again")

    # ---------------------------------------------------------------------------------------------------------- read

    async def read(self, ref: ManifestRef) -> str:
        """The manifest's text; empty where it is gone, or is not the one that was meant. Raises ApiError."""
        if (held := self._read.get(ref)) is not None:
            self._read.move_to_end(ref)
            return held
        # Many runs of a page have the same one.
        if ref not in self._reading:
            task = asyncio.create_task(self._fetch(ref))
            self._reading[ref] = task
            task.add_done_callback(lambda _: self._reading.pop(ref, None))
        return await asyncio.shield(self._reading[ref])

    async def _fetch(self, ref: ManifestRef) -> str:
        found = await self._objects.get_config_map(Key(ref.namespace, ref.name))
        manifest = as_text(as_mapping((found or {}).get("data")).get(ref.key))
        if ref.digest and manifest and digest_of(manifest) != ref.digest:
            return ""
        # Without a digest it may be edited at any time.
        if ref.digest and manifest:
            self._read[ref] = manifest
            self._bytes += len(manifest)
            while self._bytes > REMEMBERED_BYTES:
                self._bytes -= len(self._read.popitem(last=False)[1])
        return manifest

    # --------------------------------------------------------------------------------------------------------- sweep

    async def sweep_forever(self, in_use: Callable[[], set[Key] | None]) -> NoReturn:
        """Delete, now and then, what no run uses; `in_use` gives the ConfigMaps that runs name, None where it is unknown."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                gone = await self.sweep(in_use)
                if gone:
                    logger.info("%d manifests that no run uses were deleted", gone)
            except ApiError as error:
                logger.warning("manifests are not swept: %s", error)

    async def sweep(self, in_use: Callable[[], set[Key] | None]) -> int:
        """Delete what no run uses, has not been used for UNUSED, and is still as it was seen; how many. Raises ApiError."""
        gone, used = 0, in_use()
        if used is None:
            return 0
        async for item in self._objects.list_config_maps(MANIFEST_LABEL):
            key, metadata = key_of(item), metadata_of(item)
            at = as_time(as_mapping(metadata.get("annotations")).get(USED_AT))
            label = as_text(as_mapping(metadata.get("labels")).get(MANIFEST_LABEL))
            if key in used or at is None or self._clock.now() - at < UNUSED:
                continue
            # What runs say of themselves is behind: the API server has the last word, and the version closes the gap.
            if await self._objects.any_run(key.namespace, f"{MANIFEST_LABEL}={label}"):
                continue
            try:
                await self._objects.delete_config_map(
                    key, as_text(metadata.get("uid")), as_text(metadata.get("resourceVersion"))
                )
            except ApiError as error:
                if error.code != 409:
                    raise
                continue
            self._known.pop(key, None)
            gone += 1
        return gone


def ref_by_digest(namespace: str, manifest: str) -> ManifestRef:
    """Where a manifest is kept."""
    digest = digest_of(manifest)
    return ManifestRef(namespace, f"runwright-manifest-{digest_label(digest)}", KEY, digest)


def digest_label(digest: str) -> str:
    """A digest as the value of a label, which ends at 63 characters: its first half."""
    return digest.removeprefix("sha256:")[:32]
