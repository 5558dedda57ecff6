"""A simulated cluster on virtual time: API server, fake Argo, operators, user actions. `rules.py` has the invariants."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from runwright.api.labels import STORAGE_STATE_LABEL, WORKFLOW_LABEL
from runwright.api.resources import API_VERSION
from runwright.api.retentionpolicy import RetentionPolicySpec
from runwright.core.finished import is_settled
from runwright.core.retry.reset import WorkflowReset, reset_workflow
from tests.unit.fake.apiserver import ApiServer, Change
from tests.unit.fake.argo import Argo
from tests.unit.fake.artifacts import FakeArtifacts
from tests.unit.fake.faults import Fault, Process
from tests.unit.fake.operator import Operator
from tests.unit.fake.rules import Rules, condition_of, succeeded_pods

Json = Mapping[str, Any]

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
NAMESPACE = "team"
RUN = "train"

COLLECT_SECONDS = 0.3
"""Seconds from a deletion to the garbage collector's run, unless a scenario sets another time."""

SETTLE_SECONDS = 720.0
"""Seconds, longer than two resyncs. After them, no work may be left."""

QUIET_SECONDS = 400.0
"""Longer than a resync."""

MAX_CHANGES = 600
"""Limit of object changes in one play. More changes mean that operators overwrite each other."""


def manifest(entrypoint: str = "two-steps", **arguments: str) -> dict[str, Any]:
    """`spec` of a run with the fake Argo's script of this entrypoint."""
    parameters = [{"name": name, "value": value} for name, value in arguments.items()]
    spec = {"entrypoint": entrypoint, "templates": [{"name": entrypoint, "container": {"image": "alpine"}}]}
    return {"workflow": {"spec": spec | ({"arguments": {"parameters": parameters}} if parameters else {})}}


@dataclass
class OperatorClock:
    """The operator's wall clock, `ahead` of the true time."""

    seconds: Callable[[], float]
    ahead: timedelta = timedelta(0)

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds()) + self.ahead


@dataclass
class World:
    """The simulated cluster. Create it inside a running virtual loop. `problems` lists the broken rules."""

    fault: Fault = field(default_factory=Fault)
    collect_after: float | None = COLLECT_SECONDS
    """Seconds from a deletion to the garbage collector's run. None: only `collect` runs it."""
    retention: RetentionPolicySpec = field(default_factory=RetentionPolicySpec)
    """The operators' default policy."""
    artifacts: FakeArtifacts = field(default_factory=FakeArtifacts)
    problems: list[str] = field(default_factory=list[str])
    calls: list[str] = field(default_factory=list[str])
    deliveries: int = 0
    operators: list[Operator] = field(default_factory=list[Operator])

    def __post_init__(self) -> None:
        random.seed(20261124)
        loop = asyncio.get_running_loop()
        self.clock = OperatorClock(loop.time)
        self.server = ApiServer(self.server_now)
        self.rules = Rules(self.server, self.problems)
        self.server.listeners += [self.rules.changed, self._changed]
        self._waiters: list[asyncio.Future[None]] = []
        Argo(self.server, self.server_now)

    def server_now(self) -> datetime:
        return START + timedelta(seconds=asyncio.get_running_loop().time())

    # ------------------------------------------------------------------------------------------------------ operators

    def start_operator(self) -> None:
        """Start the operator with the fault."""
        self.operators.append(Operator(self, faulty=True))

    def second_operator(self) -> None:
        self.operators.append(Operator(self, faulty=False))

    def stop_operators(self) -> None:
        for operator in [operator for operator in self.operators if operator.alive]:
            operator.crash()

    def crashed(self, operator: Process, down: float) -> None:
        asyncio.get_running_loop().call_later(down, self.second_operator)

    # ----------------------------------------------------------------------------------------------------------- user

    def apply(self, spec: Json, name: str = RUN, **metadata: Any) -> None:
        """`kubectl apply`: create the run or change its spec. A manifest without `retries` keeps the stored value."""
        if run := self.run(name):
            kept = {key: value for key, value in run["spec"].items() if key == "retries"}
            self.server.replace("PipelineRun", NAMESPACE, name, spec={**kept, **spec})
        else:
            metadata = {"namespace": NAMESPACE, "name": name, **metadata}
            self.server.create("PipelineRun", {"apiVersion": API_VERSION, "metadata": metadata, "spec": spec})

    def add(self, kind: str, name: str, **parts: Any) -> None:
        """Create another object in the namespace."""
        self.server.create(kind, {"metadata": {"namespace": NAMESPACE, "name": name}, **parts})

    def delete(self, kind: str, name: str = RUN) -> None:
        with self._not_the_operator():
            self.server.delete(kind, NAMESPACE, name)

    def label(self, name: str = RUN, **labels: str | None) -> None:
        """`kubectl label` of the run; None removes a label."""
        self.server.patch_labels("PipelineRun", NAMESPACE, name, labels)

    def archive(self, name: str = RUN) -> None:
        self.label(name, **{STORAGE_STATE_LABEL: "Archived"})

    def unarchive(self, name: str = RUN) -> None:
        self.label(name, **{STORAGE_STATE_LABEL: None})

    def retry(self, name: str = RUN) -> None:
        """Request one more attempt, and remove `shutdown` in the same edit."""
        run = self.run(name) or {}
        spec = {key: value for key, value in run["spec"].items() if key != "shutdown"}
        self.server.replace(
            "PipelineRun", NAMESPACE, name, spec={**spec, "retries": run["status"].get("retries", 0) + 1}
        )

    def argo_retry(self, name: str = RUN) -> None:
        """`argo retry`: reset the Workflow without a change of the run."""
        workflow = self.workflow(name) or {}
        with self._not_the_operator():
            for pod in self.server.list("Pod", f"{WORKFLOW_LABEL}={name}"):
                if pod["metadata"]["name"] not in succeeded_pods(workflow):
                    self.server.remove("Pod", NAMESPACE, pod["metadata"]["name"])
            reset = reset_workflow(workflow, self.server_now())
            if isinstance(reset, WorkflowReset):
                self.server.update("Workflow", reset.workflow)

    def policy(self, **spec: Any) -> None:
        """`kubectl apply` of the namespace's RetentionPolicy."""
        if ("RetentionPolicy", NAMESPACE, "default") in self.server.objects:
            self.server.replace("RetentionPolicy", NAMESPACE, "default", spec=spec)
        else:
            self.add("RetentionPolicy", "default", spec=spec)

    def collect(self) -> None:
        """Run the garbage collector."""
        with self._not_the_operator():
            self.server.collect()

    @contextmanager
    def _not_the_operator(self) -> Iterator[None]:
        self.rules.operator_acts = False
        try:
            yield
        finally:
            self.rules.operator_acts = True

    def install_argo(self) -> None:
        """Install Argo's CRDs and start the watches of its kinds."""
        self.server.argo_installed = True
        for operator in self.operators:
            if operator.alive:
                operator.deliver_again()

    def run(self, name: str = RUN) -> Json | None:
        return self.server.objects.get(("PipelineRun", NAMESPACE, name))

    def workflow(self, name: str = RUN) -> Json | None:
        return self.server.objects.get(("Workflow", NAMESPACE, name))

    def phase(self, name: str = RUN) -> str:
        """The phase in the run's status."""
        return ((self.run(name) or {}).get("status") or {}).get("phase", "")

    def argo_phase(self, name: str = RUN) -> str:
        return ((self.workflow(name) or {}).get("status") or {}).get("phase", "")

    def stalled(self, name: str = RUN) -> str:
        """The reason of a stalled run, else the empty string."""
        condition = condition_of((self.run(name) or {}).get("status") or {}, "Stalled")
        return condition.get("reason", "") if condition.get("status") == "True" else ""

    async def until(self, holds: Callable[[], bool], at_most: float | None = None) -> None:
        """Wait until the condition holds; check it after each change of an object. Stop after `at_most` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most):
                while not holds():
                    waiter = asyncio.get_running_loop().create_future()
                    self._waiters.append(waiter)
                    await waiter

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def archived(self, name: str = RUN) -> bool:
        """Whether the run's status says Archived."""
        return ((self.run(name) or {}).get("status") or {}).get("storageState") == "Archived"

    async def check_quiet(self) -> None:
        """Check that repeated events and a new operator cause no write."""
        self.fault = Fault()
        before, log = self.rules.writes(), len(self.server.changes)
        for operator in self.operators:
            if operator.alive:
                operator.deliver_again()
                await operator.resync.once()
        self.second_operator()
        await self.sleep(QUIET_SECONDS)
        if self.rules.writes() != before or len(self.server.changes) != log:
            changed = [(change.type, change.kind) for change in self.server.changes[log:]]
            self.problems.append(f"{self.rules.writes() - before} writes though nothing happened: {changed}")
        for operator in self.operators:
            if operator.alive and (left := [run for run in operator.cache.runs() if run.finished and is_settled(run)]):
                self.problems.append(f"finished runs stay in the cache: {[str(run.key) for run in left]}")

    def _changed(self, change: Change) -> None:
        if change.version == MAX_CHANGES:
            self.problems.append(f"{MAX_CHANGES} writes, the limit of a play")
            self.stop_operators()
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
        owned = change.type == "ADDED" and change.kind in ("Workflow", "WorkflowSnapshot")
        if (owned or change.type == "DELETED") and self.collect_after is not None:
            asyncio.get_running_loop().call_later(self.collect_after, self.collect)


Play = Callable[[World], Awaitable[None]]
