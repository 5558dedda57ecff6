"""Reads the metrics files of nodes beside the workers: a slow object store delays no other run.

A store that does not reply costs its own namespace only. A run holds one of the slots, which namespaces share, for a few seconds at
most, and the namespace is tried less and less often, by one run at a time, until its store replies again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from typing import Protocol

from runwright.api.resources import WORKFLOWS
from runwright.controller.cache import RunCache
from runwright.controller.fair_slots import FairSlots
from runwright.controller.lane import Lane
from runwright.core.metrics.collect import Collected
from runwright.core.metrics.reports import MAX_FILE, MAX_OF_A_RUN, METRICS_OUTPUT, read_metrics_file
from runwright.core.records import WorkflowRecord
from runwright.core.workflow.record import find_output, has_many_nodes, workflow_nodes
from runwright.kube.client import Client
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, Key, as_mapping, as_text, status_of, uid_of
from runwright.log import run_context

logger = logging.getLogger(__name__)

AT_A_TIME = 16
"""Runs read at a time. Each holds its Workflow, and MAX_FILE bytes of `NODES_AT_A_TIME` artifacts, packed and unpacked."""

NODES_AT_A_TIME = 2

PATIENCE = 30.0
"""Longest time, in seconds, to read the metrics of a run's nodes: the run's final status waits for it."""

ATTEMPT_SECONDS = 5.0
"""Longest time of one attempt to read an artifact."""

MAX_PAUSE = 16.0
"""Longest pause of a namespace between two attempts. Shorter than PATIENCE: each run makes an attempt."""

MAX_PAUSES = 1000
"""Namespaces whose pauses are known; the oldest are forgotten."""

TRY_AGAIN = 1.0
"""Seconds of the first pause."""

REFUSALS = {"Refused": "ArtifactRefused", "Unsupported": "ArtifactRefused", "TooLarge": "ArtifactTooLarge"}
"""Reasons of the counter of refused objects, by the reason of an ArtifactError."""

MAX_REPORTS, MAX_PROBLEMS = 2 * MAX_OF_A_RUN, 64
"""Reports and messages of a run that are kept until its status is written."""


class Reader(Protocol):
    """Reads small artifacts. Raises ArtifactError."""

    async def read_small(self, workflow: Json, node_id: str, name: str, limit: int) -> bytes:
        """Read the artifact, unpacked. Raises an error for more than `limit` bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Pause:
    """A namespace whose object store did not reply."""

    failures: int
    until: float


class Collector:
    """Reads metrics in one task for each run."""

    def __init__(
        self,
        client: Client,
        reader: Reader,
        cache: RunCache,
        wake: Callable[[Key], None],
        lane: Lane,
        refused: Callable[[str], None],
    ) -> None:
        """The result goes into the run's memory; then `wake` enqueues the run. `refused` counts artifacts, by a reason."""
        self._client = client
        self._reader = reader
        self._cache = cache
        self._wake = wake
        self._lane, self._refused = lane, refused
        self._pauses: dict[str, Pause] = {}
        self._slots = FairSlots(AT_A_TIME, lambda namespace: 1 if namespace in self._pauses else AT_A_TIME)
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
        except Exception as error:
            # The nodes count as read: the run would otherwise begin to read them again, at once and for ever.
            logger.exception("metrics: unexpected error")
            found = Collected(nodes, problems=(f"the metrics cannot be read: {type(error).__name__}",))
        finally:
            # A run that was dropped or replaced meanwhile has no memory, and needs no metrics.
            live = self._cache.find_live(key)
            if live is not None and live.memory is not None:
                collected = joined(live.memory.collected, found)
                live.memory = replace(live.memory, collecting=False, collected=collected)
                self._wake(key)

    async def _read(self, workflow: WorkflowRecord, nodes: frozenset[str]) -> Collected:
        """What was read of the nodes; without those that were not read because of the API server."""
        namespace = workflow.key.namespace
        waiting: list[str] = sorted(nodes)
        parts: list[Collected] = []
        try:
            async with asyncio.timeout(PATIENCE):
                while waiting:
                    await self._wait_for_turn(namespace)
                    async with self._slots.hold(namespace):
                        if self._left_of_pause(namespace) <= 0:  # otherwise, another run has found out meanwhile
                            await self._attempt(workflow, waiting, parts)
                            done = frozenset[str]().union(*(one.nodes for one in parts))
                            waiting = [node for node in waiting if node not in done]
        except ApiError as error:
            logger.warning("metrics: the Workflow cannot be read: %s", error)
            await asyncio.sleep(TRY_AGAIN)
        except TimeoutError:
            left = nodes.difference(*(one.nodes for one in parts))
            problems = tuple(
                f"node {node}: the artifact {METRICS_OUTPUT} was not read within {PATIENCE:.0f} s"
                for node in sorted(left)[:MAX_PROBLEMS]
            )
            parts.append(Collected(left, problems=problems))
        found = joined(*parts)
        # By node: the order of the status does not depend on which store replied first.
        return replace(found, reports=tuple(sorted(found.reports, key=lambda one: str(one.node_id))))

    async def _attempt(self, workflow: WorkflowRecord, nodes: list[str], parts: list[Collected]) -> None:
        """Reads nodes until an object store does not reply; at the first attempt, all parameters. Raises ApiError."""
        body = await self._client.get(WORKFLOWS, workflow.key)
        if body is None or uid_of(body) != workflow.uid:
            problem = "the Workflow was deleted before its metrics were read"
            parts.append(Collected(frozenset(nodes), problems=(problem,)))
            return
        status, stored = status_of(body), list[str]()
        if has_many_nodes(body):
            there = await self._lane.run(workflow.key.namespace, workflow_nodes, status)
            body = {**body, "status": {**status, "nodes": there, "compressedNodes": ""}}
        else:
            there = workflow_nodes(status)
        first = not parts
        for node in nodes:
            outputs = as_mapping(as_mapping(there.get(node)).get("outputs"))
            has_artifact = find_output(outputs, "artifacts") is not None
            stored += [node] if has_artifact else []
            parameter = find_output(outputs, "parameters") if first else None
            text = as_text(parameter.get("value")) if parameter is not None else None
            parts.append(collected_of(node, "output parameter", text, done=not has_artifact))
        for at in range(0, len(stored), NODES_AT_A_TIME):
            some = stored[at : at + NODES_AT_A_TIME]
            results = await asyncio.gather(*(self._read_artifact(body, node) for node in some))
            parts += [one for one in results if one is not None]
            if None in results:
                self._not_answered(workflow.key.namespace)
                return
            self._answered(workflow.key.namespace)

    async def _read_artifact(self, workflow: Json, node: str) -> Collected | None:
        """The metrics in a node's artifact; None if a later attempt may succeed."""
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS):
                data = await self._reader.read_small(workflow, node, METRICS_OUTPUT, MAX_FILE)
        except TimeoutError:
            return None
        except Exception as error:
            reason = getattr(error, "reason", "")
            if reason == "Unreachable":
                return None
            if reason in REFUSALS:
                self._refused(REFUSALS[reason])
            return Collected(
                frozenset((node,)), problems=(f"node {node}: the artifact {METRICS_OUTPUT} cannot be read: {error}",)
            )
        return collected_of(node, "artifact", data.decode("utf-8", "replace"))

    # ------------------------------------------------------------------------------------------------------ pauses
    def _left_of_pause(self, namespace: str) -> float:
        pause = self._pauses.get(namespace)
        return pause.until - asyncio.get_running_loop().time() if pause is not None else 0

    async def _wait_for_turn(self, namespace: str) -> None:
        """Waits until the namespace is due, or its store has replied to another run."""
        while (left := self._left_of_pause(namespace)) > 0:  # noqa: ASYNC110 - a pause has no event at its end
            await asyncio.sleep(min(left, TRY_AGAIN))

    def _not_answered(self, namespace: str) -> None:
        now, former = asyncio.get_running_loop().time(), self._pauses.pop(namespace, None)
        if former is not None and former.until > now:
            self._pauses[namespace] = former  # attempts that began before the pause count once
            return
        failures = 1 + (former.failures if former is not None else 0)
        self._pauses[namespace] = Pause(failures, now + min(TRY_AGAIN * 2.0 ** min(failures - 1, 10), MAX_PAUSE))
        while len(self._pauses) > MAX_PAUSES:
            del self._pauses[next(iter(self._pauses))]

    def _answered(self, namespace: str) -> None:
        if self._pauses.pop(namespace, None) is not None:
            self._slots.grant()


def collected_of(node: str, what: str, text: str | None, *, done: bool = True) -> Collected:
    """The metrics in the text of a node's output; None: it has none."""
    reports, problem = read_metrics_file(text, node) if text is not None else ([], "")
    problems = (f"node {node}: the {what} {METRICS_OUTPUT} {problem}",) if problem else ()
    return Collected(frozenset((node,)) if done else frozenset(), tuple(reports), problems)


def joined(*parts: Collected) -> Collected:
    """Join results; reports and messages beyond the limits are left out, and the last message says so."""
    reports = tuple(islice((report for one in parts for report in one.reports), MAX_REPORTS + 1))
    problems = tuple(islice((problem for one in parts for problem in one.problems), MAX_PROBLEMS + 1))
    if len(reports) > MAX_REPORTS:
        problems = (f"the run has more than {MAX_OF_A_RUN} metrics", *problems)
    if len(problems) > MAX_PROBLEMS:
        problems = (*problems[: MAX_PROBLEMS - 1], "further problems were left out")
    return Collected(frozenset[str]().union(*(one.nodes for one in parts)), reports[:MAX_REPORTS], problems)
