"""`runwright artifact`: an output artifact of a run, to a file or a pipe, with the reader's own rights."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from kubernetes.aio import client

from runwright import __version__
from runwright.adapters.kubernetes_api import KubernetesCluster
from runwright.adapters.login import configure, default_namespace
from runwright.artifacts.locate import find_node_id
from runwright.artifacts.reader import Artifacts
from runwright.artifacts.workflow import kept_workflow
from runwright.kube.objects import Json, Key, uid_of
from runwright.kubectl.files import replace_file
from runwright.ports import Cluster

TOLD_SECONDS = 0.5
"""How often the progress is told."""


class DownloadError(Exception):
    """There is no run, or nothing is left of it to read from."""


@dataclass(frozen=True, slots=True)
class DownloadOptions:
    """What a person asked for."""

    run: Key
    """An empty namespace: that of the context."""
    node: str
    artifact: str
    output: Path | None = None
    """None: the standard output."""
    raw: bool = False
    kubeconfig: str | None = None
    context: str | None = None


async def download(options: DownloadOptions) -> None:
    """Write the artifact; a file is there whole or not at all.

    Raises ArtifactError, DownloadError, ApiError, OSError, and kubernetes' ConfigException.
    """
    configuration = await configure(options.kubeconfig, options.context)
    async with client.ApiClient(configuration) as api:
        api.user_agent = f"runwright/{__version__}"
        cluster = KubernetesCluster(api)
        namespace = options.run.namespace or default_namespace(options.kubeconfig, options.context)
        workflow = await workflow_of(cluster, Key(namespace, options.run.name))
        node = await asyncio.to_thread(find_node_id, workflow, options.node)
        async with aclosing(Artifacts(cluster).read(workflow, node, options.artifact, raw=options.raw)) as pieces:
            if options.output is None:
                await write(sys.stdout.buffer, pieces, Progress(options.artifact))
            else:
                with replace_file(options.output) as file:
                    await write(file, pieces, Progress(options.artifact))


async def workflow_of(cluster: Cluster, key: Key) -> Json:
    """The run's Workflow: as it is in the cluster, else out of its snapshot."""
    run = await cluster.get_run(key)
    if run is None:
        raise DownloadError(f"there is no PipelineRun {key.name} in namespace {key.namespace}")
    workflow = await kept_workflow(cluster, key, uid_of(run))
    if workflow is None:
        raise DownloadError(
            f"PipelineRun {key.namespace}/{key.name} has no Workflow and no WorkflowSnapshot: nothing tells where its "
            "artifacts are"
        )
    return workflow


async def write(file: BinaryIO, pieces: AsyncIterator[bytes], progress: Progress) -> None:
    """Write all pieces; the disk or the pipe may be slow, the event loop goes on."""
    async for piece in pieces:
        await asyncio.to_thread(file.write, piece)
        progress.add(len(piece))
    await asyncio.to_thread(file.flush)
    progress.end()


class Progress:
    """How far it is, on a terminal's one line."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._shown = sys.stderr.isatty()
        self._began = self._told = asyncio.get_running_loop().time()
        self._bytes = 0

    def add(self, count: int) -> None:
        """So many more bytes are written."""
        self._bytes += count
        now = asyncio.get_running_loop().time()
        if self._shown and now - self._told >= TOLD_SECONDS:
            self._told = now
            self._tell(now)

    def end(self) -> None:
        """All is written."""
        if self._shown:
            self._tell(asyncio.get_running_loop().time())
            sys.stderr.write("\n")

    def _tell(self, now: float) -> None:
        seconds = now - self._began
        mebibytes = self._bytes / 1024 / 1024
        rate = f", {mebibytes / seconds:.1f} MiB/s" if seconds > TOLD_SECONDS else ""
        sys.stderr.write(f"\r{self._what}: {mebibytes:.1f} MiB in {seconds:.0f} s{rate}\x1b[K")
        sys.stderr.flush()
