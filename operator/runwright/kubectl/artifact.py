"""`artifact`: read an output artifact of a run into a file or a pipe, with the user's own rights."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import click
from typing_extensions import override

from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, Key, uid_of
from runwright.kubectl.completion import complete_run
from runwright.kubectl.files import STANDARD_OUTPUT, check_folder, open_output
from runwright.kubectl.options import pop_target, target_options
from runwright.kubectl.progress import show_bytes
from runwright.kubectl.session import Session, Target, connect_to, run_command


class DownloadError(Exception):
    """The run does not exist, or has neither a Workflow nor a snapshot."""


@dataclass(frozen=True, slots=True)
class DownloadOptions:
    """Options of `artifact`."""

    target: Target
    run: Key
    """An empty namespace: that of the context."""
    node: str
    artifact: str
    output: Path = STANDARD_OUTPUT
    raw: bool = False


class RunType(click.ParamType[Key]):
    """A run, by its name, or by namespace and name."""

    name = "run"

    @override
    def convert(self, value: str | Key, param: click.Parameter | None, ctx: click.Context | None) -> Key:
        if isinstance(value, Key):
            return value
        namespace, slash, name = value.partition("/")
        if not slash:
            namespace, name = "", namespace
        if not name or "/" in name or (slash and not namespace):
            self.fail(f"{value!r}: expected RUN or NAMESPACE/RUN", param, ctx)
        return Key(namespace, name)


@click.command("artifact")
@click.argument("run", type=RunType(), metavar="[NAMESPACE/]RUN", shell_complete=complete_run)
@click.argument("node")
@click.argument("name")
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=check_folder,
    help="File to write. Default: standard output.",
)
@click.option("--raw", is_flag=True, help="Do not unpack: write the object of the bucket, such as a tar.gz.")
@target_options
def artifact_command(run: Key, node: str, name: str, output: Path | None, raw: bool, **given: Any) -> None:
    """Read an output artifact of a run: the file that a step wrote, or a tar of the directory.

    NODE is the id or display name of a node, NAME the name of the artifact. The command reads from the place that Argo
    recorded, with the Secrets that the Workflow names if you may read them, or with your identity in the cloud. Archived
    runs work too.
    """
    if output is None and sys.stdout.isatty():
        raise click.UsageError("the artifact would be written to the terminal; name a file with -o, or pipe it")
    where = pop_target(given)
    if run.namespace and where.namespace not in ("", run.namespace):
        raise click.UsageError(f"{run.namespace}/{run.name} is not in --namespace {where.namespace}")
    run_command(download(DownloadOptions(where, run, node, name, output or STANDARD_OUTPUT, raw)))


async def download(options: DownloadOptions) -> None:
    """Write the artifact; a file is replaced only on success.

    Raises ArtifactError, DownloadError, ApiError, OSError, ConfigError.
    """
    from runwright.artifacts.locate import find_node_id
    from runwright.artifacts.reader import Artifacts

    async with connect_to(options.target) as here:
        workflow = await read_workflow(here, Key(options.run.namespace or here.namespace, options.run.name))
        node = await asyncio.to_thread(find_node_id, workflow, options.node)
        reading = Artifacts(here.client, None).read(workflow, node, options.artifact, raw=options.raw)
        async with aclosing(reading) as pieces:
            with open_output(options.output) as file, show_bytes(options.artifact) as add:
                await write_pieces(file, pieces, add)


async def read_workflow(here: Session, key: Key) -> Json:
    """Read the Workflow of a run from the cluster, or else from its snapshot. Raises DownloadError, ApiError."""
    from runwright.artifacts.workflow import kept_workflow

    try:
        run = await here.read_run(key)
    except ApiError as error:
        if error.reason != "NotFound":
            raise
        raise DownloadError(f"PipelineRun {key.name} does not exist in namespace {key.namespace}") from error
    workflow = await kept_workflow(here.client, key, uid_of(run))
    if workflow is None:
        raise DownloadError(
            f"PipelineRun {key.namespace}/{key.name} has no Workflow and no WorkflowSnapshot, which say where its "
            "artifacts are"
        )
    return workflow


async def write_pieces(file: BinaryIO, pieces: AsyncIterator[bytes], add: Callable[[int], None]) -> None:
    """Write all pieces in a thread, since a disk or a pipe can be slow."""
    async for piece in pieces:
        await asyncio.to_thread(file.write, piece)
        add(len(piece))
    await asyncio.to_thread(file.flush)
