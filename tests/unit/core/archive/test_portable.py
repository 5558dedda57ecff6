"""Export and import of runs and snapshots; an imported run waits for its status."""

from __future__ import annotations

from dataclasses import replace

from runwright.api.pipelinerun import PipelineRunStatus
from runwright.api.states import Phase, Shutdown
from runwright.core.archive.portable import (
    controller_uid,
    exported_uid,
    prepare_imported_run,
    prepare_imported_snapshot,
    strip_for_export,
    strip_for_import,
)
from runwright.core.decision import NOTHING
from runwright.core.reconcile import reconcile
from runwright.core.records import Absent, NotSeen
from runwright.core.run_record import run_record
from tests.unit.controller.records import NOW, run, workflow

RUN = {
    "apiVersion": "runwright.dev/v1alpha1",
    "kind": "PipelineRun",
    "metadata": {
        "name": "a",
        "namespace": "team",
        "uid": "old",
        "resourceVersion": "7",
        "generation": 3,
        "creationTimestamp": "2026-11-26T12:00:00Z",
        "managedFields": [{"manager": "x"}],
        "labels": {"team": "x"},
        "annotations": {"note": "y"},
    },
    "spec": {"workflow": {"spec": {}}},
    "status": {"phase": "Succeeded"},
}


def test_an_export_lacks_managed_fields_only():
    assert strip_for_export(RUN) == {
        **RUN,
        "metadata": {k: v for k, v in RUN["metadata"].items() if k != "managedFields"},
    }


def test_an_imported_object_has_no_field_of_its_old_cluster():
    made = prepare_imported_run(RUN)
    assert made["metadata"] == {
        "name": "a",
        "namespace": "team",
        "labels": {"team": "x"},
        "annotations": {"note": "y", "runwright.dev/imported-from": "old"},
    }
    assert "status" not in made
    assert exported_uid(made) == "old"


def test_a_run_without_a_phase_is_imported_as_a_new_run():
    assert exported_uid(prepare_imported_run({**RUN, "status": {}})) == ""


def test_an_imported_snapshot_is_owned_by_the_imported_run():
    owner = {"kind": "PipelineRun", "controller": True, "uid": "old", "name": "a"}
    snapshot = {
        "kind": "WorkflowSnapshot",
        "metadata": {"name": "a", "uid": "s", "ownerReferences": [owner]},
        "data": "x",
    }
    assert controller_uid(snapshot) == "old"
    made = prepare_imported_snapshot(snapshot, {**RUN, "metadata": {**RUN["metadata"], "uid": "new"}})
    assert controller_uid(made) == "new"
    assert made["data"] == "x"
    assert controller_uid(strip_for_import(snapshot)) == ""


def test_an_imported_run_waits_for_its_status_whatever_is_seen():
    waiting = run_record(prepare_imported_run(RUN))
    assert waiting.imported
    for seen in (NotSeen(), Absent(), workflow()):
        for one in (waiting, replace(waiting, archived=True), replace(waiting, shutdown=Shutdown.STOP, retries=1)):
            assert reconcile(one, seen, NOW) == NOTHING
    known = replace(run(), imported=True, status=PipelineRunStatus(phase=Phase.RUNNING))
    assert reconcile(known, NotSeen(), NOW) != NOTHING
