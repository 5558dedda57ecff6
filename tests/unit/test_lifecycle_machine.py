"""Any sequence of what users, Argo, crashes, lost events and wrong clocks can do to a run.

Hypothesis makes the sequences and shrinks one that breaks a rule of `tests.unit.fake.rules`: that an attempt has at most
one Workflow, that a finished run runs again only by a retry, that the operator deletes no unfinished run, and so on. At
the end all must come to rest, with everything carried out that was asked for.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Coroutine, Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from typing_extensions import override

from tests.unit.fake.apiserver import FINISHED, labels_of
from tests.unit.fake.faults import Fault, Process
from tests.unit.fake.rules import condition_of
from tests.unit.fake.virtual_time import VirtualLoop
from tests.unit.fake.world import RUN, SETTLE_SECONDS, World, manifest

Json = Mapping[str, Any]

EXAMPLES = int(os.environ.get("LIFECYCLE_EXAMPLES", "150"))
STEPS = 20

ENTRYPOINTS = ("flaky", "two-steps", "flaky-twice", "endless", "failing", "erring", "slow", "refused")
RETENTIONS: tuple[dict[str, str], ...] = (
    {},
    {"keepWorkflow": "5s"},
    {"archiveAfter": "5s"},
    {"deleteAfter": "20s"},
    {"archiveAfter": "5s", "deleteAfter": "200s"},
)
POLICIES: tuple[dict[str, Any], ...] = ({}, {"keepFailed": 0}, {"deleteAfter": "30s"}, {"keepWorkflow": "0s"})
CALL_FAULTS = ("crash before", "crash after", "500", "409", "no reply after", "committed late", "paused after")
EVENT_FAULTS = ("event lost", "event delivered late", "event delivered twice", "three events lost")
MOMENTS = st.sampled_from((8.0, 0.0, 0.003, 0.012, 0.4, 2.0, 30.0, 400.0))
"""Seconds until the next thing happens: in the middle of what the operator does, or after it."""


class EveryOperatorFails(World):
    """A world in which the next operator can be hit by a fault too."""

    @override
    def crashed(self, operator: Process, down: float) -> None:
        asyncio.get_running_loop().call_later(down, self.start_operator)


class Lifecycle(RuleBasedStateMachine):
    """One run's name in one namespace, and whatever happens to it."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop()
        self.world: World = self.play(made())
        self.two = False
        """Whether two operators are or will be there at a time: then no event is lost, or they would contradict each other
        until the next resync."""
        self.lossy = False

    def play(self, step: Coroutine[Any, Any, Any]) -> Any:
        """Let the step happen, on virtual time."""
        return self.loop.run_until_complete(step)

    def do(self, then: float, what: Any, *arguments: Any, **more: Any) -> None:
        """Let it happen at once, and then time pass."""

        async def now() -> None:
            what(*arguments, **more)
            await self.world.sleep(then)

        self.play(now())

    @property
    def run(self) -> Json | None:
        return self.world.run()

    @property
    def finished(self) -> bool:
        return self.world.phase() in FINISHED

    @property
    def alive(self) -> int:
        """How many operators there are."""
        return sum(operator.alive for operator in self.world.operators)

    # ----------------------------------------------------------------------------------------------------------- users

    @initialize(then=MOMENTS, entrypoint=st.sampled_from(ENTRYPOINTS), retention=st.sampled_from(RETENTIONS))
    def begin(self, then: float, entrypoint: str, retention: dict[str, str]) -> None:
        self.create(then, entrypoint, retention)

    @precondition(lambda self: self.run is None)
    @rule(then=MOMENTS, entrypoint=st.sampled_from(ENTRYPOINTS), retention=st.sampled_from(RETENTIONS))
    def create(self, then: float, entrypoint: str, retention: dict[str, str]) -> None:
        self.do(then, self.world.apply, {**manifest(entrypoint), **({"retention": retention} if retention else {})})

    @precondition(lambda self: self.run is not None)
    @rule(then=MOMENTS, name=st.sampled_from(("a", "b")))
    def rename(self, then: float, name: str) -> None:
        assert self.run is not None
        self.do(then, self.world.apply, {**self.run["spec"], "displayName": name})

    @precondition(lambda self: self.run is not None and not self.finished)
    @rule(then=MOMENTS, how=st.sampled_from(("Stop", "Terminate")))
    def shut_down(self, then: float, how: str) -> None:
        assert self.run is not None
        if self.run["spec"].get("shutdown") != "Terminate":
            self.do(then, self.world.apply, {**self.run["spec"], "shutdown": how})

    @precondition(lambda self: self.world.phase() in ("Failed", "Error"))
    @rule(then=MOMENTS)
    def retry(self, then: float) -> None:
        self.do(then, self.world.retry)

    @precondition(lambda self: self.run is not None)
    @rule(then=MOMENTS)
    def archive(self, then: float) -> None:
        self.do(then, self.world.archive)

    @precondition(lambda self: self.run is not None)
    @rule(then=MOMENTS)
    def unarchive(self, then: float) -> None:
        self.do(then, self.world.unarchive)

    @precondition(lambda self: self.run is not None)
    @rule(then=MOMENTS)
    def delete_run(self, then: float) -> None:
        self.do(then, self.world.delete, "PipelineRun")

    @precondition(lambda self: self.world.workflow() is not None)
    @rule(then=MOMENTS)
    def delete_workflow(self, then: float) -> None:
        self.do(then, self.world.delete, "Workflow")

    @precondition(lambda self: self.world.argo_phase() in ("Failed", "Error"))
    @rule(then=MOMENTS)
    def argo_retry(self, then: float) -> None:
        self.do(then, self.world.argo_retry)

    @rule(then=MOMENTS, policy=st.sampled_from(POLICIES))
    def set_policy(self, then: float, policy: dict[str, Any]) -> None:
        self.do(then, self.world.policy, **policy)

    # ------------------------------------------------------------------------------------------------------ misfortunes

    @rule(then=MOMENTS, kind=st.sampled_from(CALL_FAULTS), after=st.integers(0, 8))
    def call_goes_wrong(self, then: float, kind: str, after: int) -> None:
        if kind == "paused after":
            if self.lossy:
                return
            self.two = True
        self.world.fault = Fault(kind, len(self.world.calls) + after)
        self.time_passes(then)

    @precondition(lambda self: not self.two)
    @rule(then=MOMENTS, kind=st.sampled_from(EVENT_FAULTS), after=st.integers(0, 4))
    def event_goes_wrong(self, then: float, kind: str, after: int) -> None:
        self.lossy = True
        self.world.fault = Fault(kind, self.world.deliveries + after)
        self.time_passes(then)

    @rule(then=MOMENTS)
    def operator_is_killed(self, then: float) -> None:
        self.do(then, self.world.stop_operators)

    @precondition(lambda self: self.alive == 0 or (self.alive == 1 and not self.lossy))
    @rule(then=MOMENTS)
    def operator_starts(self, then: float) -> None:
        self.two = self.two or self.alive == 1
        self.do(then, self.world.start_operator)

    @rule(then=MOMENTS, minutes=st.sampled_from((-60, -1, 0, 1)))
    def clock_is_set(self, then: float, minutes: int) -> None:
        self.world.clock.ahead = timedelta(minutes=minutes)
        self.time_passes(then)

    @rule(then=MOMENTS)
    def time_passes(self, then: float) -> None:
        self.play(self.world.sleep(then))

    # ------------------------------------------------------------------------------------------------------------ rules

    @invariant()
    def no_rule_is_broken(self) -> None:
        assert not self.world.problems

    @override
    def teardown(self) -> None:
        try:
            self.play(self.settle())
            self.no_rule_is_broken()
            self.all_is_carried_out()
        finally:
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.play(asyncio.sleep(0))
            self.loop.close()

    async def settle(self) -> None:
        """An operator starts, with a right clock: it finds what it missed."""
        world = self.world
        world.fault = Fault()
        world.stop_operators()
        world.clock.ahead = timedelta(0)
        world.start_operator()
        await world.sleep(2 * SETTLE_SECONDS)
        await world.check_quiet()

    def all_is_carried_out(self) -> None:
        """What was asked for last has come to be."""
        run, workflow = self.run, self.world.workflow()
        note(f"run {run}")
        note(f"Workflow {workflow}")
        if run is None:
            assert workflow is None, "the Workflow of a run that is gone is still there"
            return
        spec, status = run["spec"], run.get("status", {})
        archived = labels_of(run).get("runwright.dev/storage-state") == "Archived"
        stalled = condition_of(status, "Stalled").get("status") == "True"
        if not self.finished:
            assert "shutdown" not in spec, "the run was to end"
            assert stalled or workflow is not None, "the run has no Workflow and does not say why"
            return
        assert archived == self.world.archived(), "the storage state is not what the label asks for"
        retried = status.get("retries", 0) == spec.get("retries", 0) or status["phase"] not in ("Failed", "Error")
        others = self.world.argo_phase() == "Running"  # by `argo retry`, and endless: its end is waited for
        assert retried or archived or stalled or others, "the attempt that was asked for did not begin"
        snapshot = ("WorkflowSnapshot", "team", RUN) in self.world.server.objects
        if condition_of(status, "Archived").get("reason") == "WorkflowKept":
            assert snapshot and (workflow is None or others), (
                "an archived run has no snapshot, or still has its Workflow"
            )


async def made() -> World:
    world = EveryOperatorFails()
    world.start_operator()
    return world


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    """Every fault is logged; nobody reads it."""
    logger = logging.getLogger("runwright")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(before)


TestLifecycle = Lifecycle.TestCase
TestLifecycle.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
