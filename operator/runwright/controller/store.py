"""What the watches have told, as small records of unfinished runs. Never the truth: that is in etcd."""

from __future__ import annotations

import time
from datetime import datetime

from runwright.core.records import RunRecord, WorkflowRecord
from runwright.core.workflow.ownership import is_new_attempt
from runwright.kube.objects import Key


class Store:
    """The newest record of each run and Workflow; a finished run leaves it, so that it costs no memory."""

    def __init__(self) -> None:
        self._runs: dict[Key, RunRecord] = {}
        self._workflows: dict[Key, WorkflowRecord] = {}
        self._told: dict[Key, float] = {}
        self._unwatched: set[Key] = set()
        self._deleted_by_us: set[str] = set()
        self._gone: set[Key] = set()

    def run(self, key: Key) -> RunRecord | None:
        """The run, if it is known and has not been forgotten."""
        return self._runs.get(key)

    def workflow(self, run: RunRecord) -> WorkflowRecord | None:
        """The Workflow that this very run controls; one of an earlier run of the same name is not given.

        Nor is one that is gone, once its run tells how it ended: its end may be told twice, or late, and a run that is
        brought back in the meantime needs it put back.
        """
        workflow = self._workflows.get(run.key)
        if workflow is None or workflow.owner_uid != run.uid:
            return None
        gone = run.key in self._gone or workflow.uid in self._deleted_by_us
        return None if gone and tells_the_end(run, workflow) else workflow

    def left_watch(self, key: Key, uid: str | None = None) -> None:
        """The run is watched no longer: it was deleted, or archived. Only the API server can tell which."""
        self.drop_run(key, uid)
        self._unwatched.add(key)

    def look_again(self, key: Key) -> None:
        """A run that no watch tells of, or that was forgotten when it ended, is to be read anew."""
        self._unwatched.add(key)

    def take_unwatched(self, key: Key) -> bool:
        """Whether the run has left the watch since this was last asked."""
        if key in self._unwatched:
            self._unwatched.discard(key)
            return True
        return False

    def has_workflow(self, key: Key) -> bool:
        """Whether a Workflow of this name is known."""
        return key in self._workflows

    def has_unfinished_workflow(self, key: Key) -> bool:
        """Whether a Workflow of this name is known that has not ended."""
        workflow = self._workflows.get(key)
        return workflow is not None and not workflow.finished

    def put_run(self, run: RunRecord) -> None:
        """Keep the record, unless a newer one of the same run is here: events may come late."""
        if not outdates(self._runs.get(run.key), run):
            self._runs[run.key] = run

    def put_workflow(self, workflow: WorkflowRecord) -> None:
        """Keep the record, unless a newer one of the same Workflow is here."""
        kept = self._workflows.get(workflow.key)
        if not outdates(kept, workflow):
            self._workflows[workflow.key] = workflow
            self._gone.discard(workflow.key)
            if kept is None or kept.phase != workflow.phase:
                self._told.setdefault(workflow.key, time.monotonic())

    def take_told(self, key: Key) -> float | None:
        """Seconds since the Workflow's phase was told that this was not asked about yet, or None."""
        told = self._told.pop(key, None)
        return time.monotonic() - told if told is not None else None

    def expect_deletion(self, workflow: WorkflowRecord) -> None:
        """The Workflow is deleted by us: its end is known, and its last event tells nothing."""
        self._deleted_by_us.add(workflow.uid)

    def expect_no_deletion(self, workflow: WorkflowRecord) -> None:
        """It could not be deleted, or that is not known."""
        self._deleted_by_us.discard(workflow.uid)

    def deleted_workflow(self, workflow: WorkflowRecord) -> None:
        """Forget the Workflow, unless it had ended: then it tells how its run ended, even if that was the same moment.

        One that has been replaced tells nothing: its successor may be known before its end is. Nor does one whose run has
        ended: whoever wants it back, or waits for its name, is to see that it is gone.
        """
        if workflow.uid in self._deleted_by_us:
            self._deleted_by_us.discard(workflow.uid)
            self.drop_workflow(workflow.key, workflow.uid)
            return
        kept, run = self._workflows.get(workflow.key), self._runs.get(workflow.key)
        told = run is not None and tells_the_end(run, workflow)
        if workflow.finished and not told and (kept is None or kept.uid == workflow.uid):
            self.put_workflow(workflow)
            self._gone.add(workflow.key)
        else:
            self.drop_workflow(workflow.key, workflow.uid)

    def drop_workflow(self, key: Key, uid: str | None = None) -> None:
        """Forget the Workflow, or only the one with this uid."""
        workflow = self._workflows.get(key)
        if workflow and uid in (None, workflow.uid):
            del self._workflows[key]
            self._gone.discard(key)
            self._told.pop(key, None)

    def drop_run(self, key: Key, uid: str | None = None) -> None:
        """Forget the run, or only the one with this uid."""
        run = self._runs.get(key)
        if run and uid in (None, run.uid):
            del self._runs[key]

    def runs(self) -> list[RunRecord]:
        """All runs that are known now."""
        return list(self._runs.values())

    def untouched_since(self) -> datetime | None:
        """When the oldest Workflow was created that Argo has not looked at; None where it has looked at all.

        Argo (3.7) gives a Workflow a phase as soon as it looks at it, be it `Pending` because others must end first.
        """
        created = (one.created_at for one in self._workflows.values() if not one.phase and not one.deleting)
        return min((at for at in created if at is not None), default=None)

    def workflows(self) -> list[WorkflowRecord]:
        """All Workflows that are known now."""
        return list(self._workflows.values())


def outdates(kept: RunRecord | WorkflowRecord | None, new: RunRecord | WorkflowRecord) -> bool:
    """Whether the kept record is of the same object and newer.

    Resource versions of one object grow: etcd has always counted up, and Kubernetes promises it since 1.35.
    """
    return kept is not None and kept.uid == new.uid and later(kept.resource_version, new.resource_version)


def tells_the_end(run: RunRecord, workflow: WorkflowRecord) -> bool:
    """Whether the run says already how this Workflow ended."""
    return run.finished and not is_new_attempt(run, workflow)


def later(version: str, other: str) -> bool:
    """Whether a resource version of an object is later than another one of it."""
    return version.isdecimal() and other.isdecimal() and int(version) > int(other)
