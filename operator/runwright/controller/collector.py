"""Reads the metrics that nodes have left, beside the workers: a slow object store holds up no other run."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from runwright.api.resources import WORKFLOWS
from runwright.controller.cache import RunCache
from runwright.core.metrics.collect import Collected
from runwright.core.metrics.reports import MAX_FILE, METRICS_OUTPUT, Report, read_metrics_file
from runwright.core.records import WorkflowRecord
from runwright.core.workflow.record import find_output, workflow_nodes
from runwright.kube.client import Client
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, Key, as_mapping, as_text, status_of, uid_of
from runwright.log import run_context

logger = logging.getLogger(__name__)

AT_A_TIME = 16
"""Artifacts that are read at a time, of all runs together: each may hold MAX_FILE bytes, packed and unpacked."""

PATIENCE = 30.0
"""Seconds after which the metrics of a node are given up: a run's end waits for them."""

TRY_AGAIN = 1.0
"""Seconds between two tries of what could not be reached."""


class Reader(Protocol):
    """Reads small artifacts. Raises ArtifactError."""

    async def read_small(self, workflow: Json, node_id: str, name: str, limit: int) -> bytes:
        """The artifact's bytes, unpacked; an error beyond the limit."""
        ...


class Collector:
    """One task for each run whose nodes have left metrics."""

    def __init__(self, client: Client, reader: Reader, cache: RunCache, wake: Callable[[Key], None]) -> None:
        """What was read goes into the run's memory, and `wake` puts the run into the queue then."""
        self._client = client
        self._reader = reader
        self._cache = cache
        self._wake = wake
        self._places = asyncio.Semaphore(AT_A_TIME)
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, workflow: WorkflowRecord, nodes: frozenset[str]) -> None:
        """Read what these nodes have left. Nobody waits for it here."""
        key = workflow.key
        self._cache.remember(key, replace(self._cache.recall(key), collecting=True))
        task = asyncio.create_task(self._collect(workflow, nodes), name=f"metrics of {key}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Stop reading: the process ends."""
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
            # Where the run was forgotten or replaced meanwhile, nobody asks for them any more.
            state = self._cache.find(key)
            if state is not None and state.memory is not None:
                collected = joined(state.memory.collected, found)
                state.memory = replace(state.memory, collecting=False, collected=collected)
                self._wake(key)

    async def _read(self, workflow: WorkflowRecord, nodes: frozenset[str]) -> Collected:
        try:
            body = await self._client.get(WORKFLOWS, workflow.key)
        except ApiError as error:
            logger.warning("metrics: the Workflow cannot be read: %s", error)
            await asyncio.sleep(TRY_AGAIN)
            return Collected()
        if body is None or uid_of(body) != workflow.uid:
            return Collected(nodes, problems=("the Workflow is gone, and its metrics with it",))
        there = workflow_nodes(status_of(body))
        outputs = {node: as_mapping(as_mapping(there.get(node)).get("outputs")) for node in sorted(nodes)}
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
            told, problem = read_metrics_file(as_text(parameter.get("value")), node)
            reports += told
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
                told, problem = read_metrics_file(data.decode("utf-8", "replace"), node)
                reports += told
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
    """What was read before, and what was read now."""
    return Collected(before.nodes | more.nodes, before.reports + more.reports, before.problems + more.problems)
