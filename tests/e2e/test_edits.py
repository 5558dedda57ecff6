"""Which edits of a PipelineRun, and of its status, the API server takes.

Nothing here needs the operator, and nothing minds that it runs.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.conftest import Apply
from tests.e2e.manifests import of_spec
from tests.e2e.runs import ABSENT, FROM, SUSPENDED, Run, refused, source

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
}


def test_what_a_run_was_made_from_is_frozen_once_it_was_accepted(run: Run):
    run.create({**source(**SUSPENDED), "parameters": PARAMETERS}).accept()
    before = run.get()["spec"]
    assert before["workflow"]["spec"]["volumes"] is None, "or the edit of a null proves nothing"
    for edit, (fields, field) in FROZEN_EDITS.items():
        assert f"{field}: Forbidden: {FROZEN}" in refused(run.spec, **fields), edit
    assert run.get()["spec"] == before


def test_parameters_cannot_be_added_to_an_accepted_run_that_had_none(run: Run):
    run.create(source(**SUSPENDED)).accept()
    assert f"spec.parameters: Forbidden: {FROZEN}" in refused(run.spec, parameters=PARAMETERS)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"manifest": "a"}, {"manifest": "b"}),
        ({"templateRef": {"name": "a"}}, {"templateRef": {"clusterScope": True}}),
        ({"manifestFrom": FROM}, {"manifestFrom": {"digest": "sha256:" + "0" * 64}}),
    ],
    ids=["manifest", "templateRef", "manifestFrom"],
)
def test_every_source_is_frozen(run: Run, before: dict[str, Any], after: dict[str, Any]):
    run.create({"workflow": before}).accept()
    assert f"spec.workflow: Forbidden: {FROZEN}" in refused(run.spec, workflow=after)


def test_a_run_that_was_not_accepted_can_be_mended(run: Run):
    """A Stalled run has no Workflow: mending its spec is what it waits for."""
    run.create(ABSENT | {"parameters": PARAMETERS[:1]})
    run.spec(parameters=PARAMETERS, workflow={"templateRef": {"name": "another"}})
    assert run.spec(workflow={"templateRef": None, "manifest": "a"})["spec"]["workflow"] == {"manifest": "a"}


def test_what_stays_possible_on_an_accepted_run(run: Run):
    run.create({**source(**SUSPENDED), "parameters": PARAMETERS}, finalizers=["runwright.dev/test"]).accept()
    run.spec(parameters=PARAMETERS[::-1])
    run.spec(displayName="a", description="b", retention={"deleteAfter": "1h"}, references=[{"type": "JOB", "id": "a"}])
    run.patch({"metadata": {"labels": {"runwright.dev/storage-state": "Archived"}, "annotations": {"a": "b"}}})
    assert run.patch({"status": {"phase": "Running"}}, "--subresource=status")["status"]["phase"] == "Running"
    run.kubectl("delete", *run.where, "prun", run.name, "--wait=false")
    run.patch({"metadata": {"finalizers": None}})
    assert run.kubectl("get", *run.where, "prun", "--ignore-not-found", run.name) == ""


@pytest.mark.parametrize("how", [(), ("--server-side",)], ids=["client-side", "server-side"])
def test_applying_an_accepted_run_again_changes_nothing(run: Run, apply: Apply, how: tuple[str, ...]):
    """As Argo CD and every other GitOps tool does."""
    document = of_spec({**source(**SUSPENDED), "parameters": PARAMETERS})
    apply(document, *how)
    before = run.accept().get()["metadata"]
    apply(document, *how)
    assert run.get()["metadata"]["generation"] == before["generation"]


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
def test_the_rules_are_within_the_budget_for_the_largest_runs(run: Run, apply: Apply, spec: dict[str, Any]):
    """A rule that costs too much at run time would refuse every later edit, the operator's too."""
    apply(of_spec(spec), "--server-side")
    run.accept().patch({"metadata": {"labels": {"a": "b"}}})
    assert run.patch({"status": {"message": "seen"}}, "--subresource=status")["status"]["message"] == "seen"
    assert FROZEN in refused(
        run.spec, workflow={"templateRef": {"name": "a"}, "manifest": None, "spec": None}, parameters=None
    )


def test_a_namespace_that_is_being_deleted_takes_no_run(run: Run):
    """A run with a finalizer holds the namespace in that state."""
    run.create(ABSENT, finalizers=["runwright.dev/test"])
    namespace = run.where[1]
    run.kubectl("delete", "namespace", namespace, "--wait=false")
    late = Run(run.kubectl, namespace, "late")
    assert f"unable to create new content in namespace {namespace} because it is being terminated" in refused(
        late.create, ABSENT
    )
    run.patch({"metadata": {"finalizers": None}})


def test_retries_only_grows(run: Run):
    run.create(ABSENT | {"retries": 1})
    assert run.spec(retries=2)["spec"]["retries"] == 2
    message = "spec.retries: Forbidden: only grows: to retry a failed run, set it to status.retries + 1"
    assert message in refused(run.spec, retries=1)
    assert message in refused(run.spec, retries=None)


def test_a_shutdown_is_not_taken_back(run: Run):
    message = "spec.shutdown: Forbidden: cannot be taken back, nor changed from Terminate to Stop: keep it, or raise spec.retries"
    run.create(ABSENT | {"shutdown": "Terminate"})
    assert message in refused(run.spec, shutdown="Stop")
    assert message in refused(run.spec, shutdown=None)
    assert run.spec(shutdown="Stop", retries=1)["spec"]["shutdown"] == "Stop"
    assert message in refused(run.spec, shutdown=None)
    assert "shutdown" not in run.spec(shutdown=None, retries=2)["spec"]


def test_a_run_that_has_ended_takes_no_shutdown(run: Run):
    message = "spec.shutdown: Forbidden: cannot be set on a run that has ended: there is nothing left to shut down"
    run.create(ABSENT)
    run.patch({"status": {"phase": "Succeeded"}}, "--subresource=status")
    for how in ("Stop", "Terminate"):
        assert message in refused(run.spec, shutdown=how)
    assert run.spec(shutdown="Stop", retries=1)["spec"]["shutdown"] == "Stop"
    assert message in refused(run.spec, shutdown="Terminate")
    run.patch({"metadata": {"labels": {"a": "b"}}})


# ---------------------------------------------------------------------------------------------------------- the status
def test_only_the_status_subresource_changes_the_status(run: Run, apply: Apply):
    """Each edit is judged by the object that it returned: an operator may write in between."""
    created = json.loads(apply(of_spec(ABSENT) | {"status": {"phase": "Skipped", "message": "by hand"}}, "-o", "json"))
    assert "status" not in created
    edited = run.patch({"spec": {"displayName": "a"}, "status": {"message": "by hand"}})
    assert edited["spec"]["displayName"] == "a" and edited.get("status", {}).get("message") != "by hand"


def test_the_status_subresource_changes_nothing_else(run: Run):
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
        {"metrics": [{"nodeID": "a", "name": "m", "value": 1}, {"nodeID": "a", "name": "m", "value": 2}]},
        "status.metrics[1]: Duplicate value",
    ),
}


@pytest.mark.parametrize("status, message", BAD_STATUS.values(), ids=BAD_STATUS.keys())
def test_a_bad_status_is_refused(run: Run, status: dict[str, Any], message: str):
    run.create(ABSENT)
    assert message in refused(run.patch, {"status": status}, "--subresource=status")
