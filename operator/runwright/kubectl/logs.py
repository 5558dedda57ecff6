"""`logs`: what the containers of a run's pods wrote; of pods that have gone, what Argo has archived."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, cast

from runwright.adapters.kubernetes_api import NODE_ANNOTATION, WORKFLOW_LABEL
from runwright.adapters.watching import Watching
from runwright.artifacts.locate import find_node_id
from runwright.artifacts.places import ArtifactError
from runwright.artifacts.reader import Artifacts
from runwright.artifacts.workflow import kept_workflow
from runwright.core.edits import has_ended
from runwright.core.workflow.record import node_status, workflow_nodes
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, Key, as_mapping, as_text, key_of, metadata_of, status_of, uid_of
from runwright.kubectl.follow import SYNCED, follow, stop
from runwright.kubectl.session import FAILED, CommandError, Exit, Session, Target, complain, no_run, session

ARCHIVED_LOGS = "main-logs"
"""What Argo calls the logs that it keeps of a pod (`archiveLogs`; Argo 3.7)."""

NODE_NAME_ANNOTATION = "workflows.argoproj.io/node-name"
"""On a pod: the path of its node, that begins with the Workflow's name (Argo 3.7)."""

LINE = 64 * 1024
"""Bytes after which a line is printed although it has no end yet."""


@dataclass(frozen=True, slots=True)
class LogOptions:
    """What a person asked for."""

    target: Target
    name: str
    node: str = ""
    """Id or name of a node; empty for all."""
    container: str = "main"
    follow: bool = False
    timestamps: bool = False
    tail: int | None = None
    prefix: bool = True


# --------------------------------------------------------------------------------------------------------- what is read
@dataclass(frozen=True, slots=True)
class PodLog:
    """A pod of a run, as far as its logs go."""

    key: Key
    node: str
    """Id of its node."""
    label: str
    """What people call the node: its path within the run."""
    begun: str
    ready: bool
    """Whether the container has begun to run, so that there is a log."""


def pod_log(pod: Json, container: str) -> PodLog:
    """What is to be known of a pod."""
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


def gone(workflow: Json, present: Iterable[str]) -> list[tuple[str, str]]:
    """Id and name of the pod nodes that have archived logs and no pod, the oldest first."""
    there = set(present)
    nodes = {id: as_mapping(node) for id, node in workflow_nodes(status_of(workflow)).items()}
    found = [(id, node) for id, node in nodes.items() if id not in there and has_logs(node)]
    found.sort(key=lambda one: (as_text(one[1].get("startedAt")), one[0]))
    return [(id, node_status(id, node).name) for id, node in found]


def has_logs(node: Json) -> bool:
    """Whether Argo kept the logs of the node's main container."""
    if node.get("type") != "Pod":
        return False
    artifacts = cast(list[object], as_mapping(node.get("outputs")).get("artifacts") or [])
    return any(as_mapping(one).get("name") == ARCHIVED_LOGS for one in artifacts)


@dataclass(slots=True)
class Cutter:
    """Bytes to whole lines, each with a prefix."""

    prefix: bytes
    _rest: bytes = field(default=b"")

    def add(self, piece: bytes) -> bytes:
        """The lines that are complete now."""
        *whole, self._rest = (self._rest + piece).split(b"\n")
        if len(self._rest) > LINE:
            whole.append(self._rest)
            self._rest = b""
        return b"".join(self.prefix + line + b"\n" for line in whole)

    def end(self) -> bytes:
        """What is left, as a line."""
        rest, self._rest = self._rest, b""
        return self.prefix + rest + b"\n" if rest else b""


# -------------------------------------------------------------------------------------------------------------- reading
async def logs(options: LogOptions) -> None:
    """Print them: pod after pod; with `follow`, of all pods at once as they write, until the run has ended.

    Raises ApiError, ArtifactError, CommandError where there are none; Exit (1) where some could not be read.
    """
    async with session(options.target) as here:
        reader = Reader(here, here.key(options.name), options)
        await (reader.follow() if options.follow else reader.once())


class Reader:
    """The logs of one run."""

    def __init__(self, here: Session, key: Key, options: LogOptions) -> None:
        self._here, self._key, self._options = here, key, options
        self._more: dict[str, Any] = {"timestamps": True} if options.timestamps else {}
        if options.tail is not None:
            self._more["tail_lines"] = options.tail
        self._turn = asyncio.Lock()
        self._failed = False

    def _pods(self) -> Watching:
        selector = f"{WORKFLOW_LABEL}={self._key.name}"
        return Watching(self._here.api, "pods", self._key.namespace, label_selector=selector)

    async def once(self) -> None:
        """What there is now."""
        run = await self._here.run(self._key)
        pods = [pod_log(one, self._options.container) async for one in all_of(self._pods())]
        workflow = await self._workflow(run)
        node = await asyncio.to_thread(find_node_id, workflow, self._options.node) if self._options.node else ""
        chosen = sorted(
            (pod for pod in pods if not node or pod.node == node), key=lambda pod: (pod.begun, pod.key.name)
        )
        archived = [one for one in gone(workflow, (pod.node for pod in pods)) if not node or one[0] == node]
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
        """What is written from now on, and before, until the run has ended."""
        run = await self._here.run(self._key)
        node = ""
        if self._options.node:
            node = await asyncio.to_thread(find_node_id, await self._workflow(run), self._options.node)
        streams: dict[Key, asyncio.Task[None]] = {}

        def start(pod: PodLog) -> None:
            if pod.ready and pod.key not in streams and node in ("", pod.node):
                streams[pod.key] = asyncio.create_task(self._stream(pod, follow=True))

        async def watch() -> None:
            async with aclosing(follow(self._pods())) as events:
                async for kind, pod in events:
                    if kind in ("ADDED", "MODIFIED"):
                        start(pod_log(pod, self._options.container))

        watching = asyncio.create_task(watch())
        ending = asyncio.create_task(self._ended())
        try:
            await asyncio.wait((watching, ending), return_when=asyncio.FIRST_COMPLETED)
            if not ending.done():
                await watching
            await ending
            # The watch of the pods may be behind that of the run.
            async for pod in all_of(self._pods()):
                start(pod_log(pod, self._options.container))
            await asyncio.gather(*streams.values())
        finally:
            await stop(watching, ending, *streams.values())
        self._end()

    async def _ended(self) -> None:
        async with aclosing(follow(self._here.watching(self._key))) as events:
            there = False
            async for kind, run in events:
                if kind == "DELETED" or (kind == SYNCED and not there):
                    raise no_run(self._key)
                there = True
                if kind != SYNCED and has_ended(run):
                    return

    async def _workflow(self, run: Json) -> Json:
        uid = uid_of(run)
        return await kept_workflow(self._here.cluster, self._key, uid) or {}

    async def _stream(self, pod: PodLog, *, follow: bool) -> None:
        try:
            pieces = self._here.requests.log(pod.key, self._options.container, follow=follow, **self._more)
            await self._print(pieces, pod.label)
        except ApiError as error:
            self._failed = True
            complain(CommandError(f"pod {pod.key.name}: {error.reason}: {error.message}"))

    async def _archived(self, workflow: Json, id: str, name: str) -> None:
        try:
            async with aclosing(Artifacts(self._here.cluster).read(workflow, id, ARCHIVED_LOGS)) as pieces:
                await self._print(pieces, name)
        except ArtifactError as error:
            self._failed = True
            complain(error)

    async def _print(self, pieces: AsyncIterator[bytes], label: str) -> None:
        cutter = Cutter(f"[{label}] ".encode() if self._options.prefix else b"")
        async for piece in pieces:
            await self._write(cutter.add(piece))
        await self._write(cutter.end())

    async def _write(self, data: bytes) -> None:
        if data:
            async with self._turn:
                await asyncio.to_thread(write, data)

    def _none(self, run: Json, pods: list[PodLog]) -> str:
        where = f"run {self._key.name}" + (f", node {self._options.node}" if self._options.node else "")
        if pods:
            return f"{where}: no container {self._options.container!r} has begun to run in its {len(pods)} pods"
        archived = "; Argo has archived no logs of it (archiveLogs)" if has_ended(run) else ""
        return f"{where}: it has no pods{archived}"

    def _end(self) -> None:
        if self._failed:
            raise Exit(FAILED)


async def all_of(watched: Watching) -> AsyncIterator[Json]:
    """All objects as they are now."""
    async for items, _ in watched.pages():
        for item in items:
            yield item


def write(data: bytes) -> None:
    """To the standard output, at once."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
