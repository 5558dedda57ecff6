"""One operator process on the in-memory API server: the real store, queue, intake, workers, reconciler and resync.

Its calls and its watches can be made to go wrong at one place: that is what the crash sweep does.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

from typing_extensions import override

from runwright.api.pipelinerun import RUN_LABEL, Shutdown
from runwright.core.decision import Notice, event_name
from runwright.core.observe import key_of
from runwright.core.records import Key, RunRecord, WorkflowRecord
from runwright.core.workflow import BuildOptions, ObjectRef
from runwright.ports import ApiError, Clock, Cluster, Identity, Json
from runwright.runtime.intake import Intake
from runwright.runtime.queue import WorkQueue
from runwright.runtime.reconciler import Reconciler
from runwright.runtime.resync import RESYNC_SECONDS, Resync
from runwright.runtime.store import Store
from runwright.runtime.workers import work
from tests.unit.fake.apiserver import ApiServer, Change, select

CALL_SECONDS = 0.002
"""How long an API call takes until it is carried out."""

WATCH_SECONDS = 0.005
"""How long a watch event is under way."""

PAGE = 2
"""Objects in a page of a list: small, so that lists of few objects have several pages."""

LATE_SECONDS = 3.0
"""How much later than told a late write is committed, or a late event delivered: later than what comes next."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong, once, at the call or watch event of this number."""

    kind: str = ""
    at: int = 0

    def __str__(self) -> str:
        return f"{self.kind}@{self.at}" if self.kind else "no fault"


class Surroundings(Protocol):
    """What an operator process runs in."""

    server: ApiServer
    fault: Fault
    calls: list[str]
    """The API calls of the operator that the fault is for, so far: verb and resource."""
    deliveries: int
    """The watch events for it, so far."""
    problems: list[str]

    @property
    def clock(self) -> Clock:
        """What the operator takes for the time."""
        ...

    def crashed(self, operator: Operator, down: float) -> None:
        """The operator is gone; another one starts after so many seconds."""
        ...

    def second_operator(self) -> None:
        """Start another operator beside the first one."""
        ...


class Operator:
    """A process, from its start with an empty memory to its crash."""

    def __init__(self, world: Surroundings, faulty: bool) -> None:
        self.world = world
        self.faulty = faulty
        """Whether the world's fault is for this one."""
        self.alive = True
        self.paused = False
        self.store, self.queue = Store(), WorkQueue[Key]()
        cluster = FaultyCluster(self)
        self.reconciler = Reconciler(cluster, self.store, world.clock, BuildOptions())
        self.resync = Resync(cluster, self.store, self.queue)
        intake = Intake(self.store, self.queue)
        self._streams = (
            Stream(self, "PipelineRun", None, intake.pipelinerun),
            Stream(self, "Workflow", RUN_LABEL, intake.workflow),
        )
        self._tasks = [
            asyncio.ensure_future(work(self.queue, self._reconcile, 3)),
            asyncio.ensure_future(self.resync.forever(RESYNC_SECONDS)),
        ]
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
        if again is not None and not 0 < again <= 60:
            self.world.problems.append(f"reconcile wants to come back after {again} s")
        return again

    def crash(self) -> None:
        """End at once: nothing that it would do in its last moments reaches the API server."""
        self.alive = False
        self.queue.close()
        for stream in self._streams:
            stream.stop()
        for task in self._tasks:
            task.cancel()

    async def pause(self, seconds: float) -> None:
        """The process stands still, as under SIGSTOP: what is sent to it meanwhile waits."""
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
    """One of Kopf's two watch streams: the list, then every change after it."""

    def __init__(
        self, operator: Operator, kind: str, label: str | None, take: Callable[[str | None, Json], None]
    ) -> None:
        self._operator, self._kind, self._label, self._take = operator, kind, label, take
        self._under_way: deque[tuple[str | None, Json]] = deque()
        self._held = 0
        self._server = operator.world.server
        lag = operator.faulty and operator.world.fault.kind == f"{kind}s are told late"
        self._seconds = LATE_SECONDS if lag else WATCH_SECONDS

    def start(self) -> None:
        """List and watch; where the kind is not served, as soon as it is."""
        if self._changed not in self._server.listeners:
            self._server.listeners.append(self._changed)
        if self._kind != "Workflow" or self._server.argo_installed:
            for body in self._server.list(self._kind, self._label):
                self._send(None, body)

    def stop(self) -> None:
        self._server.listeners.remove(self._changed)

    def _changed(self, change: Change) -> None:
        if change.kind == self._kind and (selected := select(change, self._label)):
            self._send(selected.type, selected.body)

    def _send(self, event: str | None, body: Json) -> None:
        self._under_way.append((event, body))
        asyncio.get_running_loop().call_later(self._seconds, self._arrived)

    def resume(self) -> None:
        """Deliver what came while the process stood still."""
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
            case "event told twice":
                self._take(event, body)
                loop.call_later(LATE_SECONDS, self._take_late, event, body)
            case "event told late":
                loop.call_later(LATE_SECONDS, self._take_late, event, body)
            case "event told very late":
                loop.call_later(100, self._take_late, event, body)
            case _:
                if not (fault.kind == "three events lost" and fault.at <= number < fault.at + 3):
                    self._take(event, body)

    def _take_late(self, event: str | None, body: Json) -> None:
        if self._operator.alive:
            self._take(event, body)


class FaultyCluster(Cluster):
    """The port, with one place where a call goes wrong."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator
        self._world = operator.world
        self._server = operator.world.server

    @override
    async def get_run(self, key: Key) -> Json | None:
        return await self._call("get", "pipelineruns", lambda: self._server.get("PipelineRun", key.namespace, key.name))

    @override
    async def get_workflow(self, key: Key) -> Json | None:
        return await self._call("get", "workflows", lambda: self._server.get("Workflow", key.namespace, key.name))

    @override
    async def get_object(self, ref: ObjectRef) -> Json | None:
        def get() -> Json | None:
            try:
                return self._server.get(ref.kind, ref.namespace, ref.name)
            except ApiError:  # the adapter takes a kind that is not served for an object that is not there
                return None

        return await self._call("get", f"{ref.kind.lower()}s", get)

    @override
    async def create_workflow(self, workflow: Json) -> Json:
        body = json.loads(json.dumps(workflow))
        return await self._call("create", "workflows", lambda: self._server.create("Workflow", body))

    @override
    async def delete_workflow(self, workflow: WorkflowRecord) -> None:
        def delete() -> None:
            try:
                key = workflow.key
                self._server.delete("Workflow", key.namespace, key.name, workflow.uid, workflow.resource_version)
            except ApiError as error:
                if error.code != 404:
                    raise

        await self._call("delete", "workflows", delete)

    @override
    async def shut_down_workflow(self, workflow: WorkflowRecord, how: Shutdown) -> Json | None:
        def shut_down() -> Json | None:
            key = workflow.key
            there = self._server.objects.get(("Workflow", key.namespace, key.name))
            if there is None:
                return None
            if there["metadata"]["uid"] != workflow.uid:
                raise ApiError(409, "Conflict", "Precondition failed: UID in precondition")
            spec = {**there["spec"], "shutdown": how.value}
            return self._server.replace("Workflow", key.namespace, key.name, spec=spec)

        return await self._call("patch", "workflows", shut_down)

    @override
    async def patch_run_status(self, run: RunRecord, patch: Json) -> Json:
        body = json.loads(json.dumps(patch))
        if not body:
            self._world.problems.append("a patch that changes nothing was sent")

        def patch_status() -> Json:
            return self._server.patch_status("PipelineRun", run.key.namespace, run.key.name, body, run.resource_version)

        return await self._call("patch", "pipelineruns/status", patch_status)

    @override
    async def post_event(self, run: RunRecord, notice: Notice, now: datetime) -> None:
        name = event_name(run, notice)
        event = {"run": run.key.name, "uid": run.uid, "type": notice.type, "reason": notice.reason}
        await self._call("create", "events", lambda: self._server.post_event(run.key.namespace, name, event))

    @override
    async def list_unfinished_runs(self) -> AsyncIterator[Identity]:
        def unfinished(body: Json) -> bool:
            return body.get("status", {}).get("phase") not in ("Succeeded", "Skipped", "Failed", "Error")

        async for identity in self._list("PipelineRun", "pipelineruns", None, unfinished):
            yield identity

    @override
    async def list_workflows(self) -> AsyncIterator[Identity]:
        async for identity in self._list("Workflow", "workflows", RUN_LABEL, lambda _: True):
            yield identity

    async def _list(
        self, kind: str, resource: str, label: str | None, wanted: Callable[[Json], bool]
    ) -> AsyncIterator[Identity]:
        def found() -> list[Json]:
            try:
                return [body for body in self._server.list(kind, label) if wanted(body)]
            except ApiError:  # the adapter: without its CRD, there are none of the kind
                return []

        left = await self._call("list", resource, found)
        while left:
            for body in left[:PAGE]:
                yield Identity(key_of(body), body["metadata"]["uid"], body["metadata"]["resourceVersion"])
            left = left[PAGE:]
            if left:
                await self._call("list", resource, lambda: None)

    async def _call(self, verb: str, resource: str, commit: Callable[[], T]) -> T:
        """Have the API server do it, unless this is the call at which the fault is."""
        self._server.calls[verb, resource] += 1
        await asyncio.sleep(CALL_SECONDS)
        fault = self._fault_of_this_call(f"{verb} {resource}")
        await self._fail_before(fault, commit)
        result = commit()
        await self._fail_after(fault)
        await asyncio.sleep(0)
        return result

    def _fault_of_this_call(self, call: str) -> str:
        if not self._operator.faulty:
            return ""
        number = len(self._world.calls)
        self._world.calls.append(call)
        return self._world.fault.kind if number == self._world.fault.at else ""

    async def _fail_before(self, fault: str, commit: Callable[[], object]) -> None:
        match fault:
            case "crash before":
                await self._crash(0.5)
            case "long crash before":
                await self._crash(40)
            case "committed late":
                asyncio.get_running_loop().call_later(LATE_SECONDS, swallow, commit)
                raise ApiError(0, "Unreachable", "no reply; the call is carried out later")
            case "committed very late":
                asyncio.get_running_loop().call_later(100, swallow, commit)
                raise ApiError(0, "Unreachable", "no reply; the call is carried out much later")
            case "paused before":
                await self._pause(20)
            case "long paused before":
                await self._pause(400)
            case _ if fault in ERRORS:
                raise ERRORS[fault]
            case _:
                pass

    async def _fail_after(self, fault: str) -> None:
        match fault:
            case "crash after":
                await self._crash(0.5)
            case "long crash after":
                await self._crash(40)
            case "no reply after":
                raise ApiError(0, "Unreachable", "no reply; the call was carried out")
            case "paused after":
                await self._pause(20)
            case "second operator":
                self._world.second_operator()
            case _:
                pass

    async def _crash(self, down: float) -> None:
        self._operator.crash()
        self._world.crashed(self._operator, down)
        await asyncio.get_running_loop().create_future()

    async def _pause(self, seconds: float) -> None:
        """Another one takes over while this one stands still."""
        self._world.second_operator()
        await self._operator.pause(seconds)


ERRORS: dict[str, ApiError] = {
    "409": ApiError(409, "Conflict", "the object has been modified"),
    "429": ApiError(429, "TooManyRequests", "the server has received too many requests"),
    "500": ApiError(500, "InternalError", "etcdserver: leader changed"),
    "no reply before": ApiError(0, "Unreachable", "no reply; the call was not carried out"),
}


def swallow(commit: Callable[[], Any]) -> None:
    """A call whose caller has given up."""
    try:
        commit()
    except ApiError:
        return
