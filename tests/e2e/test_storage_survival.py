"""The operator dies while runs are archived, brought back or retained, or is away meanwhile: nothing of a run is lost."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.e2e.cluster import Kubectl, Object, finished
from tests.e2e.conftest import Apply, wait_for_run
from tests.e2e.manifests import instant, of_kind, pipeline_run
from tests.e2e.processes import Operator, Sightings
from tests.e2e.storage import archived, available, set_state, unpacked

pytestmark = pytest.mark.serial

NAMES = [f"run-{number:02d}" for number in range(12)]


def as_they_are(workflows: list[Object]) -> dict[str, tuple[Object, Object]]:
    """Spec and status of Workflows, by name."""
    return {one["metadata"]["name"]: (one["spec"], one["status"]) for one in workflows}


def create(kubectl: Kubectl, namespace: str, *documents: Object) -> None:
    items = {"apiVersion": "v1", "kind": "List", "items": list(documents)}
    kubectl("create", "-n", namespace, "-f", "-", input=json.dumps(items))


def twelve_ended(kubectl: Kubectl, namespace: str) -> dict[str, Object]:
    """The runs, ended, by name."""
    create(kubectl, namespace, *(pipeline_run({"spec": instant()}, name) for name in NAMES))
    return kubectl.wait_all(namespace, "prun", NAMES, finished)


def nodes(runs: dict[str, Object]) -> dict[str, Object]:
    return {name: run["status"]["nodes"] for name, run in runs.items()}


@pytest.mark.parametrize("sign", ["workflowsnapshot", "prun"])
def test_a_kill_between_the_writes_of_an_archive_loses_nothing(
    sign: str, kubectl: Kubectl, namespace: str, mortal: Operator
):
    """Of twelve runs at a time, when one of them has its snapshot, or its status: the others are elsewhere.

    No Workflow has gone before its snapshot is there; after the restart all are archived, or brought back, as they were.
    """
    mortal.start()
    runs = twelve_ended(kubectl, namespace)
    before = as_they_are(kubectl.list(namespace, "workflow"))
    assert set(before) == set(NAMES)

    with Sightings(kubectl, namespace, sign) as seen:
        set_state(kubectl, namespace, "--all", "Archived")
        seen.wait(NAMES[5], archived if sign == "prun" else lambda _: True)
        mortal.kill()
    left = as_they_are(kubectl.list(namespace, "workflow"))
    snapshots = as_they_are([unpacked(one) for one in kubectl.list(namespace, "workflowsnapshot")])
    assert before.items() <= {**snapshots, **left}.items(), "a Workflow has gone of which there is no snapshot"
    mortal.start()
    kubectl.wait_all(namespace, "prun", NAMES, archived)
    kubectl.wait_gone(namespace, "workflow", *NAMES)

    with Sightings(kubectl, namespace, "prun" if sign == "prun" else "workflow") as seen:
        set_state(kubectl, namespace, "--all", None)
        seen.wait(NAMES[5], available if sign == "prun" else lambda _: True)
        mortal.kill()
    mortal.start()
    assert nodes(kubectl.wait_all(namespace, "prun", NAMES, available)) == nodes(runs)
    assert as_they_are(kubectl.list(namespace, "workflow")) == before


def test_labels_set_while_the_operator_is_down_are_carried_out(kubectl: Kubectl, namespace: str, mortal: Operator):
    """Archived, brought back, and there and back again, all behind its back: at its start it catches up."""
    mortal.start()
    runs = twelve_ended(kubectl, namespace)
    before = as_they_are(kubectl.list(namespace, "workflow"))
    wavering, even, once_more, odd = NAMES[0], NAMES[2::2], NAMES[1], NAMES[3::2]
    set_state(kubectl, namespace, " ".join([once_more, *odd]), "Archived")
    kubectl.wait_all(namespace, "prun", [once_more, *odd], archived)
    mortal.kill()
    set_state(kubectl, namespace, " ".join([once_more, *odd]), None)
    set_state(kubectl, namespace, " ".join([wavering, once_more, *even]), "Archived")
    set_state(kubectl, namespace, wavering, "Available")
    mortal.start()
    kubectl.wait_all(namespace, "prun", even, archived)
    kubectl.wait_gone(namespace, "workflow", *even)
    kubectl.wait_all(namespace, "prun", odd, available)
    assert "storageState" not in kubectl.get(namespace, "prun", wavering)["status"]
    assert archived(kubectl.get(namespace, "prun", once_more))
    set_state(kubectl, namespace, "--all", None)
    assert nodes(kubectl.wait_all(namespace, "prun", NAMES, lambda run: not archived(run))) == nodes(runs)
    assert as_they_are(kubectl.list(namespace, "workflow")) == before


def test_periods_that_end_while_the_operator_is_down_are_carried_out(
    kubectl: Kubectl, namespace: str, mortal: Operator, apply: Apply
):
    """What is due is done at its start, counted from each run's end; what is not, is not."""
    retentions = {
        "deleted": {"deleteAfter": "30m"},
        "archived": {"archiveAfter": "30m"},
        "dropped": {"keepWorkflow": "30m"},
        "archived-deleted": {"archiveAfter": "0s", "deleteAfter": "30m"},
        "later": {"archiveAfter": "2h", "deleteAfter": "3h", "keepWorkflow": "2h"},
        "policys": {},
        "archived-policys": {"archiveAfter": "0s"},
    }
    mortal.start()
    create(
        kubectl,
        namespace,
        *(pipeline_run({"spec": instant()}, name, retention=kept) for name, kept in retentions.items()),
    )
    for name in retentions:
        wait_for_run(kubectl, namespace, name, archived if name.startswith("archived-") else finished)
    kubectl.wait_gone(namespace, "workflow", "archived-deleted", "archived-policys")
    mortal.kill()
    ended = (datetime.now(UTC) - timedelta(hours=1)).isoformat(timespec="seconds").replace("+00:00", "Z")
    for name in retentions:
        kubectl.patch_status(namespace, "prun", name, {"finishedAt": ended})
    apply(of_kind("RetentionPolicy", "default", spec={"deleteAfter": "40m"}))
    for name in ("archived", "dropped"):
        run = json.dumps({"spec": {"retention": {"deleteAfter": "30d"}}})
        kubectl("patch", "-n", namespace, "prun", name, "--type=merge", "-p", run)
    mortal.start()
    wait_for_run(kubectl, namespace, "archived", archived)
    kubectl.wait_gone(namespace, "workflow", "dropped")
    kubectl.wait_gone(namespace, "prun", "deleted", "archived-deleted", "policys", "archived-policys")
    assert {run["metadata"]["name"] for run in kubectl.list(namespace, "prun")} == {"archived", "dropped", "later"}
    assert kubectl.find(namespace, "workflow", "later") is not None
