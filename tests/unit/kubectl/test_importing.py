"""`runwright import`: what is created, and what is left as it is."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from runwright.kubectl.importing import CONCURRENT_IMPORTS, import_runs
from runwright.kubectl.portable import ImportFileError
from runwright.kubectl.session import Target
from tests.unit.fake.apiserver import ApiServer
from tests.unit.fake.client import FakeClient

Captured = pytest.CaptureFixture[str]
ENDED = {"phase": "Succeeded", "message": "all steps"}


def body(kind: str, name: str, **more: Any) -> dict[str, Any]:
    metadata = {"namespace": "team", "name": name, "uid": f"old-{name}", **more.pop("metadata", {})}
    return {"apiVersion": "runwright.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": {}, **more}


def snapshot(run: str) -> dict[str, Any]:
    owner = {"kind": "PipelineRun", "name": run, "uid": f"old-{run}", "controller": True}
    return body("WorkflowSnapshot", run, metadata={"ownerReferences": [owner]}, data="packed")


def file_of(*bodies: dict[str, Any]) -> io.StringIO:
    return io.StringIO("".join(json.dumps(one) + "\n" for one in bodies))


async def test_a_finished_run_gets_its_status_and_its_snapshot(server: ApiServer, connected: FakeClient):
    await import_runs(Target(), file_of(body("PipelineRun", "train", status=ENDED), snapshot("train")))
    run = server.objects["PipelineRun", "team", "train"]
    assert run["status"] == ENDED
    assert run["metadata"]["annotations"] == {"runwright.dev/imported-from": "old-train"}
    (owner,) = server.objects["WorkflowSnapshot", "team", "train"]["metadata"]["ownerReferences"]
    assert owner["uid"] == run["metadata"]["uid"]


async def test_a_second_import_changes_nothing(server: ApiServer, connected: FakeClient, capsys: Captured):
    bodies = (body("RetentionPolicy", "default"), body("PipelineRun", "train", status=ENDED), snapshot("train"))
    await import_runs(Target(), file_of(*bodies))
    version = server.version
    await import_runs(Target(), file_of(*bodies))
    assert server.version == version
    assert capsys.readouterr().err.splitlines()[-1] == (
        "1 RetentionPolicy that existed, 1 PipelineRun, 1 WorkflowSnapshot that existed"
    )


async def test_a_run_without_its_status_gets_it_when_the_import_is_repeated(server: ApiServer, connected: FakeClient):
    annotations = {"runwright.dev/imported-from": "old-train"}
    server.create("PipelineRun", body("PipelineRun", "train", metadata={"annotations": annotations}))
    await import_runs(Target(), file_of(body("PipelineRun", "train", status=ENDED)))
    assert server.objects["PipelineRun", "team", "train"]["status"] == ENDED


async def test_another_run_of_the_name_and_its_snapshot_are_left_alone(
    server: ApiServer, connected: FakeClient, capsys: Captured
):
    server.create("PipelineRun", body("PipelineRun", "train"))
    await import_runs(Target(), file_of(body("PipelineRun", "train", status=ENDED), snapshot("train")))
    assert "status" not in server.objects["PipelineRun", "team", "train"]
    assert ("WorkflowSnapshot", "team", "train") not in server.objects
    assert capsys.readouterr().err == "1 PipelineRun that existed, 1 WorkflowSnapshot that existed\n"


async def test_a_namespace_replaces_that_of_all_objects(server: ApiServer, connected: FakeClient):
    names = [f"run-{number}" for number in range(CONCURRENT_IMPORTS + 1)]
    await import_runs(Target(namespace="other"), file_of(*(body("PipelineRun", name) for name in names)))
    assert {namespace for _, namespace, _ in server.objects} == {"other"}
    assert len(server.objects) == len(names)


async def test_a_line_of_another_kind_is_an_error(connected: FakeClient):
    with pytest.raises(ImportFileError, match="line 1: expected an object"):
        await import_runs(Target(), file_of(body("Pod", "train")))
