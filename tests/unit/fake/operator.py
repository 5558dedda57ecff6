"""One operator process on the in-memory API server: the real cache, queue, intake, workers, reconciler, resync and sweep.

The crash sweep injects one fault into its watch events or its calls (`faulty_client.py`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from runwright.api.labels import AVAILABLE_RUNS, RUN_LABEL
from runwright.controller.cache import RunCache
from runwright.controller.intake import Intake
from runwright.controller.measures import Measures
from runwright.controller.policies import Policies
from runwright.controller.queue import WorkQueue
from runwright.controller.reconciler import Reconciler
from runwright.controller.resync import RESYNC_SECONDS, Resync
from runwright.controller.scope import Scope
from runwright.controller.series import RunSeries
from runwright.controller.sweep import Sweep
from runwright.controller.workers import start_workers
from runwright.core.workflow.build import BuildOptions
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, Key
from runwright.kube.supervise import Supervisor
from tests.unit.fake.apiserver import Change, select
from tests.unit.fake.faults import LATE_SECONDS, Fault, Surroundings
from tests.unit.fake.faulty_client import FaultyClient
from tests.unit.fake.virtual_time import at_end

MEASURES = Measures()
"""Shared by all operators: creating it is slow, and no test here reads it."""

WATCH_SECONDS = 0.005
"""Seconds from a change to its watch event."""

LONGEST_WAIT = 3600
"""Longest delay that a reconcile may return, in seconds."""


class Operator:
    """An operator process, from its start with an empty cache to its crash."""

    def __init__(self, world: Surroundings, faulty: bool) -> None:
        self.world = world
        self.faulty = faulty
        """Whether the world's fault hits this operator."""
        self.alive = True
        self.paused = False
        self.cache, self.queue = RunCache(), WorkQueue[Key]()
        client, scope = FaultyClient(self), Scope()
        self.sweep = Sweep(client, scope, self.cache, self.queue, world.clock)
        policies = Policies(client, world.retention, self.sweep.policy_changed, self.sweep.policy_begins)
        self.reconciler = Reconciler(
            client, scope, self.cache, world.clock, BuildOptions(), policies, self.queue.add, MEASURES, world.artifacts
        )
        self.resync = Resync(client, scope, self.cache, self.queue)
        intake = Intake(self.cache, self.queue, policies, RunSeries(self.cache, (), 0))
        self._streams = (
            Stream(self, "PipelineRun", AVAILABLE_RUNS, intake.pipelinerun),
            Stream(self, "Workflow", RUN_LABEL, intake.workflow),
            Stream(self, "RetentionPolicy", "", intake.policy),
        )
        self._loops = Supervisor().group()
        at_end(self._loops.cancel)
        start_workers(self._loops, self.queue, self._reconcile, 3)
        self.resync.start(self._loops, RESYNC_SECONDS)
        self.sweep.start(self._loops)
        intake.lists.expect(stream.kind for stream in self._streams[:2] if stream.served)
        self.lists = intake.lists
        for stream in self._streams:
            stream.start()

    async def _reconcile(self, key: Key) -> float | None:
        try:
            again = await self.reconciler.reconcile(key)
        except (ApiError, asyncio.CancelledError):
            raise
        except Exception as error:
            self.world.problems.append(f"reconcile raised {error!r}")
            raise
        if again is not None and not 0 <= again <= LONGEST_WAIT:
            self.world.problems.append(f"reconcile returned a delay of {again} s")
        return again

    def crash(self) -> None:
        """Stop at once: no further call reaches the API server."""
        self.alive = False
        self.queue.close()
        self.lists.close()
        for stream in self._streams:
            stream.stop()
        self._loops.cancel()

    async def pause(self, seconds: float) -> None:
        """Pause the process, as SIGSTOP does. Events that arrive meanwhile wait."""
        self.paused = True
        await asyncio.sleep(seconds)
        self.paused = False
        for stream in self._streams:
            stream.resume()

    def deliver_again(self) -> None:
        """Tell every object once more, as a new watch would."""
        for stream in self._streams:
            stream.start()


class Stream:
    """A watch stream, as Kopf's: a list, then every change after it."""

    def __init__(self, operator: Operator, kind: str, labels: str, take: Callable[[str | None, Json], None]) -> None:
        self._operator, self.kind, self._labels, self._take = operator, kind, labels, take
        self._under_way: deque[tuple[str | None, Json]] = deque()
        self._held = 0
        self._server = operator.world.server
        lag = operator.faulty and operator.world.fault.kind == f"{kind}s are delivered late"
        self._seconds = LATE_SECONDS if lag else WATCH_SECONDS

    def start(self) -> None:
        """Start the list and the watch. A kind that is not served is listed later, by `deliver_again`."""
        if self._changed not in self._server.listeners:
            self._server.listeners.append(self._changed)
        if self.served:
            items = self._server.list(self.kind, self._labels)
            self._operator.lists.add_page(self.kind, {"items": items}, first=True)
            for body in items:
                self._send(None, body)

    @property
    def served(self) -> bool:
        """Whether the API server serves the kind."""
        return self.kind != "Workflow" or self._server.argo_installed

    def stop(self) -> None:
        self._server.listeners.remove(self._changed)

    def _changed(self, change: Change) -> None:
        if change.kind == self.kind and (selected := select(change, self._labels)):
            self._send(selected.type, selected.body)

    def _send(self, event: str | None, body: Json) -> None:
        self._under_way.append((event, body))
        asyncio.get_running_loop().call_later(self._seconds, self._arrived)

    def resume(self) -> None:
        """Deliver the events that arrived during a pause."""
        held, self._held = self._held, 0
        for _ in range(held):
            self._arrived()

    def _arrived(self) -> None:
        if self._operator.paused:
            self._held += 1
            return
        event, body = self._under_way.popleft()
        if not self._operator.alive:
            return
        fault, number = Fault(), 0
        if self._operator.faulty:
            fault, number = self._operator.world.fault, self._operator.world.deliveries
            self._operator.world.deliveries += 1
        loop = asyncio.get_running_loop()
        match fault.kind if number == fault.at else "":
            case "event lost":
                pass
            case "event delivered twice":
                self._take(event, body)
                loop.call_later(LATE_SECONDS, self._take_late, event, body)
            case "event delivered late":
                loop.call_later(LATE_SECONDS, self._take_late, event, body)
            case "event delivered very late":
                loop.call_later(100, self._take_late, event, body)
            case _:
                if not (fault.kind == "three events lost" and fault.at <= number < fault.at + 3):
                    self._take(event, body)

    def _take_late(self, event: str | None, body: Json) -> None:
        if self._operator.alive:
            self._take(event, body)
