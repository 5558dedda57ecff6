"""The operator dies, at any moment and for any time: no run is lost, none has a second Workflow, each ends as it should.

Here it is a process of this machine, with the rights of the deployed one, which is scaled to nothing meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import pytest

from tests.e2e.cluster import Kubectl, Object, condition, finished
from tests.e2e.conftest import Apply, wait_for_run
from tests.e2e.manifests import instant, one_step, pipeline_run, suspended
from tests.e2e.processes import Operator, Sightings
from tests.e2e.resuming import resume
from tests.e2e.runs import Run
from tests.e2e.storage import archived, set_state

pytestmark = pytest.mark.serial

PAUSE = {"entrypoint": "main", "templates": [{"name": "main", "suspend": {"duration": "3s"}}]}


@pytest.fixture
def sightings(kubectl: Kubectl, namespace: str) -> Iterator[Sightings]:
    with Sightings(kubectl, namespace, "workflow") as seen:
        yield seen


@pytest.mark.parametrize("moment", ["applied", "created", "running"])
def test_a_run_survives_one_kill_of_the_operator(
    moment: str, kubectl: Kubectl, namespace: str, apply: Apply, mortal: Operator, sightings: Sightings
):
    """Right after the run was applied; right after its Workflow was created; while its pod runs."""
    mortal.start()
    apply(pipeline_run({"spec": one_step("sleep 2") if moment == "running" else PAUSE}))
    if moment == "created":
        sightings.wait("run")
    if moment == "running":
        wait_for_run(kubectl, namespace, "run", "Running")
    mortal.kill()
    mortal.start()
    run = wait_for_run(kubectl, namespace, "run", "Succeeded")
    assert sightings.uids() == {"run": {run["status"]["workflow"]["uid"]}}


def test_ten_runs_survive_repeated_kills_of_the_operator(
    kubectl: Kubectl, namespace: str, apply: Apply, mortal: Operator, sightings: Sightings
):
    """Once for each run: right after it was applied, when its Workflow is there, when its status is; and thrice on top."""
    names = [f"run-{number}" for number in range(10)]
    mortal.start()
    for number, name in enumerate(names):
        apply(pipeline_run({"spec": one_step() if number % 4 == 0 else PAUSE}, name))
        if number % 3 == 1:
            sightings.wait(name)
        if number % 3 == 2:
            wait_for_run(kubectl, namespace, name, lambda run: "status" in run)
        mortal.kill()
        mortal.start()
    for _ in range(3):
        mortal.kill()
        mortal.start()
    runs = {name: wait_for_run(kubectl, namespace, name, "Succeeded") for name in names}
    assert sightings.uids() == {name: {run["status"]["workflow"]["uid"]} for name, run in runs.items()}


def test_a_run_deleted_while_the_operator_is_down_stays_deleted(
    kubectl: Kubectl, namespace: str, apply: Apply, mortal: Operator, sightings: Sightings
):
    """Its Workflow, its pod and its snapshot go all the same, and do not come back with the operator."""
    mortal.start()
    apply(pipeline_run({"spec": one_step("sleep 600")}))
    apply(pipeline_run({"spec": instant()}, "away"))
    wait_for_run(kubectl, namespace, "away", "Succeeded")
    set_state(kubectl, namespace, "away", "Archived")
    wait_for_run(kubectl, namespace, "away", archived)
    pod = running_pod(kubectl, namespace)
    mortal.kill()
    kubectl("delete", "-n", namespace, "prun", "run", "away")
    kubectl.wait_gone(namespace, "workflowsnapshot", "away")
    kubectl.wait_gone(namespace, "workflow", "run")
    kubectl.wait_gone(namespace, "pod", pod)
    apply(pipeline_run({"spec": PAUSE}, "later"))
    mortal.start()
    wait_for_run(kubectl, namespace, "later", "Succeeded")
    assert len(sightings.uids()["run"]) == 1
    assert kubectl.find(namespace, "workflow", "run") is None


def running_pod(kubectl: Kubectl, namespace: str) -> str:
    """The name of the first pod of the namespace that runs."""
    for _, pod in kubectl.watch(namespace, "pods"):
        if pod["status"].get("phase") == "Running":
            return pod["metadata"]["name"]
    raise AssertionError("no pod came to run")


@pytest.mark.parametrize("moment", ["down", "asked for", "begun", "mirrored"])
def test_a_retry_survives_a_kill_of_the_operator(
    moment: str, kubectl: Kubectl, namespace: str, apply: Apply, mortal: Operator, sightings: Sightings
):
    """Asked for while it is down; killed as soon as it is asked for, as the Workflow starts again, or once the run's status shows it.

    There is one attempt, in one Workflow: of a run that has its Workflow still, and of one whose Workflow has gone.
    """
    runs = [Run(kubectl, namespace, name) for name in ("there", "gone")]
    mortal.start()
    for run in runs:
        run.create({"workflow": {"spec": suspended(activeDeadlineSeconds=1)}})
    failed = {run.name: wait_for_run(kubectl, namespace, run.name, "Failed") for run in runs}
    for run in runs:
        sightings.wait(run.name, finished)
    kubectl("delete", "-n", namespace, "workflow", "gone")
    if moment == "down":
        mortal.kill()
    for run in runs:
        run.spec(retries=1)
    for run in runs:
        if moment == "begun":
            sightings.wait(run.name, lambda found: attempt_of(found) == "1")
        if moment == "mirrored":
            wait_for_run(kubectl, namespace, run.name, lambda found: found["status"]["retries"] == 1)
    mortal.kill()
    mortal.start()
    for run in runs:
        ended = wait_for_run(
            kubectl, namespace, run.name, lambda found: finished(found) and found["status"]["retries"] == 1
        )
        sightings.wait(run.name, lambda found: finished(found) and attempt_of(found) == "1")
        first, second = (one["status"]["workflow"]["uid"] for one in (failed[run.name], ended))
        assert (first == second) is (run.name == "there")
        seen = [found for event, found in sightings.events() if event != "DELETED"]
        steps = [
            (one["metadata"]["uid"], attempt_of(one), finished(one))
            for one in seen
            if one["metadata"]["name"] == run.name
        ]
        assert [step for step, _ in groupby(steps)] == [
            *((first, "0", False), (first, "0", True)),
            *((second, "1", False), (second, "1", True)),
        ]


def attempt_of(workflow: Object) -> str:
    return workflow["metadata"]["annotations"]["runwright.dev/attempt"]


def test_changes_of_workflows_while_the_operator_is_down_are_mirrored(
    kubectl: Kubectl, namespace: str, apply: Apply, mortal: Operator
):
    """One ends, one is deleted, and nothing happens to one: the operator catches up at its start."""
    mortal.start()
    for name in ("ends", "loses", "stays"):
        apply(pipeline_run({"spec": suspended()}, name))
    for name in ("ends", "loses", "stays"):
        wait_for_run(kubectl, namespace, name, lambda run: run.get("status", {}).get("phase") == "Running")
    mortal.kill()
    kubectl("delete", "-n", namespace, "workflow", "loses")
    resume(kubectl, namespace, "ends")
    ended = kubectl.wait(namespace, "workflow", "ends", lambda one: one["status"]["phase"] == "Succeeded")
    before = {name: kubectl.get(namespace, "prun", name) for name in ("ends", "stays")}
    assert before["ends"]["status"]["phase"] == "Running"
    mortal.start()
    assert wait_for_run(kubectl, namespace, "ends")["status"]["finishedAt"] == ended["status"]["finishedAt"]
    lost = wait_for_run(kubectl, namespace, "loses", "Error")
    assert condition(lost, "Succeeded")["reason"] == "WorkflowDeleted"
    stays = kubectl.get(namespace, "prun", "stays")
    assert stays["metadata"]["resourceVersion"] == before["stays"]["metadata"]["resourceVersion"]


def test_operator_ends_cleanly_on_sigterm(kubectl: Kubectl, namespace: str, apply: Apply, mortal: Operator):
    """SIGTERM in the midst of its work: well before a kubelet would kill it, and without a complaint."""
    mortal.start()
    apply(pipeline_run({"spec": suspended()}))
    wait_for_run(kubectl, namespace, "run", "Running")
    assert mortal.stop(seconds=10) == 0
    assert "stopped" in mortal.log()[-1]["message"]
