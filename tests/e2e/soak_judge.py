"""Whether a run's life was right, by what etcd's history holds of it and of its Workflows: every version, in order."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tests.e2e.cluster import FINISHED, Object

GIVEN_UP = "failed to resolve artifact repository: error getting config map"


@dataclass(frozen=True)
class Plan:
    """What is to come of a run."""

    end: str
    """The phase."""
    retries: int = 0
    state: str = ""
    """Archived; or Available, for one that was archived and brought back."""


@dataclass(frozen=True)
class RunSeen:
    """One version of a run."""

    uid: str
    phase: str
    asked: int
    """`spec.retries`."""
    retries: int
    """`status.retries`."""
    state: str
    workflow: str
    """UID of the Workflow in its status."""
    message: str = ""


@dataclass(frozen=True)
class WorkflowSeen:
    """One version of a Workflow."""

    uid: str
    owner: str
    """The uid of its controller."""
    phase: str
    message: str = ""


def run_seen(run: Object) -> RunSeen:
    """What is judged of a run."""
    status: Object = run.get("status") or {}
    return RunSeen(
        run["metadata"]["uid"],
        status.get("phase", ""),
        run["spec"].get("retries", 0),
        status.get("retries") or 0,
        status.get("storageState", ""),
        (status.get("workflow") or {}).get("uid", ""),
        status.get("message", ""),
    )


def workflow_seen(workflow: Object) -> WorkflowSeen:
    """What is judged of a Workflow."""
    metadata = workflow["metadata"]
    owners = [one["uid"] for one in metadata.get("ownerReferences", ()) if one.get("controller")]
    status: Object = workflow.get("status") or {}
    return WorkflowSeen(metadata["uid"], "".join(owners), status.get("phase", ""), status.get("message", ""))


def ended_by_argo(workflows: Sequence[WorkflowSeen | None]) -> bool:
    """Whether Argo gave the Workflow up since it could not reach the API server: that is then its end, and the run's.

    Argo 3.7.3 ends a Workflow as Error where it cannot look for the ConfigMap of its artifact repository.
    """
    last = next((one for one in reversed(workflows) if one is not None), None)
    return last is not None and last.phase == "Error" and last.message.startswith(GIVEN_UP)


def by_name(changes: Iterable[tuple[str, Object | None]], seen: Any) -> dict[str, list[Any]]:
    """The versions of each object, as `seen` takes them down; None where it was deleted."""
    found: dict[str, list[Any]] = defaultdict(list)
    for name, value in changes:
        found[name].append(None if value is None else seen(value))
    return found


def wrong(plan: Plan, runs: Sequence[RunSeen | None], workflows: Sequence[WorkflowSeen | None]) -> list[str]:
    """Errors in the history of one finished run; empty if there are none."""
    there = [one for one in runs if one is not None]
    if not there or runs[-1] is None:
        return ["lost: the run is not there"]
    if ended_by_argo(workflows):
        plan = replace(plan, end="Error")
    return [*of_run(plan, there), *of_workflows(plan, there[-1], workflows)]


def of_run(plan: Plan, runs: Sequence[RunSeen]) -> list[str]:
    """What was wrong with the versions of a run."""
    said: list[str] = []
    last = runs[-1]
    if (last.phase, last.retries, last.state) != (plan.end, plan.retries, plan.state):
        said.append(
            f"wrong end: {last.phase or 'none'} ({last.message}) after {last.retries} retries, {last.state or 'never archived'}; "
            f"expected {plan}"
        )
    if len({one.uid for one in runs}) > 1:
        said.append("lost: it was deleted and created again")
    for before, after in itertools.pairwise(runs):
        if before.phase in FINISHED and after.phase != before.phase and after.retries == before.retries:
            said.append(f"went back: {before.phase} became {after.phase or 'none'} in attempt {after.retries}")
        if not before.retries <= after.retries <= after.asked:
            said.append(f"wrong attempt: {before.retries} became {after.retries}, {after.asked} were asked for")
    return said


def of_workflows(plan: Plan, run: RunSeen, workflows: Sequence[WorkflowSeen | None]) -> list[str]:
    """What was wrong with the versions of a run's Workflows; `run` is as it is in the end."""
    there = [one for one in workflows if one is not None]
    if not there:
        return ["lost: it never had a Workflow"]
    said: list[str] = []
    first: dict[str, str] = {}
    for one in there:
        first.setdefault(one.uid, one.phase)
    begun = [uid for uid, phase in first.items() if not phase]
    if len(begun) != 1:
        said.append(f"doubled: {len(begun)} Workflows were begun")
    # It is brought back where its Workflow has gone by then; it is still there where its label was taken back soon enough.
    gone = workflows.count(None) if plan.state == "Available" else 0
    if len(first) - len(begun) != gone or gone > 1:
        said.append(f"doubled: {len(first) - len(begun)} Workflows were put back")
    again = sum(
        before.uid == after.uid and before.phase in FINISHED and after.phase not in FINISHED
        for before, after in itertools.pairwise(there)
    )
    if again != plan.retries:
        said.append(f"doubled: it was set going again {again} times, {plan.retries} were asked for")
    if {one.owner for one in there} != {run.uid}:
        said.append("wrong owner: a Workflow of its name is not its own")
    if there[-1].phase != run.phase:
        said.append(f"wrong end: the run tells {run.phase}, its Workflow {there[-1].phase or 'nothing'}")
    if (workflows[-1] is None) != (plan.state == "Archived"):
        said.append("wrong end: its Workflow is there" if workflows[-1] else "lost: its Workflow is gone")
    if workflows[-1] is not None and run.workflow != workflows[-1].uid:
        said.append("wrong end: its status names another Workflow")
    return said
