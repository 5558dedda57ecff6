"""`logs`: the logs of a run's pods, and of deleted pods the logs that Argo archived."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, cast

import click

from runwright.api.labels import NODE_ANNOTATION, WORKFLOW_LABEL
from runwright.artifacts.locate import find_node_id
from runwright.artifacts.places import ArtifactError
from runwright.artifacts.workflow import kept_workflow
from runwright.core.edits import has_ended
from runwright.core.workflow.nodes import node_status
from runwright.core.workflow.record import workflow_nodes
from runwright.kube.client import list_objects
from runwright.kube.errors import ApiError
from runwright.kube.informer import ADDED, MODIFIED, Informer
from runwright.kube.objects import Json, Key, as_mapping, as_text, key_of, metadata_of, status_of, uid_of
from runwright.kube.resource import PODS, Selection
from runwright.kubectl.following import ATTEMPTS, cancel_tasks, follow_run
from runwright.kubectl.options import pop_target, run_argument, target_options
from runwright.kubectl.session import (
    FAILED,
    CommandError,
    Exit,
    Session,
    Target,
    connect_to,
    print_error,
    run_command,
)

ARCHIVED_LOGS = "main-logs"
"""Name of the artifact with a pod's archived log (`archiveLogs`; Argo 3.7)."""

NODE_NAME_ANNOTATION = "workflows.argoproj.io/node-name"
"""On a pod: the path of its node, which begins with the name of the Workflow (Argo 3.7)."""

MAX_LINE = 64 * 1024
"""Bytes after which a line is broken."""


@dataclass(frozen=True, slots=True)
class LogOptions:
    """Options of `logs`."""

    target: Target
    name: str
    node: str = ""
    """Id or name of a node; empty for all."""
    container: str = "main"
    follow: bool = False
    timestamps: bool = False
    tail: int | None = None
    prefix: bool = True


@click.command("logs")
@run_argument
@click.option("--node", default="", show_default=False, help="Show only this node: its display name or id.")
@click.option("--container", "-c", default="main", help="Container of the pods.")
@click.option("--follow", "-f", is_flag=True, help="Print new lines until the run has ended.")
@click.option("--timestamps", is_flag=True, help="Print the time before each line.")
@click.option(
    "--tail", type=click.IntRange(min=0), metavar="N", help="Print only the last N lines of each pod. Default: all."
)
@click.option("--prefix/--no-prefix", default=True, help="Print the node before each line.")
@target_options
def logs_command(**given: Any) -> None:
    """Print the logs of a run's pods. For deleted pods, print the logs that Argo archived."""
    where = pop_target(given)
    run_command(print_logs(LogOptions(where, **given)))


# ---------------------------------------------------------------------------------------------------------------- pods
@dataclass(frozen=True, slots=True)
class PodLog:
    """A pod of a run, for its log."""

    key: Key
    node: str
    """Id of its node."""
    label: str
    """The node's path within the run."""
    created: str
    ready: bool
    """Whether the container has started, so that it has a log."""


def read_pod(pod: Json, container: str) -> PodLog:
    """Read a pod."""
    metadata, status = metadata_of(pod), status_of(pod)
    annotations, key = as_mapping(metadata.get("annotations")), key_of(pod)
    run = as_text(as_mapping(metadata.get("labels")).get(WORKFLOW_LABEL))
    path = as_text(annotations.get(NODE_NAME_ANNOTATION))
    label = path.removeprefix(run).lstrip(".") if path.startswith(run) else path
    states = [
        as_mapping(as_mapping(one).get("state"))
        for name in ("containerStatuses", "initContainerStatuses")
        for one in cast(list[object], status.get(name) or [])
        if as_mapping(one).get("name") == container
    ]
    ready = any("running" in state or "terminated" in state for state in states)
    node = as_text(annotations.get(NODE_ANNOTATION))
    return PodLog(key, node, label or path or key.name, as_text(metadata.get("creationTimestamp")), ready)


def archived_nodes(workflow: Json, present: Iterable[str]) -> list[tuple[str, str]]:
    """Id and name of the nodes with an archived log whose ids are not in `present`, oldest first."""
    known = set(present)
    nodes = {id: as_mapping(node) for id, node in workflow_nodes(status_of(workflow)).items()}
    found = [(id, node) for id, node in nodes.items() if id not in known and has_archived_log(node)]
    found.sort(key=lambda one: (as_text(one[1].get("startedAt")), one[0]))
    return [(id, node_status(id, node).name) for id, node in found]


def has_archived_log(node: Json) -> bool:
    """Whether Argo archived the log of the node's main container."""
    if node.get("type") != "Pod":
        return False
    artifacts = cast(list[object], as_mapping(node.get("outputs")).get("artifacts") or [])
    return any(as_mapping(one).get("name") == ARCHIVED_LOGS for one in artifacts)


@dataclass(slots=True)
class LineCutter:
    """Cuts bytes into lines, each with a prefix."""

    prefix: bytes
    _rest: bytes = field(default=b"")

    def add(self, piece: bytes) -> bytes:
        """Add bytes; returns the lines that are complete now."""
        *whole, self._rest = (self._rest + piece).split(b"\n")
        if len(self._rest) > MAX_LINE:
            whole.append(self._rest)
            self._rest = b""
        return b"".join(self.prefix + line + b"\n" for line in whole)

    def end(self) -> bytes:
        """The rest, as a line."""
        rest, self._rest = self._rest, b""
        return self.prefix + rest + b"\n" if rest else b""


# -------------------------------------------------------------------------------------------------------------- reading
async def print_logs(options: LogOptions) -> None:
    """Print the logs pod by pod; with `follow`, of all pods as they write, until the run has ended.

    Raises ApiError, ArtifactError, CommandError where there are no logs; Exit (1) where some could not be read.
    """
    async with connect_to(options.target) as here:
        reader = LogReader(here, here.key(options.name), options)
        await (reader.follow() if options.follow else reader.once())


class LogReader:
    """Reads and prints the logs of one run."""

    def __init__(self, here: Session, key: Key, options: LogOptions) -> None:
        self._here, self._key, self._options = here, key, options
        self._more: dict[str, Any] = {"timestamps": True} if options.timestamps else {}
        if options.tail is not None:
            self._more["tailLines"] = options.tail
        self._turn = asyncio.Lock()
        self._failed = False

        self._pods = Selection(key.namespace, labels=f"{WORKFLOW_LABEL}={key.name}")

    async def once(self) -> None:
        """Print the logs as they are now."""
        run = await self._here.read_run(self._key)
        pods = [pod async for pod in self._list_pods()]
        workflow = await self._workflow(run)
        node = await asyncio.to_thread(find_node_id, workflow, self._options.node) if self._options.node else ""
        chosen = sorted(
            (pod for pod in pods if not node or pod.node == node), key=lambda pod: (pod.created, pod.key.name)
        )
        archived = [one for one in archived_nodes(workflow, (pod.node for pod in pods)) if not node or one[0] == node]
        if self._options.container != "main":
            archived = []
        if not archived and not any(pod.ready for pod in chosen):
            raise CommandError(self._none(run, chosen))
        for id, name in archived:
            await self._archived(workflow, id, name)
        for pod in chosen:
            if pod.ready:
                await self._stream(pod, follow=False)
        self._end()

    async def follow(self) -> None:
        """Print the logs, and go on until the run has ended."""
        run = await self._here.read_run(self._key)
        node = ""
        if self._options.node:
            node = await asyncio.to_thread(find_node_id, await self._workflow(run), self._options.node)
        streams: dict[Key, asyncio.Task[None]] = {}

        def start(pod: PodLog) -> None:
            if pod.ready and pod.key not in streams and node in ("", pod.node):
                streams[pod.key] = asyncio.create_task(self._stream(pod, follow=True))

        async def watch() -> None:
            informer = Informer(self._here.client, PODS, self._pods, attempts=ATTEMPTS)
            async with aclosing(informer.events()) as events:
                async for event in events:
                    if event.type in (ADDED, MODIFIED):
                        start(read_pod(event.body, self._options.container))

        watching = asyncio.create_task(watch())
        ending = asyncio.create_task(self._wait_for_end())
        try:
            await asyncio.wait((watching, ending), return_when=asyncio.FIRST_COMPLETED)
            if not ending.done():
                await watching
            await ending
            # The watch of the pods may be behind the watch of the run.
            async for pod in self._list_pods():
                start(pod)
            await asyncio.gather(*streams.values())
        finally:
            await cancel_tasks(watching, ending, *streams.values())
        self._end()

    async def _list_pods(self) -> AsyncIterator[PodLog]:
        async for pod in list_objects(self._here.client, PODS, self._pods):
            yield read_pod(pod, self._options.container)

    async def _wait_for_end(self) -> None:
        async with aclosing(follow_run(self._here, self._key)) as runs:
            async for run in runs:
                if has_ended(run):
                    return

    async def _workflow(self, run: Json) -> Json:
        uid = uid_of(run)
        return await kept_workflow(self._here.client, self._key, uid) or {}

    async def _stream(self, pod: PodLog, *, follow: bool) -> None:
        try:
            pieces = self._here.client.logs(pod.key, self._options.container, follow=follow, **self._more)
            await self._print(pieces, pod.label)
        except ApiError as error:
            self._failed = True
            print_error(CommandError(f"pod {pod.key.name}: {error.reason}: {error.message}"))

    async def _archived(self, workflow: Json, id: str, name: str) -> None:
        # The clients of object stores take long to import, and most runs have their pods.
        from runwright.artifacts.reader import Artifacts

        try:
            async with aclosing(Artifacts(self._here.client, None).read(workflow, id, ARCHIVED_LOGS)) as pieces:
                await self._print(pieces, name)
        except ArtifactError as error:
            self._failed = True
            print_error(error)

    async def _print(self, pieces: AsyncIterator[bytes], label: str) -> None:
        cutter = LineCutter(f"[{label}] ".encode() if self._options.prefix else b"")
        async for piece in pieces:
            await self._write(cutter.add(piece))
        await self._write(cutter.end())

    async def _write(self, data: bytes) -> None:
        if data:
            async with self._turn:
                await asyncio.to_thread(write_bytes, data)

    def _none(self, run: Json, pods: list[PodLog]) -> str:
        where = f"run {self._key.name}" + (f", node {self._options.node}" if self._options.node else "")
        if pods:
            return f"{where}: container {self._options.container!r} has not started in any of its {len(pods)} pods"
        archived = " and no archived logs (archiveLogs)" if has_ended(run) else ""
        return f"{where}: it has no pods{archived}"

    def _end(self) -> None:
        if self._failed:
            raise Exit(FAILED)


def write_bytes(data: bytes) -> None:
    """Write to the standard output, and flush it."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
