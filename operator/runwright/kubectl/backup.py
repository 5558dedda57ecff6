"""Takes runs, with their snapshots, experiments, policies and shared manifests, out of a cluster, and into another one."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

from kubernetes.aio import client

from runwright import __version__
from runwright.adapters.login import configure
from runwright.adapters.own_objects import KubernetesObjects
from runwright.adapters.watching import Watching
from runwright.api import pipelineexperiment, pipelinerun, retentionpolicy, workflowsnapshot
from runwright.core.archive.portable import (
    controller_uid,
    exported_uid,
    has_phase,
    prepare_imported_run,
    prepare_imported_snapshot,
    strip_for_export,
    strip_for_import,
)
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, as_mapping, as_text, key_of, metadata_of, uid_of
from runwright.kubectl.files import open_output
from runwright.service.manifests import MANIFEST_LABEL

AT_A_TIME = 16

PLURALS = {
    retentionpolicy.KIND: retentionpolicy.PLURAL,
    pipelineexperiment.KIND: pipelineexperiment.PLURAL,
    pipelinerun.KIND: pipelinerun.PLURAL,
    workflowsnapshot.KIND: workflowsnapshot.PLURAL,
}
"""In the order of the file: snapshots come after the runs that they belong to."""


class NotExportedError(Exception):
    """Something in the file cannot be imported; the message says which line."""


@dataclass(frozen=True, slots=True)
class BackupOptions:
    """Which cluster, and which namespace of it; empty: all."""

    namespace: str = ""
    kubeconfig: str | None = None
    context: str | None = None


@asynccontextmanager
async def connection(options: BackupOptions) -> AsyncGenerator[client.ApiClient]:
    """The client, closed at the end."""
    configuration = await configure(options.kubeconfig, options.context)
    async with client.ApiClient(configuration) as api:
        api.user_agent = f"runwright-backup/{__version__}"
        yield api


async def export(options: BackupOptions, output: Path) -> None:
    """Write everything into a file, one JSON object a line; a file that exists is replaced only on success.

    Raises ApiError; 410 where a list took too long.
    """
    counts: Counter[str] = Counter()
    with open_output(output) as file:
        async with connection(options) as api:
            objects = KubernetesObjects(api, (options.namespace,) if options.namespace else ())
            await write_objects(objects, lambda plural: Watching(api, plural, options.namespace).pages(), file, counts)
    tell(counts)


async def write_objects(
    objects: KubernetesObjects,
    pages: Callable[[str], AsyncIterator[tuple[list[Json], str]]],
    file: BinaryIO,
    counts: Counter[str],
) -> None:
    """Write the manifests, then the objects of each kind."""
    async for item in objects.list_config_maps(MANIFEST_LABEL):
        if body := await objects.get_config_map(key_of(item)):
            write(file, {"apiVersion": "v1", "kind": "ConfigMap", **body}, counts)
    for plural in PLURALS.values():
        async for page, _ in pages(plural):
            for body in page:
                write(file, body, counts)
            tell(counts)


def write(file: BinaryIO, body: Json, counts: Counter[str]) -> None:
    """One line."""
    file.write(json.dumps(strip_for_export(body), ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
    counts[as_text(body.get("kind"))] += 1


async def import_(options: BackupOptions, file: IO[str]) -> None:
    """Make what the file holds, and leave alone what is there already. Cut off, it is done again.

    Raises NotExportedError for a line that is none of ours, and ApiError where the API server refuses an object.
    """
    counts: Counter[str] = Counter()
    async with connection(options) as api:
        importer = Importer(KubernetesObjects(api), options.namespace, counts)
        batch: list[Json] = []
        kind = ""
        for number, line in enumerate(file, 1):
            body = parsed(number, line)
            if batch and (len(batch) == AT_A_TIME or body.get("kind") != kind):
                await together(importer.take, batch)
                batch = []
            kind = as_text(body.get("kind"))
            batch.append(body)
        await together(importer.take, batch)
    tell(counts)


def parsed(number: int, line: str) -> Json:
    """The object of a line."""
    try:
        body = as_mapping(json.loads(line))
    except ValueError as error:
        raise NotExportedError(f"line {number} is no JSON: {error}") from error
    if body.get("kind") not in (*PLURALS, "ConfigMap"):
        raise NotExportedError(
            f"line {number}: expected an object of `runwright export`, found kind {body.get('kind')!r}"
        )
    return body


async def together(act: Callable[[Json], Awaitable[None]], batch: list[Json]) -> None:
    """Do it to all of them at the same time."""
    await asyncio.gather(*(act(body) for body in batch))


class Importer:
    """Makes the objects."""

    def __init__(self, objects: KubernetesObjects, namespace: str, counts: Counter[str]) -> None:
        """`namespace` is where all of them go; empty: each where it was."""
        self._objects = objects
        self._namespace = namespace
        self._counts = counts

    async def take(self, body: Json) -> None:
        """Make one object."""
        kind = as_text(body.get("kind"))
        if self._namespace:
            body = {**body, "metadata": {**metadata_of(body), "namespace": self._namespace}}
        match kind:
            case "ConfigMap":
                made = await made_or_there(self._objects.create_config_map(strip_for_import(body)))
            case pipelinerun.KIND:
                made = await self._run(body)
            case workflowsnapshot.KIND:
                made = await self._snapshot(body)
            case _:
                made = await made_or_there(self._objects.create(PLURALS[kind], strip_for_import(body)))
        self._counts[kind if made else f"{kind} that was there"] += 1

    async def _run(self, run: Json) -> bool:
        key, plural = key_of(run), pipelinerun.PLURAL
        await made_or_there(self._objects.create(plural, prepare_imported_run(run)))
        there = await self._objects.get(plural, key)
        if there is None or not has_phase(run) or has_phase(there) or exported_uid(there) != uid_of(run):
            return there is not None and exported_uid(there) == uid_of(run)
        # Its uid, so that the status is not written to another run of this name.
        patch = {"metadata": {"uid": uid_of(there)}, "status": run["status"]}
        await self._objects.patch(plural, key, patch, "status")
        return True

    async def _snapshot(self, snapshot: Json) -> bool:
        run = await self._objects.get(pipelinerun.PLURAL, key_of(snapshot))
        if run is None or exported_uid(run) != controller_uid(snapshot):
            return False
        return await made_or_there(
            self._objects.create(workflowsnapshot.PLURAL, prepare_imported_snapshot(snapshot, run))
        )


async def made_or_there(creation: Awaitable[Any]) -> bool:
    """Whether it was made; false where one of its name was there."""
    try:
        await creation
    except ApiError as error:
        if error.reason != "AlreadyExists":
            raise
        return False
    return True


def tell(counts: Counter[str]) -> None:
    """Say how far it is."""
    said = ", ".join(f"{number} {what}" for what, number in counts.items()) or "nothing"
    print(said, file=sys.stderr, flush=True)  # noqa: T201 - a person waits for it
