"""Repeated decisions without other events end with nothing to do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from hypothesis import event, given, settings
from hypothesis import strategies as st

from runwright.core.decision import (
    CreateWorkflow,
    Decision,
    DeleteRun,
    DeleteWorkflow,
    FindSnapshot,
    Memory,
    ReadAgain,
    RecreateWorkflow,
    RestoreWorkflow,
    RetryWorkflow,
    SaveSnapshot,
    SetLabels,
    ShutDownWorkflow,
)
from runwright.core.reconcile import reconcile
from runwright.core.records import Absent, Kept, NotSeen, Refusal, RunRecord, Seen, WorkflowRecord
from runwright.core.retention.periods import RetentionTerms
from tests.unit.core.strategies import KEY, MEMORIES, NOW, RUN_UID, RUNS, SEEN, TERMS, workflows

STEPS = 40
CENTURIES = timedelta(days=200_000)


@dataclass
class Imagined:
    """A run with its Workflow and snapshot, as far as decisions can tell."""

    run: RunRecord
    seen: Seen
    memory: Memory
    there: WorkflowRecord | None
    now: datetime = NOW
    snapshot: bool = False
    created: int = 0
    deleted: bool = False

    def step(self, decision: Decision) -> bool:
        """Carry it out; false where there is nothing to do any more."""
        match decision.action:
            case None:
                return self.write_or_wait(decision)
            case SetLabels() | DeleteRun():
                self.change_run(decision.action)
            case SaveSnapshot() | FindSnapshot() | RestoreWorkflow():
                self.change_snapshot(decision.action)
            case ReadAgain():
                self.seen = self.there or Absent()
            case CreateWorkflow() | RecreateWorkflow():
                self.create(attempt=self.run.retries)
            case RetryWorkflow(failed):
                assert failed == self.there
                self.there = self.seen = replace(failed, phase="Succeeded", attempt=self.run.retries)
            case DeleteWorkflow(gone):
                assert gone == self.there or self.there is None
                self.there, self.seen, self.memory = None, NotSeen(), Memory()
            case ShutDownWorkflow(running, how):
                assert running == self.there
                self.there = self.seen = replace(running, shutdown=how.value)
        return not self.deleted

    def change_run(self, action: SetLabels | DeleteRun) -> None:
        if isinstance(action, DeleteRun):
            self.deleted = True
            return
        labels = dict(action.labels)
        archived = self.run.archived or labels.get("runwright.dev/storage-state") == "Archived"
        delete_on = labels.get("runwright.dev/delete-on", self.run.delete_on) or ""
        self.run = replace(self.run, archived=archived, delete_on=delete_on)

    def change_snapshot(self, action: SaveSnapshot | FindSnapshot | RestoreWorkflow) -> None:
        match action:
            case SaveSnapshot(kept):
                assert kept == self.there
                self.seen, self.snapshot = Kept(kept), True
            case FindSnapshot():
                self.seen = Absent(snapshot=self.snapshot)
            case RestoreWorkflow() if self.snapshot:
                self.create(attempt=self.run.status.retries or 0)
            case RestoreWorkflow():
                self.seen = Absent(snapshot=False)

    def create(self, attempt: int) -> None:
        self.created += 1
        self.there = self.there or WorkflowRecord(
            key=KEY,
            uid=f"made-{self.created}",
            resource_version="9",
            owner_uid=RUN_UID,
            owner_name=KEY.name,
            generation=self.run.generation,
            source_digest=self.run.source_digest,
            attempt=attempt,
            restored_from=self.run.status.workflow.uid if self.run.status.workflow else "",
            phase="Succeeded",
        )
        self.seen = self.there

    def write_or_wait(self, decision: Decision) -> bool:
        if decision.status is not None:
            self.run = replace(self.run, status=decision.status)
            self.memory = replace(self.memory, written_at=self.now)
            return True
        if decision.requeue_after is None or self.now - NOW > CENTURIES:
            return False
        self.now += decision.requeue_after
        if isinstance(self.seen, Refusal):
            self.seen = NotSeen()
        return True


@settings(max_examples=400)
@given(RUNS, SEEN, MEMORIES, TERMS, st.none() | workflows())
def test_repeated_decisions_end_with_nothing_to_do(
    run: RunRecord, seen: Seen, memory: Memory, terms: RetentionTerms, present: WorkflowRecord | None
) -> None:
    there = seen.workflow if isinstance(seen, Kept) else seen if isinstance(seen, WorkflowRecord) else present
    world = Imagined(run, seen, memory, there)
    for step in range(STEPS):
        decision = reconcile(world.run, world.seen, world.now, world.memory, terms)
        if not world.step(decision):
            event(f"rests after {step} steps")
            assert world.created <= 3
            return
    assert world.there is not None, "decisions go on and on"
    event("waits for a Workflow")
