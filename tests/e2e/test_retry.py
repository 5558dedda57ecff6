"""Trying a failed run again, by `spec.retries`: what runs again, when it begins, and what is not a retry.

Which nodes of all kinds of Workflows run again is compared with `argo retry` in test_retry_oracle.py.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from runwright.core.retry.reset import WorkflowReset, reset_workflow
from tests.e2e.cluster import Kubectl, Object, condition, finished, stalled
from tests.e2e.conftest import WaitRun
from tests.e2e.manifests import instant, shell, suspended, workflow
from tests.e2e.processes import Sightings
from tests.e2e.resuming import resume
from tests.e2e.retry_cases import dag, flaky, task
from tests.e2e.runs import Run, refused
from tests.e2e.storage import LABEL, archived, set_state, storage_state

KEPT_BY_THE_END = ("phase", "message", "startedAt", "finishedAt", "duration", "progress", "outputs")
"""Fields of a status that only a retry may change once the run has ended."""

NODE_NAME = "workflows.argoproj.io/node-name"


# ------------------------------------------------------------------------------------------------------- what is used
@pytest.fixture(autouse=True)
def history(kubectl: Kubectl, namespace: str) -> Iterator[Sightings]:
    """Every version of the test's runs. In none has a run that had ended gone on without a retry."""
    with Sightings(kubectl, namespace, "prun") as seen:
        yield seen
        for found in kubectl.list(namespace, "prun"):
            assert_lawful(seen.up_to(found))


@pytest.fixture
def workflows(kubectl: Kubectl, namespace: str) -> Iterator[Sightings]:
    with Sightings(kubectl, namespace, "workflow") as seen:
        yield seen


@pytest.fixture
def pods(kubectl: Kubectl, namespace: str) -> Iterator[Sightings]:
    with Sightings(kubectl, namespace, "pods") as seen:
        yield seen


def assert_lawful(versions: list[Object]) -> None:
    """The counter of a run grows by one at a time and never over what is asked for; without that, an end is an end."""
    for before, after in pairwise(versions):
        old, new = before.get("status") or {}, after.get("status") or {}
        grown = new.get("retries", 0) - old.get("retries", new.get("retries", 0))
        assert grown in (0, 1), (old, new)
        assert new.get("retries", 0) <= after["spec"]["retries"]
        if finished(before) and not grown:
            assert all(old.get(field) == new.get(field) for field in KEPT_BY_THE_END), (old, new)


def attempts(versions: list[Object]) -> list[tuple[int, str]]:
    """The steps that a run went through: attempt and phase, each once where it stayed."""
    phases = [
        (one["status"]["retries"], one["status"]["phase"]) for one in versions if "phase" in one.get("status", {})
    ]
    return [step for number, step in enumerate(phases) if number == 0 or step != phases[number - 1]]


def begun(workflows: Sightings) -> list[str]:
    """The attempts that the run's Workflows were set to, in the order in which that was done."""
    seen: list[str] = []
    for event, found in workflows.events():
        number = found["metadata"]["annotations"]["runwright.dev/attempt"]
        if event != "DELETED" and (not seen or seen[-1] != number):
            seen.append(number)
    return seen


def pods_of(pods: Sightings) -> dict[str, set[str]]:
    """The uids of the pods that there were for each node."""
    found: dict[str, set[str]] = {}
    for _, pod in pods.events():
        name = pod["metadata"]["annotations"][NODE_NAME].removeprefix("run.")
        found.setdefault(name, set()).add(pod["metadata"]["uid"])
    return found


class Cause:
    """Why the step `use` fails: a ConfigMap that can be taken away."""

    def __init__(self, kubectl: Kubectl, namespace: str) -> None:
        self._kubectl, self._where = kubectl, ("-n", namespace, "configmap")
        kubectl("create", *self._where, "cause", "--from-literal=fail=yes")

    def remedy(self) -> None:
        self._kubectl("delete", *self._where, "cause")


@pytest.fixture
def cause(kubectl: Kubectl, namespace: str) -> Cause:
    return Cause(kubectl, namespace)


def two_steps() -> Object:
    """A WorkflowSpec: `make` puts out a random id, as parameter and as artifact; `use` compares them, and puts it out."""
    make = shell("cat /proc/sys/kernel/random/uuid | tee /tmp/file > /tmp/id", "make")
    make["outputs"] = {
        "parameters": [{"name": "id", "valueFrom": {"path": "/tmp/id"}}],
        "artifacts": [{"name": "file", "path": "/tmp/file"}],
    }
    use = flaky("cause", "grep {{inputs.parameters.id}} /tmp/file > /tmp/out", "use")
    use["inputs"] = {"parameters": [{"name": "id"}], "artifacts": [{"name": "file", "path": "/tmp/file"}]}
    use["outputs"] = {"parameters": [{"name": "out", "valueFrom": {"path": "/tmp/out"}}]}
    given = {
        "parameters": [{"name": "id", "value": "{{tasks.make.outputs.parameters.id}}"}],
        "artifacts": [{"name": "file", "from": "{{tasks.make.outputs.artifacts.file}}"}],
    }
    out = {"name": "out", "valueFrom": {"parameter": "{{tasks.use.outputs.parameters.out}}"}}
    main = dag(task("make", "make"), task("use", "use", "make", arguments=given), outputs={"parameters": [out]})
    return {"entrypoint": "main", "templates": [main, make, use]}


def output_of(workflow: Object, node: str, name: str) -> str:
    (found,) = [one for one in workflow["status"]["nodes"].values() if one["displayName"] == node]
    return next(one["value"] for one in found["outputs"]["parameters"] if one["name"] == name)


FAILS = suspended(activeDeadlineSeconds=1)
"""A WorkflowSpec that runs for a second, fails, and needs no pod."""


def of(spec: Object, **fields: Any) -> Object:
    """The spec of a run."""
    return {"workflow": {"spec": spec}, **fields}


def ended_as(phase: str, attempt: int) -> Callable[[Object], bool]:
    """Whether a run's attempt of that number has ended, and so."""

    def so(found: Object) -> bool:
        status = found.get("status") or {}
        return (status.get("phase"), status.get("retries")) == (phase, attempt)

    return so


# -------------------------------------------------------------------------------------------------------- what runs again
def test_succeeded_nodes_are_kept_and_feed_the_retried_ones(
    kubectl: Kubectl, namespace: str, run: Run, wait_run: WaitRun, history: Sightings, pods: Sightings, cause: Cause
):
    """Tried again it fails again; tried once more, with the cause gone, it succeeds with what its first step made."""
    run.create(of(two_steps()))
    first = wait_run("run", "Failed")
    made = output_of(kubectl.get(namespace, "workflow", "run"), "make", "id")
    run.spec(retries=1)
    again = wait_run("run", ended_as("Failed", 1))
    assert again["status"]["finishedAt"] > first["status"]["finishedAt"]
    cause.remedy()
    run.spec(retries=2)
    last = wait_run("run", ended_as("Succeeded", 2))

    assert last["status"]["outputs"]["parameters"] == [{"name": "out", "value": made}]
    assert last["status"]["workflow"] == first["status"]["workflow"]
    assert {name: len(uids) for name, uids in pods_of(pods).items()} == {"make": 1, "use": 3}
    steps = attempts(history.up_to(last))
    assert [step for step in steps if step[1] != "Pending"] == [
        *((0, "Running"), (0, "Failed")),
        *((1, "Running"), (1, "Failed")),
        *((2, "Running"), (2, "Succeeded")),
    ]
    succeeded = condition(last, "Succeeded")
    assert (succeeded["status"], succeeded["reason"], succeeded["message"]) == ("True", "Succeeded", "")


@pytest.mark.parametrize("how", ["keepWorkflow", "archive"])
def test_only_failed_nodes_run_again_from_the_snapshot(
    kubectl: Kubectl, namespace: str, run: Run, wait_run: WaitRun, pods: Sightings, cause: Cause, how: str
):
    """It is put back from its WorkflowSnapshot."""
    retention = {"retention": {"keepWorkflow": "0s"}} if how == "keepWorkflow" else {}
    run.create(of(two_steps(), **retention))
    first = wait_run("run", "Failed")
    if how == "archive":
        set_state(kubectl, namespace, "run", "Archived")
        wait_run("run", archived)
    kubectl.wait_gone(namespace, "workflow", "run")
    cause.remedy()
    label = {"metadata": {"labels": {LABEL: None}}} if how == "archive" else {}
    run.patch({"spec": {"retries": 1}, **label})
    last = wait_run("run", ended_as("Succeeded", 1))

    assert last["status"]["workflow"]["uid"] != first["status"]["workflow"]["uid"]
    assert {name: len(uids) for name, uids in pods_of(pods).items()} == {"make": 1, "use": 2}
    (out,) = last["status"]["outputs"]["parameters"]
    assert len(out["value"]) == 36
    assert storage_state(last) == (None, None)


def test_a_retry_without_a_snapshot_starts_from_the_beginning(
    kubectl: Kubectl, namespace: str, run: Run, wait_run: WaitRun, history: Sightings
):
    """The Workflow was deleted by somebody while it ran: both its steps are to be done again."""
    wait = {"name": "wait", "suspend": {}}
    run.create(
        of({"entrypoint": "main", "templates": [dag(task("a", "wait"), task("b", "wait", "a")), wait]}),
    )

    def waits_at(node: str, attempt: int) -> Callable[[Object], bool]:
        def waits(found: Object) -> bool:
            status = found.get("status") or {}
            nodes = {one["name"]: one["phase"] for one in status.get("nodes", [])}
            return status.get("retries") == attempt and nodes.get(node) == "Running"

        return waits

    found = wait_run("run", waits_at("a", 0))
    node = next(one["id"] for one in found["status"]["nodes"] if one["name"] == "a")
    resume(kubectl, namespace, "run", node)
    wait_run("run", waits_at("b", 0))
    kubectl("delete", "-n", namespace, "workflow", "run")
    lost = wait_run("run", "Error")
    assert condition(lost, "Succeeded")["reason"] == "WorkflowDeleted"
    assert "spec.retries" in condition(lost, "Succeeded")["message"], "it says what can be done"

    run.spec(retries=1)
    again = wait_run("run", waits_at("a", 1))
    assert again["status"]["workflow"]["uid"] != lost["status"]["workflow"]["uid"]
    assert "b" not in {one["name"] for one in again["status"]["nodes"]}
    resume(kubectl, namespace, "run", node)
    found = wait_run("run", waits_at("b", 1))
    resume(kubectl, namespace, "run", *(one["id"] for one in found["status"]["nodes"] if one["name"] == "b"))
    wait_run("run", ended_as("Succeeded", 1))


# --------------------------------------------------------------------------------------------------- after a termination
def test_a_retried_terminated_run_continues(kubectl: Kubectl, namespace: str, run: Run, wait_run: WaitRun):
    """By one edit, which takes the shutdown back; without that it is refused."""
    run.create(of(suspended()))
    before = wait_run("run", "Running")
    run.spec(shutdown="Terminate")
    wait_run("run", "Failed")
    assert "remove spec.shutdown in the same edit" in refused(run.spec, retries=1)
    run.spec(retries=1, shutdown=None)
    again = wait_run(
        "run", lambda found: ended_as("Running", 1)(found) and condition(found, "Succeeded")["message"] == ""
    )
    assert condition(again, "Succeeded")["reason"] == "Running"
    assert again["status"]["workflow"] == before["status"]["workflow"]
    assert "shutdown" not in kubectl.get(namespace, "workflow", "run")["spec"]
    resume(kubectl, namespace, "run")
    wait_run("run", ended_as("Succeeded", 1))


def test_a_run_that_never_had_a_workflow_gets_one(kubectl: Kubectl, namespace: str, run: Run, wait_run: WaitRun):
    run.create(of(instant(), shutdown="Stop"))
    wait_run("run", "Failed")
    assert kubectl.list(namespace, "workflow") == []
    run.spec(retries=1, shutdown=None)
    last = wait_run("run", ended_as("Succeeded", 1))
    (made,) = kubectl.list(namespace, "workflow")
    assert last["status"]["workflow"] == {"name": "run", "uid": made["metadata"]["uid"]}


# -------------------------------------------------------------------------------------------------------------- counting
def test_ten_concurrent_retries_make_one_attempt(
    kubectl: Kubectl, namespace: str, run: Run, wait_run: WaitRun, history: Sightings, workflows: Sightings
):
    run.create(of(FAILS))
    failed = wait_run("run", "Failed")
    patch = ("patch", *run.where, "prun", "run", "--type=merge", "-p", '{"spec":{"retries":1}}')
    patches = [
        subprocess.Popen(kubectl.command(*patch), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(10)
    ]
    assert [(one.communicate(timeout=60)[1], one.returncode) for one in patches] == [("", 0)] * 10
    last = wait_run("run", ended_as("Failed", 1))
    assert last["metadata"]["generation"] == failed["metadata"]["generation"] + 1
    steps = [step for step in attempts(history.up_to(last)) if step[1] != "Pending"]
    assert steps == [(0, "Running"), (0, "Failed"), (1, "Running"), (1, "Failed")]
    workflows.wait("run", lambda found: finished(found) and attempt_of(found) == "1")
    assert begun(workflows) == ["0", "1"]


def attempt_of(workflow: Object) -> str:
    return workflow["metadata"]["annotations"]["runwright.dev/attempt"]


def test_an_invalid_retry_is_refused(run: Run, kubectl: Kubectl, namespace: str, wait_run: WaitRun):
    """On a run that goes, on one that succeeded, by more than one, or backwards."""
    going = Run(kubectl, namespace, "going").create(of(suspended()))
    good = Run(kubectl, namespace, "good").create(of(instant()))
    run.create(of(FAILS))
    before = [wait_run("going", "Running"), wait_run("good", "Succeeded"), wait_run("run", "Failed")]
    for other in (going, good):
        assert "only a run whose status.phase is Failed or Error can be retried" in refused(other.spec, retries=1)
    assert "set it to status.retries + 1" in refused(run.spec, retries=2)
    for one in before:
        now = kubectl.get(namespace, "prun", one["metadata"]["name"])
        assert now["metadata"]["generation"] == one["metadata"]["generation"]
        assert now["status"]["retries"] == 0
    run.spec(retries=1)
    wait_run("run", ended_as("Failed", 1))
    assert "only grows" in refused(run.spec, retries=0)


def test_a_run_created_with_retries_starts_its_first_attempt(
    kubectl: Kubectl, namespace: str, run: Run, wait_run: WaitRun, workflows: Sightings
):
    """Such as one that is copied from another cluster: it counts from there, and nothing is retried."""
    run.create(of(FAILS, retries=3))
    wait_run("run", ended_as("Failed", 3))
    run.spec(retries=4)
    wait_run("run", ended_as("Failed", 4))
    workflows.wait("run", lambda found: finished(found) and attempt_of(found) == "4")
    assert begun(workflows) == ["3", "4"]


# --------------------------------------------------------------------------------------------------- when it cannot begin
def test_a_blocked_retry_is_reported_and_starts_when_unblocked(
    kubectl: Kubectl, namespace: str, run: Run, wait_run: WaitRun
):
    """The run stays as failed as it was."""
    run.create(of(FAILS))
    before = wait_run("run", "Failed")
    kubectl("delete", "-n", namespace, "workflow", "run")
    kubectl("create", "quota", "-n", namespace, "none", "--hard=count/workflows.argoproj.io=0")
    # The quota controller of a cluster that has just started looks for kinds like Argo's every so often only.
    kubectl("wait", "-n", namespace, "quota/none", "--for=jsonpath={.status.used}", "--timeout=180s", timeout=190)
    run.spec(retries=1)
    waiting = wait_run("run", lambda found: bool(stalled(found)))
    assert condition(waiting, "Stalled")["reason"] == "Forbidden"
    assert "exceeded quota: none" in condition(waiting, "Stalled")["message"]
    assert [waiting["status"][field] for field in ("phase", "retries", "finishedAt")] == [
        "Failed",
        0,
        before["status"]["finishedAt"],
    ]
    kubectl("delete", "-n", namespace, "quota", "none")
    last = wait_run("run", ended_as("Failed", 1))
    assert (condition(last, "Stalled")["status"], condition(last, "Stalled")["reason"]) == ("False", "Cleared")


def test_a_retry_waits_while_its_name_is_taken(kubectl: Kubectl, namespace: str, run: Run, wait_run: WaitRun):
    """Somebody has put a Workflow of his own in the place of the run's: it is left alone."""
    run.create(of(FAILS))
    wait_run("run", "Failed")
    kubectl("delete", "-n", namespace, "workflow", "run")
    kubectl("create", "-n", namespace, "-f", "-", input=json.dumps(workflow(suspended(), "run")))
    taken = kubectl.wait(namespace, "workflow", "run", lambda found: found.get("status", {}).get("phase") == "Running")
    run.spec(retries=1)
    waiting = wait_run("run", lambda found: stalled(found) == "WorkflowNameTaken")
    assert (waiting["status"]["phase"], waiting["status"]["retries"]) == ("Failed", 0)
    assert (
        kubectl.get(namespace, "workflow", "run")["metadata"]["resourceVersion"] == taken["metadata"]["resourceVersion"]
    )
    kubectl("delete", "-n", namespace, "workflow", "run")
    wait_run("run", ended_as("Failed", 1))


def test_a_retry_of_an_archived_run_waits_for_its_restore(
    kubectl: Kubectl, namespace: str, run: Run, wait_run: WaitRun
):
    """As long as it is archived, nothing is in the operator's watch, and nothing happens."""
    run.create(of(FAILS))
    wait_run("run", "Failed")
    set_state(kubectl, namespace, "run", "Archived")
    wait_run("run", archived)
    kubectl.wait_gone(namespace, "workflow", "run")
    before = run.spec(retries=1)
    Run(kubectl, namespace, "later").create(of(instant()))
    wait_run("later", "Succeeded")
    assert run.get()["status"] == before["status"]
    assert kubectl.find(namespace, "workflow", "run") is None
    set_state(kubectl, namespace, "run", None)
    last = wait_run("run", ended_as("Failed", 1))
    assert storage_state(last) == (None, None)


# --------------------------------------------------------------------------------------------------- without being asked
def test_a_workflow_retried_by_another_client_is_not_a_retry_of_the_run(
    kubectl: Kubectl, namespace: str, run: Run, wait_run: WaitRun
):
    """`argo retry` does not wake a run that has ended; a retry that is asked for later takes what it finds."""
    run.create(of(FAILS))
    before = wait_run("run", "Failed")
    reset = reset_workflow(kubectl.get(namespace, "workflow", "run"), datetime.now(UTC))
    assert isinstance(reset, WorkflowReset)
    del reset.workflow["spec"]["activeDeadlineSeconds"]
    kubectl("replace", "-n", namespace, "-f", "-", input=json.dumps(reset.workflow))
    kubectl.wait(namespace, "workflow", "run", lambda found: found["status"]["phase"] == "Running")
    resume(kubectl, namespace, "run")
    kubectl.wait(namespace, "workflow", "run", lambda found: found["status"]["phase"] == "Succeeded")
    # The operator has seen this event once it has handled a later one.
    Run(kubectl, namespace, "later").create(of(instant()))
    wait_run("later", "Succeeded")
    assert run.get()["status"] == before["status"]
    run.spec(retries=1)
    last = wait_run("run", ended_as("Succeeded", 1))
    assert last["status"]["workflow"] == before["status"]["workflow"]
