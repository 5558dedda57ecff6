"""The tenant beside the attacker: creates runs at a steady pace, by the API server and by the run service, and measures their ends."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import grpc
import grpc.aio

from runwright.service.contract.resource_reference_pb2 import ResourceType
from runwright.service.contract.run_pb2 import ListRunsRequest, ListRunsResponse
from tests.e2e.cluster import Object, finished
from tests.e2e.control_plane import ControlPlane
from tests.e2e.fault_proxy import way_in
from tests.e2e.hostile_judge import percentile
from tests.e2e.manifests import instant, pipeline_run, workflow
from tests.e2e.processes import Serve
from tests.e2e.world import RUNS, WORKFLOWS, World

NUMBER = re.compile(r"\d+")
PACE_SECONDS = 0.4
"""From one run to the next."""

PATIENCE_SECONDS = 60.0
"""How long a client waits for a reply: a call that creates a run is not sent twice because a machine is slow."""

TRIES = 7
"""How often a client asks again that got 429, 503 or no reply, as KFP's and Kubernetes' clients do."""


@dataclass
class Report:
    """What the tenant saw in a period."""

    lags: list[float] = field(default_factory=list)
    """Seconds from the end of a Workflow to that of its run, by their watch events."""
    writes: list[float] = field(default_factory=list)
    """Seconds from a request that creates a run to its watch event: what one write takes, without an operator."""
    calls: list[float] = field(default_factory=list)
    """Seconds that calls of the run service took."""
    again: Counter[str] = field(default_factory=Counter)
    """Why a call was tried again."""
    wrong: list[str] = field(default_factory=list)

    def tell(self) -> str:
        """Its figures, on one line."""
        parts = [
            f"{name} {len(values)}: p50 {1000 * percentile(values, 50):.0f} ms, p99 {1000 * percentile(values, 99):.0f} ms"
            for name, values in (("lags", self.lags), ("writes", self.writes), ("calls", self.calls))
        ]
        return "; ".join([*parts, f"tried again {dict(self.again)}"])


def phase(run: Object) -> str:
    """Its phase."""
    return (run.get("status") or {}).get("phase") or "without a phase"


class Ends(World):
    """The world, with the moment of each end."""

    def __init__(self, session: aiohttp.ClientSession, neighbour: Neighbour) -> None:
        super().__init__(session)
        self._neighbour = neighbour
        self.ends: dict[tuple[str, str], float] = {}

    async def _record(self, event: str, key: tuple[str, str], found: Object) -> None:
        if event == "ADDED" and key in self._neighbour.sent:
            self._neighbour.report.writes.append(time.monotonic() - self._neighbour.sent.pop(key))
        if event != "DELETED" and finished(found) and key not in self.ends:
            self.ends[key] = time.monotonic()
            if key[0] == "run" and (start := self.ends.get(("workflow", key[1]))):
                self._neighbour.report.lags.append(self.ends[key] - start)
        await super()._record(event, key, found)


class Neighbour:
    """Somebody who only wants to work."""

    def __init__(
        self, api: aiohttp.ClientSession, service: aiohttp.ClientSession, channel: grpc.aio.Channel, token: str
    ) -> None:
        self._api, self._service, self._token = api, service, token
        self._list = channel.unary_unary(
            "/api.RunService/ListRuns",
            request_serializer=ListRunsRequest.SerializeToString,
            response_deserializer=ListRunsResponse.FromString,
        )
        self.world = Ends(api, self)
        self.report = Report()
        self.sent: dict[tuple[str, str], float] = {}
        """Moments at which runs were sent whose watch event has not come."""
        self._number = 0
        self.tasks: set[asyncio.Task[None]] = set()
        self._created = 0
        self._reading: asyncio.Task[None] | None = None
        self.experiment = ""

    def take(self) -> Report:
        """What was seen since the last time."""
        found, self.report = self.report, Report()
        return found

    async def prepare(self) -> None:
        """Create the experiment of the runs."""
        owner = {"key": {"type": "NAMESPACE", "id": "default"}, "relationship": "OWNER"}
        body = {"name": "work", "resource_references": [owner]}
        self.experiment = (await self._rest("POST", "/apis/v1beta1/experiments", body))["id"]

    async def work_for(self, seconds: float) -> None:
        """Create runs and read lists at the usual pace."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._number += 1
            self._start(self._create(self._number))
            # As a notebook does: the next list is asked for once the reply to the one before has come.
            if self._reading is None or self._reading.done():
                self._reading = self._start(self._read(self._number))
            await asyncio.sleep(PACE_SECONDS)

    def _start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def unfinished(self, seconds: float) -> list[str]:
        """Wait for all ends; returns the runs that have not succeeded."""
        try:
            async with asyncio.timeout(seconds):
                while self.tasks:
                    await asyncio.gather(*self.tasks)
                await self.world.until_true(self._all_ended)
        except TimeoutError:
            pass
        runs = self._runs()
        bad = [f"tenant: run {name} is {phase(run)}" for name, run in runs.items() if phase(run) != "Succeeded"]
        lost = [f"tenant: {len(runs)} runs exist, {self._created} were created"] if len(runs) != self._created else []
        return bad + lost

    def _all_ended(self) -> bool:
        runs = self._runs()
        return len(runs) == self._created and all(map(finished, runs.values()))

    def _runs(self) -> dict[str, Object]:
        """The runs as they are now, by name."""
        return {
            name: versions[-1] for (kind, name), versions in self.world.versions.items() if kind == "run" and versions
        }

    # ------------------------------------------------------------------------------------------------------- calls
    async def _create(self, number: int) -> None:
        if number % 2:
            await self._create_directly(f"direct-{number}")
            return
        owner = {"key": {"type": "EXPERIMENT", "id": self.experiment}, "relationship": "OWNER"}
        manifest = json.dumps(workflow(instant()))
        body = {
            "name": f"served-{number}",
            "pipeline_spec": {"workflow_manifest": manifest},
            "resource_references": [owner],
        }
        if await self._rest("POST", "/apis/v1beta1/runs", body):
            self._created += 1

    async def _create_directly(self, name: str) -> None:
        async def ask() -> str:
            self.sent["run", name] = time.monotonic()
            async with self._api.post(RUNS, json=pipeline_run({"spec": instant()}, name)) as reply:
                if reply.status == 201:
                    self._created += 1
                return "" if reply.status == 201 else f"{reply.status} {(await reply.text())[:200]}"

        await self._until_done("create a run", ask)

    async def _read(self, number: int) -> None:
        query = "?resource_reference_key.type=NAMESPACE&resource_reference_key.id=default&page_size=10"
        if number % 3:
            await self._rest("GET", f"/apis/v1beta1/runs{query}")
            return
        request = ListRunsRequest(page_size=10)
        request.resource_reference_key.id = "default"
        request.resource_reference_key.type = ResourceType.NAMESPACE

        async def ask() -> str:
            try:
                await self._list(
                    request, metadata=(("authorization", f"Bearer {self._token}"),), timeout=PATIENCE_SECONDS
                )
            except grpc.aio.AioRpcError as error:
                return f"gRPC {error.code().name}"
            return ""

        await self._until_done("gRPC ListRuns", ask)

    async def _rest(self, verb: str, path: str, body: Object | None = None) -> Object:
        found: Object = {}

        async def ask() -> str:
            try:
                async with self._service.request(verb, path, json=body) as reply:
                    text = await reply.text()
                    if reply.status == 200:
                        found.update(json.loads(text))
                        return ""
                    return f"{reply.status} {NUMBER.sub('N', text)[:160]}"
            except (aiohttp.ClientError, TimeoutError) as error:
                return type(error).__name__

        await self._until_done(f"{verb} {path.partition('?')[0]}", ask)
        return found

    async def _until_done(self, what: str, ask: Callable[[], Awaitable[str]]) -> None:
        began = time.monotonic()
        last = ""
        for number in range(TRIES):
            last = await ask()
            if not last:
                self.report.calls.append(time.monotonic() - began)
                return
            self.report.again[f"{what}: {last}"] += 1
            await asyncio.sleep(0.2 * 2**number)
        self.report.wrong.append(f"{what} failed {TRIES} times: {last}")


@asynccontextmanager
async def seen_by(plane: ControlPlane, token: str, serve: Serve) -> AsyncGenerator[Neighbour]:
    """The tenant, with its watches on its own runs and Workflows."""
    server, authority, _ = way_in(plane.kubeconfig)
    headers = {"Authorization": f"Bearer {token}"}
    timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
    async with (
        aiohttp.ClientSession(
            server, connector=aiohttp.TCPConnector(ssl=authority), headers=headers, read_bufsize=2**22
        ) as api,
        aiohttp.ClientSession(serve.url, headers=headers, timeout=timeout) as service,
        grpc.aio.insecure_channel(serve.grpc) as channel,
        asyncio.TaskGroup() as group,
    ):
        neighbour = Neighbour(api, service, channel, token)
        watches = [group.create_task(neighbour.world.follow(*one)) for one in (("run", RUNS), ("workflow", WORKFLOWS))]
        try:
            await neighbour.prepare()
            yield neighbour
        finally:
            for task in (*watches, *neighbour.tasks):
                task.cancel()
