"""The lifecycle of a run as a table: what is decided in each state of a run at each event.

`python -m tests.unit.core.lifecycle` prints the table of docs/lifecycle.md; `test_lifecycle.py` compares both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import product

from runwright.api.pipelinerun import Condition, NodeStatus, PipelineRunStatus, WorkflowReference
from runwright.api.states import Phase, Shutdown, StorageState
from runwright.core.decision import Decision
from runwright.core.reconcile import reconcile
from runwright.core.records import Absent, Kept, NotSeen, Refusal, RunRecord, Seen, WorkflowRecord
from runwright.core.retention.periods import NO_TERMS, RetentionTerms
from runwright.core.status.conditions import ARCHIVED, STALLED, SUCCEEDED, find_condition
from tests.unit.core.strategies import KEY, NOW, RUN_UID, WORKFLOW_UID

ENDED = NOW - timedelta(hours=2)
OWN = WorkflowReference(name=KEY.name, uid=WORKFLOW_UID)
NODE = NodeStatus(id="train", name="train", type="Pod", phase="Failed")


@dataclass(frozen=True)
class State:
    """A state of a run, and one run for each way to be in it that a decision distinguishes."""

    name: str
    meaning: str
    runs: Callable[[], Iterator[RunRecord]]


@dataclass(frozen=True)
class Event:
    """An observation, or a period that has expired."""

    name: str
    meaning: str
    seen: Callable[[RunRecord], Iterator[Seen]]
    terms: RetentionTerms = NO_TERMS


# ------------------------------------------------------------------------------------------------------------------ states


def base(status: PipelineRunStatus, **fields: object) -> RunRecord:
    run = RunRecord(
        key=KEY, uid=RUN_UID, resource_version="7", generation=2, created_at=NOW - timedelta(days=1), status=status
    )
    return replace(run, **fields)


def condition(kind: str, status: str, reason: str) -> Condition:
    return Condition.model_validate(
        {"type": kind, "status": status, "reason": reason, "lastTransitionTime": ENDED, "observedGeneration": 2}
    )


def new_runs(**fields: object) -> Iterator[RunRecord]:
    for phase in (None, Phase.PENDING):
        yield base(
            PipelineRunStatus(phase=phase, observed_generation=2, retries=None if phase is None else 0), **fields
        )


def stalled_runs(**fields: object) -> Iterator[RunRecord]:
    for reason in ("ConfigMapNotFound", "SourceInvalid"):
        conditions = [condition(SUCCEEDED, "Unknown", reason), condition(STALLED, "True", reason)]
        status = PipelineRunStatus(phase=Phase.PENDING, observed_generation=2, retries=0, conditions=conditions)
        yield base(status, **fields)


def begun_runs(**fields: object) -> Iterator[RunRecord]:
    for phase, retries in product((Phase.PENDING, Phase.RUNNING), (0, 1)):
        conditions = [condition(SUCCEEDED, "Unknown", phase.value)]
        status = PipelineRunStatus(
            phase=phase, observed_generation=2, retries=retries, workflow=OWN, started_at=ENDED, conditions=conditions
        )
        yield base(status, retries=retries, **fields)


def ended(phases: tuple[Phase, ...], state: StorageState | None = None, *conditions: Condition) -> Iterator[RunRecord]:
    for phase in phases:
        verdict = condition(SUCCEEDED, "True" if phase in (Phase.SUCCEEDED, Phase.SKIPPED) else "False", phase.value)
        yield base(
            PipelineRunStatus(
                phase=phase,
                observed_generation=2,
                retries=0,
                workflow=OWN,
                started_at=ENDED - timedelta(hours=1),
                finished_at=ENDED,
                storage_state=state,
                nodes=None if state is StorageState.ARCHIVED else [NODE],
                conditions=[verdict, *conditions],
            )
        )


GOOD, BAD = (Phase.SUCCEEDED, Phase.SKIPPED), (Phase.FAILED, Phase.ERROR)
PUT_AWAY = condition(ARCHIVED, "True", "WorkflowKept")


def with_fields(runs: Iterator[RunRecord], **fields: object) -> Iterator[RunRecord]:
    return (replace(run, **fields) for run in runs)


def ended_at_all() -> Iterator[RunRecord]:
    yield from ended(GOOD)
    yield from ended(BAD)


def archived_runs() -> Iterator[RunRecord]:
    for run in ended(GOOD + BAD, StorageState.ARCHIVED, PUT_AWAY):
        yield replace(run, archived=True)
        if run.status.phase in BAD:
            yield replace(run, archived=True, retries=1)


STATES = (
    State("New", "the status records no Workflow", new_runs),
    State("Stalled", "the status records no Workflow, and none can be created now", stalled_runs),
    State("Running", "unfinished; the status records a Workflow (phase Pending or Running)", begun_runs),
    State(
        "Ending",
        "unfinished, and `spec.shutdown` is set",
        lambda: (
            run for how in Shutdown for runs in (new_runs, stalled_runs, begun_runs) for run in runs(shutdown=how)
        ),
    ),
    State("Succeeded", "finished as Succeeded or Skipped", lambda: ended(GOOD)),
    State("Failed", "finished as Failed or Error", lambda: ended(BAD)),
    State(
        "Retrying",
        "finished as Failed or Error, and `spec.retries` is greater than `status.retries`",
        lambda: with_fields(ended(BAD), retries=1),
    ),
    State(
        "Archiving",
        "finished and labelled Archived; not archived yet",
        lambda: with_fields(ended(GOOD + BAD), archived=True),
    ),
    State("Archived", "the label and `status.storageState` are Archived", archived_runs),
    State(
        "Unarchiving",
        "`status.storageState` is Archived, the label is not",
        lambda: ended(GOOD + BAD, StorageState.ARCHIVED, PUT_AWAY),
    ),
    State(
        "Deleting",
        "the run has a deletionTimestamp",
        lambda: with_fields((run for runs in (new_runs, begun_runs, ended_at_all) for run in runs()), deleting=True),
    ),
)


# ------------------------------------------------------------------------------------------------------------------ events


def workflow(run: RunRecord, phase: str, **fields: object) -> WorkflowRecord:
    record = WorkflowRecord(
        key=KEY,
        uid=WORKFLOW_UID,
        resource_version="9",
        owner_uid=RUN_UID,
        owner_name=KEY.name,
        generation=run.generation,
        attempt=run.status.retries or 0,
        phase=phase,
        shutdown=run.shutdown.value if run.shutdown else "",
        started_at=ENDED - timedelta(hours=1),
        finished_at=ENDED if phase in ("Succeeded", "Failed", "Error") else None,
        nodes=(NODE,),
    )
    return replace(record, **fields)


def own(*phases: str, **fields: object) -> Callable[[RunRecord], Iterator[Seen]]:
    return lambda run: (workflow(run, phase, **fields) for phase in phases)


def snapshotted(problem: str = "") -> Callable[[RunRecord], Iterator[Seen]]:
    return lambda run: (Kept(workflow(run, phase), problem) for phase in ("Succeeded", "Failed", "Error"))


def next_attempt(run: RunRecord) -> Iterator[Seen]:
    yield workflow(run, "Running", attempt=(run.status.retries or 0) + 1, finished_at=None)


def earlier_attempt(run: RunRecord) -> Iterator[Seen]:
    if run.status.retries:
        yield workflow(run, "Failed", attempt=run.status.retries - 1)


def just(*seen: Seen) -> Callable[[RunRecord], Iterator[Seen]]:
    return lambda _: iter(seen)


HOUR = timedelta(hours=1)

EVENTS = (
    Event("not in the cache", "the cache has no Workflow for the run", just(NotSeen())),
    Event("no Workflow", "the API server has no Workflow of the run's name", just(Absent())),
    Event("… and a snapshot", "no Workflow, but a WorkflowSnapshot", just(Absent(snapshot=True))),
    Event("… and no snapshot", "neither a Workflow nor a WorkflowSnapshot", just(Absent(snapshot=False))),
    Event("runs", "the run's Workflow is unfinished", own("", "Pending", "Running", finished_at=None)),
    Event(
        "not shut down",
        "… and has no shutdown, although the run has one",
        own("Pending", "Running", finished_at=None, shutdown=""),
    ),
    Event("succeeded", "the run's Workflow has ended as Succeeded", own("Succeeded")),
    Event("failed", "the run's Workflow has ended as Failed or Error", own("Failed", "Error")),
    Event(
        "refused by Argo",
        "Argo has ended the run's Workflow because it is invalid",
        own("Error", nodes=(), message="invalid spec: no such template"),
    ),
    Event("next attempt", "the run's Workflow has the attempt `status.retries` + 1", next_attempt),
    Event("earlier attempt", "the run's Workflow as it was before the current attempt", earlier_attempt),
    Event("second Workflow", "a Workflow that the run owns, not the recorded one", own("Running", uid="another")),
    Event(
        "foreign Workflow",
        "a Workflow of the run's name that the run does not own",
        lambda run: (workflow(run, phase, owner_uid="", uid="another") for phase in ("Running", "Failed")),
    ),
    Event("snapshot made", "the run's Workflow has ended, and is in a WorkflowSnapshot", snapshotted()),
    Event(
        "too large", "the run's Workflow has ended, and is too large for a WorkflowSnapshot", snapshotted("too large")
    ),
    Event(
        "creation refused",
        "the creation was refused; a later one may succeed",
        just(Refusal("ConfigMapNotFound", "", heals=True)),
    ),
    Event(
        "creation invalid",
        "the creation was refused; only an edit of the run can help",
        just(Refusal("SourceInvalid", "")),
    ),
    Event(
        "archive due",
        "`archiveAfter` has expired; the Workflow has ended",
        own("Failed"),
        RetentionTerms(archive_after=HOUR),
    ),
    Event(
        "delete due",
        "`deleteAfter` has expired; the Workflow has ended",
        own("Failed"),
        RetentionTerms(delete_after=HOUR),
    ),
    Event("surplus", "the run exceeds `keepSucceeded` or `keepFailed`", own("Failed"), RetentionTerms(surplus=True)),
    Event(
        "Workflow due",
        "`keepWorkflow` has expired; the Workflow has ended",
        own("Failed"),
        RetentionTerms(keep_workflow=HOUR),
    ),
    Event(
        "… snapshot made",
        "`keepWorkflow` has expired, and the Workflow is in a WorkflowSnapshot",
        lambda run: iter([Kept(workflow(run, "Failed"))]),
        RetentionTerms(keep_workflow=HOUR),
    ),
    Event(
        "Workflow kept",
        "`keepWorkflow` has not expired; the Workflow has ended",
        own("Failed"),
        RetentionTerms(keep_workflow=4 * HOUR),
    ),
)


# --------------------------------------------------------------------------------------------------------------- decisions


def state_of(run: RunRecord) -> str:
    """The state that a run is in."""
    stalled = find_condition(run.status.conditions, STALLED)
    if run.deleting:
        return "Deleting"
    if not run.finished:
        if run.shutdown:
            return "Ending"
        if run.status.workflow:
            return "Running"
        return "Stalled" if stalled and stalled.status == "True" else "New"
    put_away = run.status.storage_state is StorageState.ARCHIVED
    if run.archived:
        return "Archived" if put_away else "Archiving"
    if run.status.phase in BAD and run.retries > (run.status.retries or 0):
        return "Retrying"
    if put_away:
        return "Unarchiving"
    return "Failed" if run.status.phase in BAD else "Succeeded"


def outcome(run: RunRecord, decision: Decision) -> str:
    """The decision in a word: an action, the state after the status is written, or nothing."""
    if decision.action is not None:
        return type(decision.action).__name__
    if decision.status is None:
        return "wait" if decision.requeue_after is not None else "-"
    after = state_of(replace(run, status=decision.status))
    return f"→ {after}" if after != state_of(run) else "update"


def outcomes(state: State, event: Event, now: datetime = NOW) -> list[str]:
    """The decisions in a state at an event, for every run of the state and every observation of the event; sorted."""
    found = {
        outcome(run, reconcile(run, seen, now, terms=event.terms)) for run in state.runs() for seen in event.seen(run)
    }
    return sorted(found)


def table() -> str:
    """The table in Markdown: a row for each event, a column for each state."""
    rows = [["", *(state.name for state in STATES)], ["---"] * (len(STATES) + 1)]
    for event in EVENTS:
        rows.append([f"**{event.name}**", *(" / ".join(outcomes(state, event)) for state in STATES)])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def legend(head: str, entries: tuple[State, ...] | tuple[Event, ...]) -> str:
    """The meanings of states or events, in Markdown."""
    rows = (f"| **{entry.name}** | {entry.meaning} |" for entry in entries)
    return "\n".join([f"| {head} | meaning |", "| --- | --- |", *rows]) + "\n"


if __name__ == "__main__":
    print(legend("state", STATES), legend("event", EVENTS), table(), sep="\n")
