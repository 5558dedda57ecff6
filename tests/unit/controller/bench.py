"""A reconciler that is called by hand, in a world on virtual time where no operator runs by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

from runwright.api.retentionpolicy import RetentionPolicySpec
from runwright.controller.actions import Actions
from runwright.controller.cache import RunCache
from runwright.controller.intake import Intake
from runwright.controller.measures import Measures
from runwright.controller.policies import Policies
from runwright.controller.queue import WorkQueue
from runwright.controller.reconciler import Reconciler
from runwright.controller.resync import Resync
from runwright.controller.scope import Scope
from runwright.controller.series import RunSeries
from runwright.controller.sweep import Sweep
from runwright.core.metrics.series import DEFAULT_LABELS, parse_labels
from runwright.core.records import RunRecord, WorkflowRecord
from runwright.core.run_record import run_record
from runwright.core.workflow.build import BuildOptions
from runwright.core.workflow.record import workflow_record
from runwright.kube.objects import Json, Key
from tests.unit.fake.apiserver import selects, timestamp
from tests.unit.fake.client import Commit, Handler
from tests.unit.fake.faults import Surroundings
from tests.unit.fake.faulty_client import FaultyClient
from tests.unit.fake.virtual_time import run_virtually
from tests.unit.fake.world import NAMESPACE, RUN, World, manifest

KEY = Key(NAMESPACE, RUN)


class ByHand:
    """An operator process without faults."""

    faulty = False

    def __init__(self, world: World) -> None:
        self.world: Surroundings = world

    def crash(self) -> None:
        raise AssertionError("it has no fault")

    async def pause(self, seconds: float) -> None:
        raise AssertionError("it has no fault")


class Bench:
    """The parts of an operator. The test calls each one and delivers each watch event."""

    def __init__(self, world: World | None = None, default: RetentionPolicySpec | None = None) -> None:
        self.world = world or World(collect_after=None)
        self.server = self.world.server
        self.client, scope = FaultyClient(ByHand(self.world)), Scope()
        self.cache, self.queue = RunCache(), WorkQueue[Key]()
        self.woken: list[Key] = []
        self.sweep = Sweep(self.client, scope, self.cache, self.queue, self.world.clock)
        self.policies = Policies(
            self.client, default or RetentionPolicySpec(), self.sweep.policy_changed, self.sweep.policy_begins
        )
        self.reconciler = Reconciler(
            self.client,
            scope,
            self.cache,
            self.world.clock,
            BuildOptions(),
            self.policies,
            self.woken.append,
            Measures(),
            self.world.artifacts,
        )
        self.resync = Resync(self.client, scope, self.cache, self.queue)
        self.series = RunSeries(self.cache, parse_labels(DEFAULT_LABELS), 100)
        self.intake = Intake(self.cache, self.queue, self.policies, self.series)
        self._before: Counter[tuple[str, str]] = Counter()

    # ------------------------------------------------------------------------------------------------------- its parts

    @property
    def actions(self) -> Actions:
        return self.reconciler._actions

    async def reconcile(self, name: str = RUN) -> float | None:
        return await self.reconciler.reconcile(Key(NAMESPACE, name))

    async def take(self) -> set[Key]:
        """The keys that wait for a worker, taken out of the queue."""
        keys: set[Key] = set()
        while len(self.queue):
            keys.add(key := await self.queue.get())
            self.queue.done(key)
        return keys

    def calls(self) -> dict[str, int]:
        """The calls that were made since `forget_calls`."""
        made = self.server.calls - self._before
        return {f"{verb} {resource}": number for (verb, resource), number in made.items()}

    def forget_calls(self) -> None:
        self._before = Counter(self.server.calls)

    # ------------------------------------------------------------------------------------------------------ the watches

    def deliver_run(self, name: str = RUN) -> RunRecord:
        """Deliver the watch event of the run's stored state; DELETED for an archived run, which leaves the selection."""
        body = self.world.run(name)
        assert body is not None
        archived = not selects("runwright.dev/storage-state!=Archived", body["metadata"].get("labels") or {})
        self.intake.pipelinerun("DELETED" if archived else "MODIFIED", body)
        return run_record(body)

    def deliver_workflow(self, name: str = RUN) -> WorkflowRecord:
        body = self.world.workflow(name)
        assert body is not None
        self.intake.workflow("MODIFIED", body)
        return workflow_record(body)

    def run(self, name: str = RUN) -> RunRecord:
        """The stored run."""
        body = self.world.run(name)
        assert body is not None
        return run_record(body)

    # -------------------------------------------------------------------------------------------------------- runs

    async def run_to_end(self, entrypoint: str = "flaky", name: str = RUN, **spec: Any) -> RunRecord:
        """Create a run and reconcile it until it has ended and needs no more calls."""
        self.world.apply(manifest(entrypoint) | spec, name)
        self.deliver_run(name)
        await self.reconcile(name)
        await self.world.until(lambda: self.world.argo_phase(name) in ("Succeeded", "Failed", "Error"))
        self.deliver_workflow(name)
        await self.reconcile(name)
        self.deliver_run(name)
        await self.reconcile(name)
        assert self.run(name).finished
        return self.run(name)

    def finished(
        self, name: str = RUN, phase: str = "Succeeded", *, ago: timedelta = timedelta(0), **parts: Any
    ) -> RunRecord:
        """Store a run that ended without a Workflow some time ago; no watch event is delivered."""
        at = timestamp(self.world.clock.now() - ago)
        status = {"phase": phase, "finishedAt": at, "observedGeneration": 1, "retries": 0, **parts.pop("status", {})}
        spec = manifest() | parts.pop("spec", {})
        self.server.create(
            "PipelineRun",
            {"metadata": {"namespace": NAMESPACE, "name": name, **parts}, "spec": spec, "status": status},
        )
        return self.run(name)

    async def wait(self, wait: timedelta | float) -> datetime:
        """Let time pass. Returns the time after it."""
        await self.world.sleep(wait.total_seconds() if isinstance(wait, timedelta) else wait)
        return self.world.clock.now()


def virtually(test: Callable[[Bench], Awaitable[None]], **options: Any) -> None:
    """Run the test on its own bench and check that it breaks no rule of the world."""

    async def main() -> None:
        bench = Bench(**options)
        await test(bench)
        assert bench.world.problems == []

    run_virtually(main())


def status(bench: Bench) -> dict[str, Any]:
    return dict((bench.world.run() or {}).get("status", {}))


def remembered(bench: Bench) -> dict[str, Any]:
    """The contents of the cache by field and run, without expected deletions."""
    found: dict[str, Any] = {"last": bench.reconciler.finished._last}
    for field in ("unwatched", "due", "finished_phase", "sample"):
        found[field] = {key: value for key, state in bench.cache.states() if (value := getattr(state, field))}
    for field in ("run", "workflow", "memory", "unclaimed", "awaited"):
        found[field] = {key: value for key, live in bench.cache.live_runs() if (value := getattr(live, field))}
    return {field: value for field, value in found.items() if value}


def deletion_expected(bench: Bench) -> bool:
    return any(live.deleting_uid for _, live in bench.cache.live_runs())


async def settled(bench: Bench, entrypoint: str = "flaky", **spec: Any) -> None:
    """Create a run that has ended and needs no more work."""
    await bench.run_to_end(entrypoint, **spec)
    assert bench.cache.runs() == [] and bench.cache.workflows() == []
    bench.forget_calls()


async def ended(bench: Bench, entrypoint: str = "flaky") -> tuple[RunRecord, WorkflowRecord]:
    """A run that has ended, and its Workflow."""
    run = await bench.run_to_end(entrypoint)
    bench.forget_calls()
    return run, workflow_record(bench.world.workflow() or {})


def stored_workflow(bench: Bench) -> WorkflowRecord:
    return workflow_record(bench.world.workflow() or {})


def failing(error: BaseException) -> Handler:
    """Handler that raises the error."""

    async def fail(_: Commit) -> Any:
        raise error

    return fail


def before_first_call(before: Callable[[], object]) -> Handler:
    """Handler that calls `before` before the first call of the client."""
    done: list[object] = []

    async def handle(commit: Commit) -> Any:
        if not done:
            done.append(before() or True)
        return commit()

    return handle


def after_first_call(then: Callable[[], object]) -> Handler:
    """Handler that calls `then` after the first call of the client."""
    done: list[object] = []

    async def handle(commit: Commit) -> Any:
        result = commit()
        if not done:
            done.append(then() or True)
        return result

    return handle


def uid_of(body: Json | None) -> str:
    return (body or {}).get("metadata", {}).get("uid", "")
