"""Everything that the operator holds in memory about runs: one RunState for each name. The truth is in etcd."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from runwright.api.states import Phase
from runwright.core.decision import NO_MEMORY, Memory
from runwright.core.metrics.series import Sample
from runwright.core.records import RunRecord, WorkflowRecord
from runwright.core.retention.periods import DueTimes
from runwright.core.workflow.ownership import is_new_attempt
from runwright.kube.objects import Key


@dataclass(slots=True)
class LiveRun:
    """The records of an unfinished run; of a finished one, until it is settled."""

    run: RunRecord | None = None
    workflow: WorkflowRecord | None = None
    memory: Memory | None = None
    phase_changed_at: float | None = None
    """Monotonic time of the Workflow's first phase change that the run's status does not have yet."""
    workflow_gone: bool = False
    """Whether the Workflow's deletion was reported; its record is kept for the run's status."""
    deleting_uid: str = ""
    """Uid of the Workflow that the operator deletes: its DELETED event needs no reaction."""
    unclaimed: bool = False
    """Whether a finished Workflow was seen without its run, and its run may still be reported."""
    awaited: bool = False
    """Whether the run waits for the initial lists to finish."""

    @property
    def empty(self) -> bool:
        """Whether nothing is held."""
        return not (self.run or self.workflow or self.memory or self.deleting_uid or self.unclaimed or self.awaited)


@dataclass(slots=True)
class RunState:
    """What the operator holds about the run of one name. A settled finished run has no `live` part: it stays small."""

    live: LiveRun | None = None
    unwatched: bool = False
    """Whether only a read from the API server shows the run's present state: it left the watch, or a list named it."""
    due: DueTimes | None = None
    """Due times of a finished run's retention steps; None where they are unknown."""
    has_workflow: bool = False
    """Whether the Workflow of a finished run exists, as far as known."""
    due_now: bool = False
    """Whether a finished run became surplus: it is due, without a time."""
    finished_phase: Phase | None = None
    """Phase of a run that is finished and not archived; None for all others."""
    sample: Sample | None = None
    """Metrics that the run reported, for Prometheus."""

    @property
    def empty(self) -> bool:
        """Whether nothing is held."""
        return not (self.live or self.due or self.finished_phase or self.sample or self.unwatched)


class RunCache:
    """The states of all runs by key."""

    def __init__(self) -> None:
        self._states: dict[Key, RunState] = {}

    # ---------------------------------------------------------------------------------------------------------- states

    def find(self, key: Key) -> RunState | None:
        """The state of a run; None where nothing is held."""
        return self._states.get(key)

    def state(self, key: Key) -> RunState:
        """The state of a run, made where there is none. The caller sets a field of it."""
        state = self._states.get(key)
        if state is None:
            state = self._states[key] = RunState()
        return state

    def find_live(self, key: Key) -> LiveRun | None:
        """The live part of a run's state; None where there is none."""
        state = self._states.get(key)
        return state.live if state is not None else None

    def live(self, key: Key) -> LiveRun:
        """The live part of a run's state, made where there is none. The caller sets a field of it."""
        state = self.state(key)
        if state.live is None:
            state.live = LiveRun()
        return state.live

    def states(self) -> Iterator[tuple[Key, RunState]]:
        """All states by key."""
        return iter(self._states.items())

    def live_runs(self) -> Iterator[tuple[Key, LiveRun]]:
        """The live parts of all states by key."""
        return ((key, state.live) for key, state in self._states.items() if state.live is not None)

    def prune(self, key: Key) -> None:
        """Remove the parts of a run's state that hold nothing."""
        state = self._states.get(key)
        if state is None:
            return
        if state.live is not None and state.live.empty:
            state.live = None
        if state.empty:
            del self._states[key]

    # ------------------------------------------------------------------------------------------------------------ runs

    def run(self, key: Key) -> RunRecord | None:
        """The run's newest record, if it is held."""
        live = self.find_live(key)
        return live.run if live is not None else None

    def put_run(self, run: RunRecord) -> None:
        """Hold the record, unless a newer one of the same run is held: events may be late."""
        live = self.live(run.key)
        if not is_newer(live.run, run):
            live.run = run

    def drop_run(self, key: Key, uid: str | None = None) -> None:
        """Drop the run's record, or only that of the run with this uid."""
        live = self.find_live(key)
        if live is not None and live.run is not None and uid in (None, live.run.uid):
            live.run = None
            self.prune(key)

    def leave_watch(self, key: Key, uid: str | None = None) -> None:
        """Drop a run that was deleted or archived; only a read from the API server shows which."""
        self.state(key).unwatched = True
        self.drop_run(key, uid)

    def mark_unwatched(self, key: Key) -> None:
        """Let the next reconcile read a run that no watch reports, or that was dropped when it finished."""
        self.state(key).unwatched = True

    def pop_unwatched(self, key: Key) -> bool:
        """Whether the run must be read from the API server; clears the mark."""
        state = self._states.get(key)
        if state is None or not state.unwatched:
            return False
        state.unwatched = False
        self.prune(key)
        return True

    def runs(self) -> list[RunRecord]:
        """The records of all runs that are held."""
        return [live.run for _, live in self.live_runs() if live.run is not None]

    def forget(self, key: Key) -> None:
        """Drop the records and the memory of a run that is gone or has finished. Its retention step stays."""
        live = self.find_live(key)
        if live is not None:
            live.run = live.memory = None
            live.unclaimed = False
            self._clear_workflow(live)
            self.prune(key)

    # ------------------------------------------------------------------------------------------------------- Workflows

    def workflow(self, run: RunRecord) -> WorkflowRecord | None:
        """The Workflow that this run controls, not that of an earlier run of the same name.

        None also for one that is gone if the run's status has its end already: its DELETED event may come twice, or late, and
        a run that is unarchived meanwhile needs it restored.
        """
        live = self.find_live(run.key)
        workflow = live.workflow if live is not None else None
        if live is None or workflow is None or workflow.owner_uid != run.uid:
            return None
        gone = live.workflow_gone or workflow.uid == live.deleting_uid
        return None if gone and has_end(run, workflow) else workflow

    def has_workflow(self, key: Key) -> bool:
        """Whether a Workflow of this name is held."""
        live = self.find_live(key)
        return live is not None and live.workflow is not None

    def has_unfinished_workflow(self, key: Key) -> bool:
        """Whether a Workflow of this name is held that has not finished."""
        live = self.find_live(key)
        return live is not None and live.workflow is not None and not live.workflow.finished

    def put_workflow(self, workflow: WorkflowRecord) -> None:
        """Hold the record, unless a newer one of the same Workflow is held."""
        live = self.live(workflow.key)
        held = live.workflow
        if is_newer(held, workflow):
            return
        live.workflow, live.workflow_gone = workflow, False
        if live.phase_changed_at is None and (held is None or held.phase != workflow.phase):
            live.phase_changed_at = time.monotonic()

    def pop_phase_lag(self, key: Key) -> float | None:
        """Seconds since the Workflow's first phase change that was not popped yet, or None."""
        live = self.find_live(key)
        if live is None or live.phase_changed_at is None:
            return None
        since, live.phase_changed_at = live.phase_changed_at, None
        return time.monotonic() - since

    def expect_deletion(self, workflow: WorkflowRecord) -> None:
        """Ignore the DELETED event of this Workflow: the operator deletes it, and has recorded its end."""
        self.live(workflow.key).deleting_uid = workflow.uid

    def cancel_deletion(self, workflow: WorkflowRecord) -> None:
        """React to the DELETED event of this Workflow: the deletion failed, or its outcome is unknown."""
        live = self.find_live(workflow.key)
        if live is not None and live.deleting_uid == workflow.uid:
            live.deleting_uid = ""
            self.prune(workflow.key)

    def mark_workflow_deleted(self, workflow: WorkflowRecord) -> None:
        """Take in a DELETED event. A finished Workflow stays held until its end is in its run's status.

        A Workflow that was replaced is ignored: its successor may be reported before its end.
        """
        live = self.find_live(workflow.key)
        if live is not None and live.deleting_uid == workflow.uid:
            live.deleting_uid = ""
            self.drop_workflow(workflow.key, workflow.uid)
            self.prune(workflow.key)
            return
        held = live.workflow if live is not None else None
        run = live.run if live is not None else None
        recorded = run is not None and has_end(run, workflow)
        if workflow.finished and not recorded and (held is None or held.uid == workflow.uid):
            self.put_workflow(workflow)
            self.live(workflow.key).workflow_gone = True
        else:
            self.drop_workflow(workflow.key, workflow.uid)

    def drop_workflow(self, key: Key, uid: str | None = None) -> None:
        """Drop the Workflow's record, or only that of the Workflow with this uid."""
        live = self.find_live(key)
        if live is not None and live.workflow is not None and uid in (None, live.workflow.uid):
            self._clear_workflow(live)
            self.prune(key)

    def workflows(self) -> list[WorkflowRecord]:
        """The records of all Workflows that are held."""
        return [live.workflow for _, live in self.live_runs() if live.workflow is not None]

    def oldest_unstarted(self) -> datetime | None:
        """Creation time of the oldest Workflow without a phase; None where all have one.

        Argo (3.7) sets a phase, if only Pending, as soon as it processes a Workflow.
        """
        created = (one.created_at for one in self.workflows() if not one.phase and not one.deleting)
        return min((at for at in created if at is not None), default=None)

    def _clear_workflow(self, live: LiveRun) -> None:
        if live.workflow is not None:
            live.workflow = live.phase_changed_at = None
            live.workflow_gone = False

    # ---------------------------------------------------------------------------------------------------------- memory

    def recall(self, key: Key) -> Memory:
        """What the operator remembers of the run beyond etcd."""
        live = self.find_live(key)
        return live.memory or NO_MEMORY if live is not None else NO_MEMORY

    def remember(self, key: Key, memory: Memory) -> None:
        """Replace the run's memory."""
        self.live(key).memory = memory

    def forget_memory(self, key: Key) -> None:
        """Drop the run's memory."""
        live = self.find_live(key)
        if live is not None:
            live.memory = None
            self.prune(key)


def is_newer(held: RunRecord | WorkflowRecord | None, new: RunRecord | WorkflowRecord) -> bool:
    """Whether the held record is of the same object and newer than `new`.

    Resource versions of one object grow: etcd has always counted up, and Kubernetes promises it since 1.35.
    """
    return held is not None and held.uid == new.uid and is_later(held.resource_version, new.resource_version)


def has_end(run: RunRecord, workflow: WorkflowRecord) -> bool:
    """Whether the run's status has the end of this Workflow."""
    return run.finished and not is_new_attempt(run, workflow)


def is_later(version: str, other: str) -> bool:
    """Whether a resource version of an object is later than another one of it."""
    return version.isdecimal() and other.isdecimal() and int(version) > int(other)
