"""Moves the manifests that older releases of the run service stored in ConfigMaps into PipelineManifests, with their runs.

Each step leaves every run with a manifest, so a move that was interrupted is repeated: the PipelineManifest is created before
the runs name it, and the ConfigMap is deleted after the last run that names it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from runwright.api.labels import MANIFEST_LABEL, USED_AT
from runwright.api.pipelinemanifest import KIND, digest_label, manifest_name
from runwright.api.resources import API_VERSION, PIPELINE_MANIFESTS, PIPELINE_RUNS
from runwright.core.workflow.manifest import digest_of
from runwright.kube.client import Client, Form, list_objects
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
    spec_of,
    uid_of,
    version_of,
)
from runwright.kube.resource import CONFIG_MAPS, Selection

DATA_KEY = "manifest"
NAME_PREFIX = "runwright-manifest-"

STILL_USED = timedelta(hours=1)
"""How long a ConfigMap is kept after its last use: a replica of the older release may be about to create a run with it."""


@dataclass(slots=True)
class Moved:
    """The number of objects that a move has changed."""

    runs: int = 0
    deleted: int = 0
    kept: int = 0
    """ConfigMaps that a run without a digest still names, or that were used lately."""

    def __str__(self) -> str:
        changed = f"{self.runs} runs name a PipelineManifest now, {self.deleted} ConfigMaps were deleted"
        return changed + (f", {self.kept} are still in use: migrate again in an hour" if self.kept else "")


async def move_manifests(client: Client, now: Callable[[], datetime], show: Callable[[str], None]) -> str:
    """Move the manifests of all namespaces; returns the message. Raises ApiError."""
    moved, found = Moved(), False
    async for item in list_objects(client, CONFIG_MAPS, Selection(labels=MANIFEST_LABEL), form=Form.METADATA):
        if key_of(item).name != NAME_PREFIX + as_text(labels_of(item).get(MANIFEST_LABEL)):
            continue
        found = True
        await _move(client, key_of(item), now, moved)
        show(f"manifests: {moved}")
    return f"manifests: {moved}" if found else "manifests: none is in a ConfigMap of the run service"


async def _move(client: Client, key: Key, now: Callable[[], datetime], moved: Moved) -> None:
    body = await client.get(CONFIG_MAPS, key)
    if body is None:
        return
    manifest = as_text(as_mapping(body.get("data")).get(DATA_KEY))
    digest = digest_of(manifest)
    left = created = False
    async for run in list_objects(client, PIPELINE_RUNS, runs_naming(key)):
        if manifest and source_of(run).get("digest") == digest:
            if not created:
                await get_or_create(client, PIPELINE_MANIFESTS, manifest_body(key.namespace, manifest))
                created = True
            moved.runs += await _move_run(client, key_of(run), key.name, digest)
        else:
            left = True
    used = as_time(annotations_of(body).get(USED_AT))
    if left or used is None or now() - used < STILL_USED or not await _delete(client, body):
        moved.kept += 1
    else:
        moved.deleted += 1


async def _move_run(client: Client, run: Key, config_map: str, digest: str) -> bool:
    """Change where the run has its manifest, if it still names the ConfigMap. The API server compares the digests."""

    async def write(found: Json | None) -> bool:
        if found is None or not names_config_map(found, config_map) or source_of(found).get("digest") != digest:
            return False
        source = {"configMapKeyRef": None, "pipelineManifestRef": {"name": manifest_name(digest)}}
        metadata = {"uid": uid_of(found), "resourceVersion": version_of(found)}
        patch = {"metadata": metadata, "spec": {"workflow": {"manifestFrom": source}}}
        return await client.patch(PIPELINE_RUNS, run, patch) is not None

    return await edit_until_accepted(lambda: client.get(PIPELINE_RUNS, run), write)


async def _delete(client: Client, body: Json) -> bool:
    """Delete the ConfigMap at the version that was read; False where a run names it, or it was used meanwhile."""
    async for _ in list_objects(client, PIPELINE_RUNS, runs_naming(key_of(body)), form=Form.METADATA):
        return False
    try:
        await client.delete(CONFIG_MAPS, key_of(body), uid=uid_of(body), version=version_of(body))
    except ApiError as error:
        if error.code != 409:
            raise
        return False
    return True


def runs_naming(config_map: Key) -> Selection:
    """The runs that have their manifest in this ConfigMap."""
    field = f"spec.workflow.manifestFrom.configMapKeyRef.name={config_map.name}"
    return Selection(config_map.namespace, fields=field)


def source_of(run: Json) -> Json:
    """The run's `spec.workflow.manifestFrom`."""
    return as_mapping(as_mapping(spec_of(run).get("workflow")).get("manifestFrom"))


def names_config_map(run: Json, config_map: str) -> bool:
    """Whether the run has its manifest in a ConfigMap of this name, under the run service's key."""
    ref = as_mapping(source_of(run).get("configMapKeyRef"))
    return (ref.get("name"), ref.get("key")) == (config_map, DATA_KEY)


def manifest_body(namespace: str, manifest: str) -> Json:
    """The PipelineManifest to create, as the run service does."""
    digest = digest_of(manifest)
    metadata = {
        "name": manifest_name(digest),
        "namespace": namespace,
        "labels": {MANIFEST_LABEL: digest_label(digest)},
    }
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "manifest": manifest}
