"""Which edits of a PipelineRun, and of its status, the API server takes.

Nothing here needs the operator, and nothing minds that it runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Protocol

import pytest

from tests.e2e.conftest import Apply
from tests.e2e.manifests import of_spec
from tests.e2e.runs import ABSENT, FROM, HELD, SUSPENDED, Run, refused, source

FROZEN = "cannot change once the run's Workflow was created: apply a PipelineRun of another name instead"
PARAMETERS = [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}]

FROZEN_EDITS: dict[str, tuple[dict[str, Any], str]] = {
    "a key of the inline spec changed": (source(parallelism=2), "spec.workflow"),
    "a key added": (source(priority=1), "spec.workflow"),
    "a key removed": (source(parallelism=None), "spec.workflow"),
    "a key exchanged for another": (source(parallelism=None, priority=1), "spec.workflow"),
    "an image deep inside changed": (
        source(templates=[{"name": "main", "container": {"image": "alpine", "command": ["true"]}}]),
        "spec.workflow",
    ),
    "a null filled in": (source(volumes=[]), "spec.workflow"),
    "another source": ({"workflow": {"spec": None, "manifest": "a"}}, "spec.workflow"),
    "a parameter's value": ({"parameters": [PARAMETERS[0], {"name": "b", "value": "3"}]}, "spec.parameters"),
    "a parameter more": ({"parameters": [*PARAMETERS, {"name": "c", "value": "3"}]}, "spec.parameters"),
    "a parameter less": ({"parameters": PARAMETERS[:1]}, "spec.parameters"),
    "no parameters": ({"parameters": None}, "spec.parameters"),
    "another service account": ({"serviceAccountName": "somebody"}, "spec.serviceAccountName"),
    "no service account": ({"serviceAccountName": None}, "spec.serviceAccountName"),
}


class Held(Protocol):
    """A run with this spec and this status, which no operator touches."""

    def __call__(self, spec: dict[str, Any] = ABSENT, **status: Any) -> Run: ...


@pytest.fixture
def released(run: Run) -> Iterator[None]:
    """Lets the run go, at the end of a test that holds it."""
    yield
    run.release()


@pytest.fixture
def held(run: Run, released: None) -> Held:
    def made(spec: dict[str, Any] = ABSENT, **status: Any) -> Run:
        run.create(spec, finalizers=[HELD]).hold().status(**{"phase": None, "retries": None, **status})
        return run

    return made


AT_ANY_TIME: dict[str, Any] = {
    "displayName": "a",
    "description": "b",
    "retention": {"deleteAfter": "1000d"},
    "references": [{"type": "JOB", "id": "a"}],
    "pipeline": {"id": "a", "name": "b"},
}


def test_the_source_of_an_accepted_run_cannot_change(run: Run):
    run.create({**source(**SUSPENDED), "parameters": PARAMETERS, "serviceAccountName": "robot"}).accept()
    before = run.get()["spec"]
    assert before["workflow"]["spec"]["volumes"] is None, "or the edit of a null proves nothing"
    for edit, (fields, field) in FROZEN_EDITS.items():
        assert f"{field}: Forbidden: {FROZEN}" in refused(run.spec, **fields), edit
    assert run.get()["spec"] == before


@pytest.mark.parametrize(
    "fields", [{"parameters": PARAMETERS}, {"serviceAccountName": "robot"}], ids=lambda f: next(iter(f))
)
def test_fields_cannot_be_added_to_an_accepted_run(run: Run, fields: dict[str, Any]):
    run.create(source(**SUSPENDED)).accept()
    assert f"spec.{next(iter(fields))}: Forbidden: {FROZEN}" in refused(run.spec, **fields)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"manifest": "a"}, {"manifest": "b"}),
        ({"templateRef": {"name": "a"}}, {"templateRef": {"clusterScope": True}}),
        ({"manifestFrom": FROM}, {"manifestFrom": {"digest": "sha256:" + "0" * 64}}),
    ],
    ids=["manifest", "templateRef", "manifestFrom"],
)
def test_every_kind_of_source_is_immutable_once_accepted(run: Run, before: dict[str, Any], after: dict[str, Any]):
    run.create({"workflow": before}).accept()
    assert f"spec.workflow: Forbidden: {FROZEN}" in refused(run.spec, workflow=after)


def test_a_stalled_run_can_be_corrected(run: Run):
    """A Stalled run has no Workflow: mending its spec is what it waits for."""
    run.create(ABSENT | {"parameters": PARAMETERS[:1], "serviceAccountName": "absent"})
    run.spec(parameters=PARAMETERS, serviceAccountName="robot", workflow={"templateRef": {"name": "another"}})
    assert run.spec(workflow={"templateRef": None, "manifest": "a"})["spec"]["workflow"] == {"manifest": "a"}


def test_other_fields_of_an_accepted_run_can_change(run: Run):
    run.create({**source(**SUSPENDED), "parameters": PARAMETERS}, finalizers=[HELD]).accept()
    run.spec(parameters=PARAMETERS[::-1])
    run.spec(**AT_ANY_TIME)
    run.patch({"metadata": {"labels": {"runwright.dev/storage-state": "Archived"}, "annotations": {"a": "b"}}})
    assert run.patch({"status": {"phase": "Running"}}, "--subresource=status")["status"]["phase"] == "Running"
    run.kubectl("delete", *run.where, "prun", run.name, "--wait=false")
    run.patch({"metadata": {"finalizers": None}})
    assert run.kubectl("get", *run.where, "prun", "--ignore-not-found", run.name) == ""


STATES: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "pending": [],
    "running": [("status", {"phase": "Running"})],
    "terminating": [("status", {"phase": "Running"}), ("spec", {"shutdown": "Terminate"})],
    "succeeded": [("status", {"phase": "Succeeded"})],
    "failed": [("status", {"phase": "Failed"})],
    "retried": [
        ("status", {"phase": "Failed"}),
        ("spec", {"retries": 1}),
        ("status", {"phase": "Running", "retries": 1}),
    ],
    "terminated and retried": [
        ("spec", {"shutdown": "Terminate"}),
        ("status", {"phase": "Failed"}),
        ("spec", {"retries": 1, "shutdown": None}),
    ],
    "archived": [
        ("status", {"phase": "Failed"}),
        ("metadata", {"labels": {"runwright.dev/storage-state": "Archived"}}),
        ("status", {"storageState": "Archived", "nodes": None}),
    ],
    "archived and to be deleted": [
        ("status", {"phase": "Succeeded", "storageState": "Archived"}),
        ("metadata", {"labels": {"runwright.dev/storage-state": "Archived", "runwright.dev/delete-on": "2999-01-01"}}),
    ],
}


@pytest.mark.parametrize("how", [(), ("--server-side",)], ids=["client-side", "server-side"])
@pytest.mark.parametrize("edits", STATES.values(), ids=STATES.keys())
def test_applying_a_run_again_changes_nothing_in_any_phase(
    run: Run, apply: Apply, edits: list[tuple[str, dict[str, Any]]], how: tuple[str, ...], released: None
):
    """As Argo CD and every other GitOps tool does, with a manifest that leaves what others have set to them."""
    spec = {**source(**SUSPENDED), "parameters": PARAMETERS, "serviceAccountName": "robot", **AT_ANY_TIME}
    document = of_spec(spec, labels={"team": "a"}, finalizers=[HELD])
    apply(document, *how)
    run.hold().status(phase="Pending", retries=None, workflow={"name": "run", "uid": "8a0c"})
    for part, fields in edits:
        run.status(**fields) if part == "status" else run.patch({part: fields})
    before = run.get()
    apply(document, *how)
    after = run.get()
    assert after["spec"] == before["spec"]
    assert {**after["metadata"]["labels"], **before["metadata"]["labels"]} == after["metadata"]["labels"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"]


@pytest.mark.parametrize("how", [(), ("--server-side",)], ids=["client-side", "server-side"])
def test_a_manifest_terminates_and_retries_and_can_be_applied_again(
    run: Run, apply: Apply, how: tuple[str, ...], released: None
):
    steps: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({}, {"phase": "Running", "retries": 0, "workflow": {"name": "run", "uid": "8a0c"}}),
        ({"shutdown": "Terminate"}, {"phase": "Failed"}),
        ({"retries": 1}, {"phase": "Running", "retries": 1}),
        ({"retries": 1}, {"phase": "Failed"}),
        ({"retries": 2}, {"phase": "Succeeded", "retries": 2}),
        ({"retries": 2}, {"storageState": "Archived"}),
    ]
    for number, (fields, status) in enumerate(steps):
        document = of_spec(ABSENT | fields, finalizers=[HELD])
        apply(document, *how)
        if not number:
            run.hold()
        run.status(**status)
        before = run.get()
        apply(document, *how)
        after = run.get()
        assert after["spec"] == before["spec"] and after["metadata"]["generation"] == before["metadata"]["generation"]
    assert after["spec"]["retries"] == 2 and "shutdown" not in after["spec"]


@pytest.mark.parametrize(
    "spec",
    [
        {"workflow": {"manifest": "é" * 600_000}},
        {
            "workflow": {
                "spec": {"arguments": {"parameters": [{"name": f"p{i}", "value": "x" * 1000} for i in range(800)]}}
            }
        },
        ABSENT | {"parameters": [{"name": f"p{i}", "value": "x" * 1500} for i in range(512)]},
    ],
    ids=["manifest", "spec", "parameters"],
)
def test_validation_rules_of_the_largest_run_are_within_budget(run: Run, apply: Apply, spec: dict[str, Any]):
    """A rule that costs too much at run time would refuse every later edit, the operator's too."""
    apply(of_spec(spec), "--server-side")
    run.accept().patch({"metadata": {"labels": {"a": "b"}}})
    assert run.patch({"status": {"message": "seen"}}, "--subresource=status")["status"]["message"] == "seen"
    assert FROZEN in refused(
        run.spec, workflow={"templateRef": {"name": "a"}, "manifest": None, "spec": None}, parameters=None
    )


def test_a_terminating_namespace_refuses_runs(run: Run):
    """A run with a finalizer holds the namespace in that state."""
    run.create(ABSENT, finalizers=[HELD])
    namespace = run.where[1]
    run.kubectl("delete", "namespace", namespace, "--wait=false")
    late = Run(run.kubectl, namespace, "late")
    assert f"unable to create new content in namespace {namespace} because it is being terminated" in refused(
        late.create, ABSENT
    )
    run.patch({"metadata": {"finalizers": None}})


# -------------------------------------------------------------------------------------------- what retries and terminates
ONLY_GROWS = "spec.retries: Forbidden: only grows: to retry a failed run, set it to status.retries + 1"
NOT_NOW = (
    "spec.retries: Forbidden: cannot be raised now: only a run whose status.phase is Failed or Error can be retried"
)
TOO_FAR = "spec.retries: Forbidden: cannot be raised so far: set it to status.retries + 1"
WITH_SHUTDOWN = "spec.shutdown: Forbidden: remove spec.shutdown in the same edit"
NOT_TAKEN_BACK = (
    "spec.shutdown: Forbidden: cannot be removed, nor changed from Terminate to Stop: keep it, or raise spec.retries"
)
ENDED = "spec.shutdown: Forbidden: cannot be set on a run that has ended: there is nothing left to shut down"


def test_retries_cannot_decrease(held: Held):
    run = held(ABSENT | {"retries": 2}, phase="Failed", retries=2)
    for fewer in (1, 0, None):
        assert ONLY_GROWS in refused(run.spec, retries=fewer)
    assert run.spec(retries=2)["spec"]["retries"] == 2


@pytest.mark.parametrize("phase", [None, "Pending", "Running", "Succeeded", "Skipped"])
def test_a_retry_of_an_unfailed_run_is_refused(held: Held, phase: str | None):
    run = held(phase=phase)
    for many in (1, 2):
        said = refused(run.spec, retries=many)
        assert NOT_NOW in said and TOO_FAR not in said


@pytest.mark.parametrize("phase", ["Failed", "Error"])
def test_retries_of_a_failed_run_are_accepted_one_at_a_time(held: Held, phase: str):
    """One more than what was carried out, however often it is asked for until that is done."""
    run = held(phase=phase)
    for many in (2, 3, 1000):
        said = refused(run.spec, retries=many)
        assert TOO_FAR in said and NOT_NOW not in said
    for _ in range(2):
        assert run.spec(retries=1)["spec"]["retries"] == 1
    assert TOO_FAR in refused(run.spec, retries=2)

    run.status(phase="Running", retries=1)
    assert NOT_NOW in refused(run.spec, retries=2)
    run.status(phase=phase)
    assert TOO_FAR in refused(run.spec, retries=3)
    assert run.spec(retries=2)["spec"]["retries"] == 2


def test_a_run_created_with_retries_counts_from_there(held: Held):
    run = held(ABSENT | {"retries": 3}, phase="Error", retries=3)
    assert TOO_FAR in refused(run.spec, retries=5)
    assert run.spec(retries=4)["spec"]["retries"] == 4


def test_a_shutdown_cannot_be_removed(held: Held):
    run = held(ABSENT | {"shutdown": "Terminate"}, phase="Running")
    for phase in ("Running", "Failed", "Succeeded"):
        run.status(phase=phase)
        for other in ("Stop", None):
            assert NOT_TAKEN_BACK in refused(run.spec, shutdown=other)
    assert NOT_NOW in refused(run.spec, shutdown=None, retries=1)


def test_stop_can_become_terminate_until_the_run_ends(held: Held):
    run = held(ABSENT | {"shutdown": "Stop"}, phase="Failed")
    assert ENDED in refused(run.spec, shutdown="Terminate")
    run.status(phase="Running")
    assert run.spec(shutdown="Terminate")["spec"]["shutdown"] == "Terminate"


def test_a_retry_after_a_shutdown_removes_it_in_one_edit(held: Held):
    run = held(ABSENT | {"shutdown": "Terminate"}, phase="Failed", retries=0)
    assert WITH_SHUTDOWN in refused(run.spec, retries=1)
    for how in ("Stop", "Terminate"):
        assert WITH_SHUTDOWN in refused(run.spec, retries=1, shutdown=how)
    assert "shutdown" not in run.spec(retries=1, shutdown=None)["spec"]
    run.status(phase="Running", retries=1)
    assert run.spec(shutdown="Terminate")["spec"]["shutdown"] == "Terminate", "and the retry can be ended early too"


@pytest.mark.parametrize("phase", ["Succeeded", "Skipped", "Failed", "Error"])
def test_a_finished_run_refuses_a_shutdown(held: Held, phase: str):
    run = held(phase=phase)
    for how in ("Stop", "Terminate"):
        said = refused(run.spec, shutdown=how)
        assert ENDED in said and WITH_SHUTDOWN not in said
    run.patch({"metadata": {"labels": {"a": "b"}}})


def test_a_retry_with_a_shutdown_is_refused(held: Held):
    said = refused(held(phase="Failed").spec, retries=1, shutdown="Stop")
    assert WITH_SHUTDOWN in said and ENDED not in said


# ---------------------------------------------------------------------------------------------------------- the status
def test_an_edit_of_the_run_cannot_change_its_status(run: Run, apply: Apply):
    """Each edit is judged by the object that it returned: an operator may write in between."""
    created = json.loads(apply(of_spec(ABSENT) | {"status": {"phase": "Skipped", "message": "by hand"}}, "-o", "json"))
    assert "status" not in created
    edited = run.patch({"spec": {"displayName": "a"}, "status": {"message": "by hand"}})
    assert edited["spec"]["displayName"] == "a" and edited.get("status", {}).get("message") != "by hand"


def test_an_edit_of_the_status_cannot_change_the_spec(run: Run):
    run.create(ABSENT)
    before = run.get()["metadata"]
    edited = run.patch(
        {"status": {"phase": "Skipped"}, "spec": {"retries": 5}, "metadata": {"labels": {"a": "b"}}},
        "--subresource=status",
    )
    assert edited["status"]["phase"] == "Skipped" and edited["spec"]["retries"] == 0
    assert edited["metadata"]["generation"] == before["generation"] and "labels" not in edited["metadata"]


BAD_STATUS: dict[str, tuple[dict[str, Any], str]] = {
    "phase": ({"phase": "Done"}, 'status.phase: Unsupported value: "Done": supported values: "Pending", "Running"'),
    "condition": (
        {"conditions": [{"type": "Succeeded", "status": "Yes"}]},
        'status.conditions[0].status: Unsupported value: "Yes"',
    ),
    "time": (
        {"startedAt": "today"},
        'status.startedAt: Invalid value: "today": startedAt in body must be of type date-time',
    ),
    "metric": (
        {"metrics": [{"name": "m", "value": 1}]},
        "status.metrics[0].nodeID: Required value",
    ),
}


@pytest.mark.parametrize("status, message", BAD_STATUS.values(), ids=BAD_STATUS.keys())
def test_a_bad_status_is_refused(run: Run, status: dict[str, Any], message: str):
    run.create(ABSENT)
    assert message in refused(run.patch, {"status": status}, "--subresource=status")
