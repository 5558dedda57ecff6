"""`runwright import`: create the objects of an export in a cluster. Finished runs do not run again."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable
from typing import IO, Any

import click

from runwright.api.resources import PIPELINE_RUNS, WORKFLOW_SNAPSHOTS
from runwright.core.archive.portable import (
    controller_uid,
    exported_uid,
    has_phase,
    prepare_imported_run,
    prepare_imported_snapshot,
    strip_for_import,
)
from runwright.kube.client import Client
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, as_text, key_of, metadata_of, uid_of
from runwright.kubectl.export import format_counts
from runwright.kubectl.options import cluster_options
from runwright.kubectl.portable import EXPORTED, parse_line
from runwright.kubectl.progress import print_progress, show_counts
from runwright.kubectl.session import Target, connect_to, run_command

CONCURRENT_IMPORTS = 16
"""Objects that are created at a time, all of one kind: snapshots need their runs."""


@click.command("import")
@click.argument("file", type=click.File("r", encoding="utf-8"))
@click.option(
    "--namespace", "-n", default="", show_default=False, help="Put all objects into this namespace. Default: their own."
)
@cluster_options
def import_command(file: IO[str], **given: Any) -> None:
    """Create the objects of FILE, which `runwright export` wrote. Finished runs do not run again.

    Objects that exist are skipped, so you can repeat an import that was interrupted.
    """
    run_command(import_runs(Target(**given), file))


async def import_runs(target: Target, file: IO[str]) -> None:
    """Create the objects of the file. Raises ImportFileError, and ApiError where the API server refuses an object."""
    counts: Counter[str] = Counter()
    with show_counts(math.inf) as show:
        async with connect_to(target) as here:
            importer = Importer(here.client, target.namespace, counts)
            batch: list[Json] = []
            kind = ""
            for number, line in enumerate(file, 1):
                body = parse_line(number, line)
                if batch and (len(batch) == CONCURRENT_IMPORTS or body.get("kind") != kind):
                    await importer.import_batch(batch)
                    show(format_counts(counts))
                    batch = []
                kind = as_text(body.get("kind"))
                batch.append(body)
            await importer.import_batch(batch)
    print_progress(format_counts(counts))


class Importer:
    """Creates objects, and counts them by kind."""

    def __init__(self, client: Client, namespace: str, counts: Counter[str]) -> None:
        """`namespace` replaces the objects' own; empty to keep it."""
        self._client = client
        self._namespace = namespace
        self._counts = counts

    async def import_batch(self, batch: list[Json]) -> None:
        """Import objects at the same time."""
        await asyncio.gather(*(self.import_object(body) for body in batch))

    async def import_object(self, body: Json) -> None:
        """Create one object, unless it exists."""
        kind = as_text(body.get("kind"))
        if self._namespace:
            body = {**body, "metadata": {**metadata_of(body), "namespace": self._namespace}}
        match kind:
            case "PipelineRun":
                created = await self._import_run(body)
            case "WorkflowSnapshot":
                created = await self._import_snapshot(body)
            case _:
                created = await was_created(self._client.create(EXPORTED[kind], strip_for_import(body)))
        self._counts[kind if created else f"{kind} that existed"] += 1

    async def _import_run(self, run: Json) -> bool:
        key = key_of(run)
        await was_created(self._client.create(PIPELINE_RUNS, prepare_imported_run(run)))
        present = await self._client.get(PIPELINE_RUNS, key)
        if present is None or exported_uid(present) != uid_of(run):
            return False
        if has_phase(run) and not has_phase(present):
            # The uid is a precondition: the status must not be written to another run of this name.
            patch = {"metadata": {"uid": uid_of(present)}, "status": run["status"]}
            await self._client.patch(PIPELINE_RUNS, key, patch, "status")
        return True

    async def _import_snapshot(self, snapshot: Json) -> bool:
        run = await self._client.get(PIPELINE_RUNS, key_of(snapshot))
        if run is None or exported_uid(run) != controller_uid(snapshot):
            return False
        return await was_created(self._client.create(WORKFLOW_SNAPSHOTS, prepare_imported_snapshot(snapshot, run)))


async def was_created(creation: Awaitable[Any]) -> bool:
    """Await a creation; False where an object of that name exists."""
    try:
        await creation
    except ApiError as error:
        if error.reason != "AlreadyExists":
            raise
        return False
    return True
