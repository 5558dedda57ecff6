"""The decision about a run that has ended: it is tried again, archived, brought back, retained or removed, or left alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from runwright.api.labels import DELETE_ON_LABEL, STORAGE_STATE_LABEL
from runwright.api.states import StorageState
from runwright.core.archive.storage import POLL, archive, drop, own, unarchive
from runwright.core.decision import NOTHING, Decision, Delete, DeleteRun, Label, Look, Memory, write
from runwright.core.records import Kept, NotSeen, RunRecord, Seen, WorkflowRecord
from runwright.core.retention.periods import Terms, day_of, passed, times_of
from runwright.core.retry.attempt import retry, retry_due
from runwright.core.workflow.ownership import STRAY, begun, stray


def finished(run: RunRecord, seen: Seen, now: datetime, memory: Memory, terms: Terms) -> Decision:
    """Decide about one finished run. Its status stays, whatever happens to its Workflow."""
    if isinstance(seen, WorkflowRecord) and stray(run, seen):
        return Decision(action=Delete(seen, STRAY))
    if run.archived and not has_begun(run, own(run, seen)):
        return archive(run, seen, now, memory, terms)
    if retry_due(run) and (attempt := retry(run, seen, now, memory)) != NOTHING:
        return attempt
    if run.status.storage_state is StorageState.ARCHIVED:
        return unarchive(run, seen, now, memory)
    return retain(run, own(run, seen), now, memory, terms)


def has_begun(run: RunRecord, seen: Seen) -> bool:
    """Whether the attempt that is asked for is under way: then the run tells of it, though it is to be archived by now."""
    workflow = seen.workflow if isinstance(seen, Kept) else seen
    archived = run.status.storage_state is StorageState.ARCHIVED
    return not archived and retry_due(run) and isinstance(workflow, WorkflowRecord) and begun(run, workflow)


def settled(run: RunRecord) -> bool:
    """Whether a finished run is as it is asked to be: it waits for no attempt, and not to be brought back."""
    if run.archived:
        return run.status.storage_state is StorageState.ARCHIVED
    return not (retry_due(run) or run.status.storage_state is StorageState.ARCHIVED)


def retain(run: RunRecord, seen: Seen, now: datetime, memory: Memory, terms: Terms) -> Decision:
    """A finished run that is available: what its terms say, at the time they say."""
    times = times_of(run, terms)
    if passed(times.delete_at, now) or passed(times.archive_at, now):
        if isinstance(seen, NotSeen):
            return Decision(action=Look())
        if isinstance(seen, WorkflowRecord) and not seen.finished:
            # Somebody has set the Workflow going again, by `argo retry`.
            return Decision(requeue_after=POLL)
        if passed(times.delete_at, now):
            return Decision(action=DeleteRun())
        labels = (
            (STORAGE_STATE_LABEL, StorageState.ARCHIVED.value),
            (DELETE_ON_LABEL, day_of(times.delete_at) or None),
        )
        return Decision(action=Label(labels))
    if passed(times.drop_at, now) and (step := drop(seen)):
        return step
    moments = [times.delete_at, times.archive_at]
    if isinstance(seen, WorkflowRecord) and not passed(times.drop_at, now):
        moments.append(times.drop_at)
    told = write(run, run.status.model_copy(update={"observed_generation": run.generation}), now, memory)
    waits = [moment - now for moment in moments if moment is not None]
    return replace(
        told, requeue_after=min([*waits, *([told.requeue_after] if told.requeue_after else [])], default=None)
    )
