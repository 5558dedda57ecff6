"""`runwright migrate`: write each stored object in the storage version of its CRD, and move manifests out of ConfigMaps.

The first lets an older version be removed; `move_manifests` describes the second.

Kubernetes (1.34) converts an object when it is written, and lists in `status.storedVersions` of its CRD the versions that may
still be in etcd. An API version cannot be removed from the CRD while it is in that list.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import click

from runwright.api.resources import (
    PIPELINE_EXPERIMENTS,
    PIPELINE_MANIFESTS,
    PIPELINE_RUNS,
    RETENTION_POLICIES,
    WORKFLOW_SNAPSHOTS,
)
from runwright.kube.client import Client, Form, list_objects
from runwright.kube.clock import SystemClock
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, Key, as_text, key_of, spec_of, status_of, version_of
from runwright.kube.resource import CUSTOM_RESOURCE_DEFINITIONS, Resource
from runwright.kubectl.options import cluster_options
from runwright.kubectl.progress import print_progress, show_counts
from runwright.kubectl.session import Target, connect_to, run_command

MIGRATED = (PIPELINE_RUNS, RETENTION_POLICIES, WORKFLOW_SNAPSHOTS, PIPELINE_EXPERIMENTS, PIPELINE_MANIFESTS)

CONCURRENT_WRITES = 16
"""Objects that are written at a time."""

PROGRESS_SECONDS = 2.0
"""Seconds between two lines about the progress."""


@click.command("migrate")
@cluster_options
def migrate_command(**given: Any) -> None:
    """Write all stored objects in the API version that their CRDs store now, and move manifests out of ConfigMaps.

    Needed before an older version is removed from the CRDs, and after an upgrade from a release whose run service stored
    manifests in ConfigMaps: docs/upgrade.md. Runs continue meanwhile. You can repeat a migration that was interrupted.
    """
    run_command(migrate(Target(**given)))


async def migrate(target: Target) -> None:
    """Migrate all kinds. A kind that is done costs one request. Raises ApiError, ConfigError."""
    from runwright.kubectl.move_manifests import move_manifests

    async with connect_to(target) as here:
        for resource in MIGRATED:
            print_progress(await migrate_kind(here.client, resource))
        with show_counts(PROGRESS_SECONDS) as show:
            moved = await move_manifests(here.client, SystemClock().now, show)
        print_progress(moved)


async def migrate_kind(client: Client, resource: Resource) -> str:
    """Migrate one kind; returns the message. Raises ApiError, Conflict where its CRD was changed meanwhile."""
    name = str(resource)
    crd = await client.get(CUSTOM_RESOURCE_DEFINITIONS, Key("", name))
    if crd is None:
        raise ApiError(404, "NotFound", f"the CRD {name} is not installed")
    storage, others = stored_versions(crd)
    if not others:
        return f"{resource.plural}: all objects are stored as {storage}"
    with show_counts(PROGRESS_SECONDS) as show:
        count = await write_again(client, Resource(resource.group, storage, resource.plural), show)
    # At the version that was read first: a change of the storage version since then is a Conflict.
    patch = {"metadata": {"resourceVersion": version_of(crd)}, "status": {"storedVersions": [storage]}}
    await client.patch(CUSTOM_RESOURCE_DEFINITIONS, Key("", name), patch, "status")
    return f"{resource.plural}: {count} objects are stored as {storage}, and none as {', '.join(others)}"


def stored_versions(crd: Json) -> tuple[str, tuple[str, ...]]:
    """The storage version, and the other versions that may be in etcd."""
    versions = cast(list[Json], spec_of(crd).get("versions") or [])
    (storage,) = (as_text(version.get("name")) for version in versions if version.get("storage") is True)
    stored = cast(list[str], status_of(crd).get("storedVersions") or [])
    return storage, tuple(version for version in stored if version != storage)


async def write_again(client: Client, resource: Resource, show: Callable[[str], None]) -> int:
    """Write every object of a kind again; returns their number.

    An empty patch changes nothing, and the API server (Kubernetes 1.34) writes nothing unless etcd holds the object in another
    version than the storage version.
    """
    began, count = time.monotonic(), 0
    async for batch in batched_keys(list_objects(client, resource, form=Form.METADATA)):
        await asyncio.gather(*(client.patch(resource, key, {}) for key in batch))
        count += len(batch)
        rate = count / max(time.monotonic() - began, 0.001)
        show(f"{resource.plural}: {count} objects so far, {rate:.0f} per second")
    return count


async def batched_keys(objects: AsyncIterator[Json]) -> AsyncIterator[list[Key]]:
    """The keys of objects, CONCURRENT_WRITES at a time."""
    batch: list[Key] = []
    async for body in objects:
        batch.append(key_of(body))
        if len(batch) == CONCURRENT_WRITES:
            yield batch
            batch = []
    if batch:
        yield batch
