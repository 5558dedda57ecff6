"""`runwright export`: write runs, with their snapshots, experiments, policies and shared manifests, into a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, BinaryIO

import click

from runwright.api.labels import MANIFEST_LABEL
from runwright.api.resources import PIPELINE_MANIFESTS
from runwright.kube.client import Client, Form, list_objects
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, as_text, key_of
from runwright.kube.resource import CONFIG_MAPS, Resource, Selection
from runwright.kubectl.files import check_folder, open_output
from runwright.kubectl.options import cluster_options
from runwright.kubectl.portable import EXPORTED, export_line
from runwright.kubectl.progress import print_progress, show_counts
from runwright.kubectl.session import Target, connect_to, run_command

MANIFESTS = {CONFIG_MAPS: MANIFEST_LABEL, PIPELINE_MANIFESTS: ""}
"""Kinds that hold manifests, and the label selector of those that are exported."""


@click.command("export")
@click.argument(
    "file",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    default="-",
    callback=check_folder,
)
@click.option("--namespace", "-n", default="", show_default=False, help="Namespace to export. Default: all namespaces.")
@cluster_options
def export_command(file: Path, **given: Any) -> None:
    """Write all runs and the objects that belong to them into FILE, one object per line. See docs/backup.md.

    A FILE that exists is replaced only after a complete export. A FILE of - is the standard output.
    """
    run_command(export_runs(Target(**given), file))


async def export_runs(target: Target, output: Path) -> None:
    """Write the objects of `target.namespace`, or of all namespaces. Raises ApiError (410 where a list took minutes)."""
    counts: Counter[str] = Counter()
    with open_output(output) as file, show_counts() as show:
        async with connect_to(target) as here:
            await write_objects(here.client, target.namespace, file, counts, show)
    print_progress(format_counts(counts))


async def write_objects(
    client: Client, namespace: str, file: BinaryIO, counts: Counter[str], show: Callable[[str], None]
) -> None:
    """Write the manifests, then the objects of our other kinds."""

    def write_object(body: Json) -> None:
        file.write(export_line(body))
        counts[as_text(body.get("kind"))] += 1

    for kind, resource in EXPORTED.items():
        if resource in MANIFESTS:
            async for body in read_manifests(client, resource, namespace):
                write_object({"apiVersion": resource.api_version, "kind": kind, **body})
            continue
        async for page in client.pages(resource, Selection(namespace)):
            for body in page.items:
                write_object({"apiVersion": resource.api_version, "kind": kind, **body})
            show(format_counts(counts))


async def read_manifests(client: Client, resource: Resource, namespace: str) -> AsyncIterator[Json]:
    """The objects of a kind that hold manifests, one by one: a page of them could have 500 MB.

    None where the kind is not served, before an upgrade of the CRDs.
    """
    try:
        async for item in list_objects(client, resource, Selection(namespace, MANIFESTS[resource]), form=Form.METADATA):
            if body := await client.get(resource, key_of(item)):
                yield body
    except ApiError as error:
        if error.code != 404:
            raise


def format_counts(counts: Counter[str]) -> str:
    """The number of objects by kind, on one line."""
    return ", ".join(f"{number} {kind}" for kind, number in counts.items()) or "nothing"
