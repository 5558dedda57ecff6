"""The decision about a finished run: retry, archive, unarchive, retention, or nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from runwright.api.labels import DELETE_ON_LABEL, STORAGE_STATE_LABEL
from runwright.api.states import StorageState
from runwright.core.archive.storage import POLL, decide_archive, decide_unarchive, drop_workflow, exclude_foreign
from runwright.core.decision import (
    NOTHING,
    Decision,
    DeleteRun,
    DeleteWorkflow,
    Memory,
    ReadAgain,
    SetLabels,
    decide_write,
)
from runwright.core.records import Kept, NotSeen, RunRecord, Seen, WorkflowRecord
from runwright.core.retention.periods import RetentionTerms, due_times, has_passed, utc_day
from runwright.core.retry.attempt import decide_retry, is_retry_due
from runwright.core.workflow.ownership import STRAY, is_new_attempt, is_stray


def decide_finished(run: RunRecord, seen: Seen, now: datetime, memory: Memory, terms: RetentionTerms) -> Decision:
    """Decide about one finished run. Changes of its Workflow do not change its status."""
    if isinstance(seen, WorkflowRecord) and is_stray(run, seen):
        return Decision(action=DeleteWorkflow(seen, STRAY))
    if run.archived and not is_attempt_running(run, exclude_foreign(run, seen)):
        return decide_archive(run, seen, now, memory, terms)
    if is_retry_due(run) and (attempt := decide_retry(run, seen, now, memory)) != NOTHING:
        return attempt
    if run.status.storage_state is StorageState.ARCHIVED:
        return decide_unarchive(run, seen, now, memory)
    return decide_retention(run, exclude_foreign(run, seen), now, memory, terms)


def is_attempt_running(run: RunRecord, seen: Seen) -> bool:
    """Whether the requested attempt has started: then it is mirrored first, even if the run is labeled as archived."""
    workflow = seen.workflow if isinstance(seen, Kept) else seen
    archived = run.status.storage_state is StorageState.ARCHIVED
    return not archived and is_retry_due(run) and isinstance(workflow, WorkflowRecord) and is_new_attempt(run, workflow)


def is_settled(run: RunRecord) -> bool:
    """Whether a finished run waits neither for an attempt nor for being archived or unarchived."""
    if run.archived:
        return run.status.storage_state is StorageState.ARCHIVED
    return not (is_retry_due(run) or run.status.storage_state is StorageState.ARCHIVED)


def decide_retention(run: RunRecord, seen: Seen, now: datetime, memory: Memory, terms: RetentionTerms) -> Decision:
    """Archive or delete a finished run, or delete its Workflow, when its retention period ends."""
    times = due_times(run, terms)
    if has_passed(times.delete_at, now) or has_passed(times.archive_at, now):
        if isinstance(seen, NotSeen):
            return Decision(action=ReadAgain())
        if isinstance(seen, WorkflowRecord) and not seen.finished:
            # Started again by another client, such as `argo retry`.
            return Decision(requeue_after=POLL)
        if has_passed(times.delete_at, now):
            return Decision(action=DeleteRun())
        labels = (
            (STORAGE_STATE_LABEL, StorageState.ARCHIVED.value),
            (DELETE_ON_LABEL, utc_day(times.delete_at) or None),
        )
        return Decision(action=SetLabels(labels))
    if has_passed(times.drop_at, now) and (step := drop_workflow(seen)):
        return step
    moments = [times.delete_at, times.archive_at]
    if isinstance(seen, WorkflowRecord) and not has_passed(times.drop_at, now):
        moments.append(times.drop_at)
    decision = decide_write(run, run.status.model_copy(update={"observed_generation": run.generation}), now, memory)
    waits = [moment - now for moment in moments if moment is not None]
    return replace(
        decision,
        requeue_after=min([*waits, *([decision.requeue_after] if decision.requeue_after else [])], default=None),
    )
