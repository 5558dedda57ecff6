"""The invariants of every play, under every fault."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from runwright.api.labels import STORAGE_STATE_LABEL
from runwright.core.archive.snapshot import unpack_snapshot
from runwright.core.run_record import is_owned_elsewhere
from runwright.core.workflow.record import attempt_of
from tests.unit.fake.apiserver import FINISHED, ApiServer, Change, labels_of
from tests.unit.fake.argo import ENDED, is_restart, nodes_of, pods_of

Json = Mapping[str, Any]


class Rules:
    """Checks every change of every object, and adds the broken rules to `problems`."""

    def __init__(self, server: ApiServer, problems: list[str]) -> None:
        self._server = server
        self.problems = problems
        self.operator_acts = True
        """Whether changes come from an operator, and not from the user or the garbage collector."""
        self.created: Counter[str] = Counter()
        """Number of created Workflows by run uid."""
        self._deleted: Counter[str] = Counter()
        self.snapshots = 0
        """Number of created snapshots."""
        self._begun: set[tuple[str, int]] = set()
        """Attempts with a reset Workflow: run uid and number."""
        self._done: dict[str, dict[str, Any]] = {}
        """Pods that had succeeded at the last end of the Workflow, by run uid."""

    def writes(self) -> int:
        """Number of the operators' writes, without creations of existing objects."""
        asked = sum(n for (verb, _), n in self._server.calls.items() if verb in ("patch", "update", "delete"))
        return asked + sum(self.created.values()) + self.snapshots + len(self._server.events)

    def changed(self, change: Change) -> None:
        match change.kind, change.type:
            case "PipelineRun", "MODIFIED":
                self._run_changed(change.old or {}, change.body)
            case "PipelineRun", "DELETED" if self.operator_acts:
                self._run_deleted(change.body)
            case "WorkflowSnapshot", "ADDED":
                self.snapshots += 1
            case "Workflow", _:
                for owner in change.body["metadata"].get("ownerReferences", ()):
                    self._workflow_changed(change, owner["uid"], owner["name"])
            case _:
                pass

    # ----------------------------------------------------------------------------------------------------------- runs

    def _run_changed(self, before: Json, after: Json) -> None:
        was, now = before.get("status", {}), after.get("status", {})
        if was.get("phase") not in FINISHED or was == now:
            return
        if now.get("retries", 0) != was.get("retries", 0):
            asked = after["spec"].get("retries", 0)
            if was["phase"] not in ("Failed", "Error") or not was.get("retries", 0) < now["retries"] <= asked:
                self.problems.append(f"a finished run began an attempt without a request: {was} became {now}")
        elif constant_status(was, archived=stored(was) != stored(now)) != constant_status(
            now, stored(was) != stored(now)
        ):
            self.problems.append(f"a finished run was changed: {was} became {now}")
        if stored(was) != stored(now) and (labels_of(after).get(STORAGE_STATE_LABEL) == "Archived") != (
            stored(now) == "Archived"
        ):
            self.problems.append(f"a run became {stored(now)}, and its label has another value")
        kept = condition_of(now, "Archived")
        if stored(now) == "Archived" != stored(was) and kept.get("reason") == "WorkflowKept":
            self._check_snapshot(after, f"the run {after['metadata']['name']} was archived")

    def _run_deleted(self, run: Json) -> None:
        metadata, status = run["metadata"], run.get("status", {})
        name = metadata["name"]
        archived = labels_of(run).get(STORAGE_STATE_LABEL) == "Archived"
        stalled = condition_of(status, "Stalled").get("status") == "True"
        if status.get("phase") not in FINISHED:
            self.problems.append(f"the unfinished run {name} was deleted by the operator")
        elif status.get("retries", 0) < run["spec"].get("retries", 0) and not archived and not stalled:
            self.problems.append(f"the run {name} was deleted by the operator with a requested attempt")
        theirs = is_owned_elsewhere(labels_of(run), metadata.get("annotations", {}))
        if theirs and "deleteAfter" not in run["spec"].get("retention", {}):
            self.problems.append(f"the run {name} was deleted by the operator, and a GitOps tool owns it")

    def _check_snapshot(self, run: Json, what: str) -> None:
        metadata = run["metadata"]
        there = self._server.objects.get(("WorkflowSnapshot", metadata["namespace"], metadata["name"]))
        if there is None or there["metadata"]["ownerReferences"][0]["uid"] != metadata["uid"]:
            self.problems.append(f"{what}, and no snapshot was there")
        elif there["attempt"] != run.get("status", {}).get("retries", 0) or unpack_snapshot(there) is None:
            self.problems.append(f"{what}, and the snapshot is of attempt {there['attempt']}")

    # ------------------------------------------------------------------------------------------------------ Workflows

    def _workflow_changed(self, change: Change, run_uid: str, name: str) -> None:
        if change.type == "ADDED":
            self.created[run_uid] += 1
        elif change.type == "DELETED":
            self._deleted[run_uid] += 1
        if self.created[run_uid] - self._deleted[run_uid] > 1:
            self.problems.append(f"two Workflows of the run {name} at the same time")
        run = self._server.objects.get(("PipelineRun", change.body["metadata"]["namespace"], name))
        run = run if run is not None and run["metadata"]["uid"] == run_uid else None
        going = (change.type == "ADDED" and change.body.get("status", {}).get("phase") == "Running") or (
            change.type == "MODIFIED" and is_restart(change)
        )
        if going or (change.type == "ADDED" and (attempt_of(change.body) or 0) > 0 and not change.body.get("status")):
            self._attempt_begins(change, run, run_uid)
        if change.type == "DELETED" and self.operator_acts and run is not None:
            status = run.get("status", {})
            if status.get("phase") in FINISHED and status.get("workflow", {}).get("uid") == change.uid:
                self._check_snapshot(run, f"the Workflow of the finished run {name} was deleted by the operator")
        if change.body.get("status", {}).get("phase") in ENDED:
            self._done[run_uid] = succeeded_pods(change.body)

    def _attempt_begins(self, change: Change, run: Json | None, run_uid: str) -> None:
        """Check a Workflow that was reset, or created for a further attempt."""
        name, attempt = change.body["metadata"]["name"], attempt_of(change.body) or 0
        if not self.operator_acts:
            return
        if run is not None:
            status, asked = run.get("status", {}), run["spec"].get("retries", 0)
            if change.type == "ADDED" and attempt <= status.get("retries", 0):
                return  # created late by a paused operator; the sweep counts these
            if not status.get("retries", 0) < attempt <= asked:
                self.problems.append(
                    f"attempt {attempt} of {name} began, the spec has {asked} and the status is {status}"
                )
        if change.type == "MODIFIED":
            if (run_uid, attempt) in self._begun:
                self.problems.append(f"attempt {attempt} of {name} began a second time")
            self._begun.add((run_uid, attempt))
        nodes = nodes_of(change.body)
        if left := [left for left in pods_of(self._server, name) if left[1] not in nodes]:
            self.problems.append(f"attempt {attempt} of {name} began, and {left} are still there")
        done = self._done.get(run_uid, {}) if change.body.get("status") else {}
        if lost := [node for node in done if nodes.get(node) != done[node]]:
            self.problems.append(f"attempt {attempt} of {name} runs {lost} again, which had succeeded")


def stored(status: Json) -> str:
    return status.get("storageState", "Available")


def constant_status(status: Json, archived: bool) -> Json:
    """The part of a finished run's status that must not change; `archived` when its storage state changes."""
    free = ("observedGeneration", "storageState", "conditions", *(("nodes", "nodesOmitted", "workflow") * archived))
    conditions = [c for c in status.get("conditions", ()) if c["type"] not in ("Archived", "Stalled")]
    return {"conditions": conditions, **{key: value for key, value in status.items() if key not in free}}


def succeeded_pods(workflow: Json) -> dict[str, Any]:
    return {
        key: node for key, node in nodes_of(workflow).items() if (node["type"], node["phase"]) == ("Pod", "Succeeded")
    }


def condition_of(status: Json, kind: str) -> Json:
    return next((c for c in status.get("conditions", ()) if c["type"] == kind), {})
