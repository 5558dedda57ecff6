"""A cluster on virtual time with its user: the API server, Argo's stand-in, the operator, and what must hold of it all."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from runwright.api.model import API_VERSION
from tests.unit.fake.apiserver import ApiServer, Change
from tests.unit.fake.argo import Argo
from tests.unit.fake.operator import Fault, Operator

Json = Mapping[str, Any]

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
NAMESPACE = "team"
RUN = "train"

COLLECT_SECONDS = 0.3
"""How long after a deletion the garbage collector comes, unless a scenario says otherwise."""

SETTLE_SECONDS = 720.0
"""Longer than two resyncs: after it, nothing may be left to be done."""

MAX_CHANGES = 300
"""Changes of objects in one play; more than this means that operators fight."""


def manifest(entrypoint: str = "two-steps", **arguments: str) -> dict[str, Any]:
    """`spec` of a run whose Workflow Argo's stand-in carries out by this script."""
    parameters = [{"name": name, "value": value} for name, value in arguments.items()]
    spec = {"entrypoint": entrypoint, "templates": [{"name": entrypoint, "container": {"image": "alpine"}}]}
    return {"workflow": {"spec": spec | ({"arguments": {"parameters": parameters}} if parameters else {})}}


@dataclass
class OperatorClock:
    """The operator's wall clock: it may be wrong."""

    seconds: Callable[[], float]
    ahead: timedelta = timedelta(0)

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds()) + self.ahead


@dataclass
class World:
    """Must be made inside a running virtual loop. What breaks a rule at any moment stands in `problems`."""

    fault: Fault = field(default_factory=Fault)
    collect_after: float | None = COLLECT_SECONDS
    """None: the garbage collector comes only when the user calls it."""
    problems: list[str] = field(default_factory=list[str])
    calls: list[str] = field(default_factory=list[str])
    deliveries: int = 0
    operators: list[Operator] = field(default_factory=list[Operator])
    created: Counter[str] = field(default_factory=Counter[str])
    """Workflows created for a run, by its uid."""
    deleted: Counter[str] = field(default_factory=Counter[str])

    def __post_init__(self) -> None:
        random.seed(20261124)
        loop = asyncio.get_running_loop()
        self.clock = OperatorClock(loop.time)
        self.server = ApiServer(self.server_now)
        self.server.listeners.append(self._changed)
        self._waiters: list[asyncio.Future[None]] = []
        Argo(self.server, self.server_now)

    def server_now(self) -> datetime:
        return START + timedelta(seconds=asyncio.get_running_loop().time())

    # ------------------------------------------------------------------------------------------------------ operators

    def start_operator(self) -> None:
        """The operator that the fault is for."""
        self.operators.append(Operator(self, faulty=True))

    def second_operator(self) -> None:
        self.operators.append(Operator(self, faulty=False))

    def stop_operators(self) -> None:
        for operator in [operator for operator in self.operators if operator.alive]:
            operator.crash()

    def crashed(self, operator: Operator, down: float) -> None:
        asyncio.get_running_loop().call_later(down, self.second_operator)

    # ----------------------------------------------------------------------------------------------------------- user

    def apply(self, spec: Json, name: str = RUN) -> None:
        """`kubectl apply`: create the run or change its spec."""
        if self.run(name):
            self.server.replace("PipelineRun", NAMESPACE, name, spec=spec)
        else:
            metadata = {"namespace": NAMESPACE, "name": name}
            self.server.create("PipelineRun", {"apiVersion": API_VERSION, "metadata": metadata, "spec": spec})

    def add(self, kind: str, name: str, **parts: Any) -> None:
        """Create another object in the namespace."""
        self.server.create(kind, {"metadata": {"namespace": NAMESPACE, "name": name}, **parts})

    def delete(self, kind: str, name: str = RUN) -> None:
        self.server.delete(kind, NAMESPACE, name)

    def label(self, **labels: str) -> None:
        """`kubectl label` of the run."""
        self.server.replace("PipelineRun", NAMESPACE, RUN, labels=labels)

    def install_argo(self) -> None:
        """Install Argo's CRDs: the watches begin."""
        self.server.argo_installed = True
        for operator in self.operators:
            if operator.alive:
                operator.deliver_again()

    def run(self, name: str = RUN) -> Json | None:
        return self.server.objects.get(("PipelineRun", NAMESPACE, name))

    def workflow(self, name: str = RUN) -> Json | None:
        return self.server.objects.get(("Workflow", NAMESPACE, name))

    def phase(self, name: str = RUN) -> str:
        """The run's phase by its own record."""
        return ((self.run(name) or {}).get("status") or {}).get("phase", "")

    def argo_phase(self, name: str = RUN) -> str:
        return ((self.workflow(name) or {}).get("status") or {}).get("phase", "")

    def stalled(self, name: str = RUN) -> str:
        """Why the run is stalled; empty where it is not."""
        condition = condition_of((self.run(name) or {}).get("status") or {}, "Stalled")
        return condition.get("reason", "") if condition.get("status") == "True" else ""

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for it, through every change of any object."""
        while not holds():
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    # ---------------------------------------------------------------------------------------------------------- rules

    def _changed(self, change: Change) -> None:
        if change.version == MAX_CHANGES:
            self.problems.append(f"{MAX_CHANGES} writes, and no end of them")
            self.stop_operators()
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
        owned = change.type == "ADDED" and change.body["metadata"].get("ownerReferences")
        if (owned or change.type == "DELETED") and self.collect_after is not None:
            asyncio.get_running_loop().call_later(self.collect_after, self.server.collect)
        if change.kind == "Workflow":
            for owner in change.body["metadata"].get("ownerReferences", ()):
                if change.type == "ADDED":
                    self.created[owner["uid"]] += 1
                elif change.type == "DELETED":
                    self.deleted[owner["uid"]] += 1
                if self.created[owner["uid"]] - self.deleted[owner["uid"]] > 1:
                    self.problems.append(f"two Workflows of the run {owner['name']} at one moment")
        if change.kind == "PipelineRun" and change.type == "MODIFIED":
            before, after = (change.old or {}).get("status", {}), change.body.get("status", {})
            if before.get("finishedAt") and without_generation(before) != without_generation(after):
                self.problems.append(f"a finished run was changed: {before} became {after}")

    def writes(self) -> int:
        """Writes that the operators asked for so far, but for creations of what exists."""
        written = {"patch", "delete"}
        refused = sum(n for (verb, _), n in self.server.calls.items() if verb in written)
        return refused + sum(self.created.values()) + len(self.server.events)


def without_generation(status: Json) -> Json:
    return {key: value for key, value in status.items() if key != "observedGeneration"}


def condition_of(status: Json, kind: str) -> Json:
    return next((c for c in status.get("conditions", ()) if c["type"] == kind), {})


Play = Callable[[World], Awaitable[None]]
