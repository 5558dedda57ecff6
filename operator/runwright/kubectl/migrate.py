"""Has every stored object written in the version that its CRD stores now, so that an older version can be given up.

Kubernetes (1.34) converts an object when it is written, and keeps in `status.storedVersions` of its CRD which versions may still
be in etcd. An API version cannot be taken out of the CRD before that list is without it.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import cast

from kubernetes.aio import client

from runwright import __version__
from runwright.adapters.login import configure
from runwright.adapters.stored_objects import StoredObjects
from runwright.api.kinds import KINDS
from runwright.kube.objects import Json, Key, as_text, spec_of, status_of

AT_A_TIME = 16
"""Objects that are written at a time."""

TOLD_SECONDS = 2.0
"""Between two lines about how far it is."""


@dataclass(frozen=True, slots=True)
class MigrateOptions:
    """Which cluster."""

    kubeconfig: str | None = None
    context: str | None = None


async def migrate(options: MigrateOptions) -> None:
    """Migrate all kinds; what is done already is found out by one request, and what was cut off is begun again.

    Raises ApiError, and kubernetes' ConfigException.
    """
    configuration = await configure(options.kubeconfig, options.context)
    async with client.ApiClient(configuration) as api:
        api.user_agent = f"runwright-migrate/{__version__}"
        objects = StoredObjects(api)
        for kind in KINDS:
            crd = await objects.crd(kind.plural)
            storage, others = versions_of(crd)
            if not others:
                tell(f"{kind.plural}: all are stored as {storage}")
                continue
            count = await write_all(objects, kind.plural, storage)
            # The CRD as it was read before: if anybody has changed what is stored meanwhile, this is a Conflict.
            await objects.set_stored_versions(kind.plural, crd, storage)
            tell(f"{kind.plural}: {count} objects are stored as {storage}, and none as {', '.join(others)}")


def versions_of(crd: Json) -> tuple[str, tuple[str, ...]]:
    """The version in which objects are stored now, and those in which older ones may be."""
    versions = cast(list[Json], spec_of(crd).get("versions") or [])
    (storage,) = (as_text(version.get("name")) for version in versions if version.get("storage") is True)
    stored = cast(list[str], status_of(crd).get("storedVersions") or [])
    return storage, tuple(version for version in stored if version != storage)


async def write_all(objects: StoredObjects, plural: str, version: str) -> int:
    """Write every object of the kind again; gives how many there were."""
    began = told = time.monotonic()
    count = 0
    async for batch in batches(objects.names(plural, version)):
        await asyncio.gather(*(objects.write_again(plural, version, key) for key in batch))
        count += len(batch)
        if time.monotonic() - told > TOLD_SECONDS:
            told = time.monotonic()
            tell(f"{plural}: {count} so far, {count / (told - began):.0f} a second")
    return count


async def batches(names: AsyncIterator[Key]) -> AsyncIterator[list[Key]]:
    """The names, so many at a time."""
    batch: list[Key] = []
    async for name in names:
        batch.append(name)
        if len(batch) == AT_A_TIME:
            yield batch
            batch = []
    if batch:
        yield batch


def tell(line: str) -> None:
    """Say how far it is."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - a person waits for it
