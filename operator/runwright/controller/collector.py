"""Reads the metrics files of nodes beside the workers: a slow object store delays no other run."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from runwright.api.resources import WORKFLOWS
from runwright.controller.cache import RunCache
from runwright.controller.lane import Lane
from runwright.core.metrics.collect import Collected
from runwright.core.metrics.reports import MAX_FILE, METRICS_OUTPUT, Report, read_metrics_file
from runwright.core.records import WorkflowRecord
from runwright.core.workflow.record import find_output, has_many_nodes, workflow_nodes
from runwright.kube.client import Client
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, Key, as_mapping, as_text, status_of, uid_of
from runwright.log import run_context

logger = logging.getLogger(__name__)

AT_A_TIME = 16
"""Artifacts read at a time, of all runs together: each may take MAX_FILE bytes of memory, packed and unpacked."""

PATIENCE = 30.0
"""Longest time, in seconds, to read a node's metrics: the run's final status waits for it."""

TRY_AGAIN = 1.0
"""Seconds between two attempts while the object store does not reply."""


class Reader(Protocol):
    """Reads small artifacts. Raises ArtifactError."""

    async def read_small(self, workflow: Json, node_id: str, name: str, limit: int) -> bytes:
        """Read the artifact, unpacked. Raises an error for more than `limit` bytes."""
        ...


class Collector:
    """Reads metrics in one task for each run."""

    def __init__(
        self, client: Client, reader: Reader, cache: RunCache, wake: Callable[[Key], None], lane: Lane
    ) -> None:
        """The result goes into the run's memory; then `wake` enqueues the run."""
        self._client = client
        self._reader = reader
        self._cache = cache
        self._wake = wake
        self._lane = lane
        self._places = asyncio.Semaphore(AT_A_TIME)
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, workflow: WorkflowRecord, nodes: frozenset[str]) -> None:
        """Start to read the metrics of these nodes; returns at once."""
        key = workflow.key
        self._cache.remember(key, replace(self._cache.recall(key), collecting=True))
        task = asyncio.create_task(self._collect(workflow, nodes), name=f"metrics of {key}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Cancel all reads."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _collect(self, workflow: WorkflowRecord, nodes: frozenset[str]) -> None:
        key, found = workflow.key, Collected()
        try:
            with run_context(key):
                found = await self._read(workflow, nodes)
                if found.reports:
                    logger.info("read %d metrics of %d nodes", len(found.reports), len(nodes))
                for problem in found.problems:
                    logger.warning("metrics: %s", problem)
        finally:
            # A run that was dropped or replaced meanwhile has no memory, and needs no metrics.
            live = self._cache.find_live(key)
            if live is not None and live.memory is not None:
                collected = joined(live.memory.collected, found)
                live.memory = replace(live.memory, collecting=False, collected=collected)
                self._wake(key)

    async def _read(self, workflow: WorkflowRecord, nodes: frozenset[str]) -> Collected:
        try:
            body = await self._client.get(WORKFLOWS, workflow.key)
            if body is None or uid_of(body) != workflow.uid:
                return Collected(nodes, problems=("the Workflow was deleted before its metrics were read",))
            if has_many_nodes(body):
                found = await self._lane.run(workflow.key.namespace, workflow_nodes, status_of(body))
            else:
                found = workflow_nodes(status_of(body))
        except ApiError as error:
            logger.warning("metrics: the Workflow cannot be read: %s", error)
            await asyncio.sleep(TRY_AGAIN)
            return Collected()
        outputs = {node: as_mapping(as_mapping(found.get(node)).get("outputs")) for node in sorted(nodes)}
        read = await asyncio.gather(*(self._read_node(body, node, left) for node, left in outputs.items()))
        return Collected(
            nodes,
            tuple(one for reports, _ in read for one in reports),
            tuple(problem for _, problems in read for problem in problems),
        )

    async def _read_node(self, workflow: Json, node: str, outputs: Json) -> tuple[list[Report], list[str]]:
        reports: list[Report] = []
        problems: list[str] = []
        if (parameter := find_output(outputs, "parameters")) is not None:
            more, problem = read_metrics_file(as_text(parameter.get("value")), node)
            reports += more
            if problem:
                problems.append(f"node {node}: the output parameter {METRICS_OUTPUT} {problem}")
        if find_output(outputs, "artifacts") is not None:
            try:
                async with self._places, asyncio.timeout(PATIENCE):
                    data = await self._read_artifact(workflow, node)
            except TimeoutError:
                problems.append(f"node {node}: the artifact {METRICS_OUTPUT} was not read within {PATIENCE:.0f} s")
            except Exception as error:
                problems.append(f"node {node}: the artifact {METRICS_OUTPUT} cannot be read: {error}")
            else:
                more, problem = read_metrics_file(data.decode("utf-8", "replace"), node)
                reports += more
                if problem:
                    problems.append(f"node {node}: the artifact {METRICS_OUTPUT} {problem}")
        return reports, problems

    async def _read_artifact(self, workflow: Json, node: str) -> bytes:
        while True:
            try:
                return await self._reader.read_small(workflow, node, METRICS_OUTPUT, MAX_FILE)
            except Exception as error:
                if getattr(error, "reason", "") != "Unreachable":
                    raise
                await asyncio.sleep(TRY_AGAIN)


def joined(before: Collected, more: Collected) -> Collected:
    """Join two results."""
    return Collected(before.nodes | more.nodes, before.reports + more.reports, before.problems + more.problems)
