"""RPCs on one run: rights, edits, and replies."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from runwright.api.resources import PIPELINE_RUNS, WORKFLOWS
from runwright.kube import edit
from runwright.kube.errors import ApiError
from runwright.service import tenancy
from runwright.service.contract.run_pb2 import (
    ArchiveRunRequest,
    DeleteRunRequest,
    GetRunRequest,
    ListRunsRequest,
    ReadArtifactRequest,
    ReportRunMetricsRequest,
    RetryRunRequest,
    Run,
    TerminateRunRequest,
    UnarchiveRunRequest,
)
from runwright.service.errors import Code
from runwright.service.runs import EDIT_ATTEMPTS
from tests.unit.service.bench import MANIFEST_TEXT, Bench
from tests.unit.service.requests import (
    create_request,
    create_run,
)

RPCS: dict[str, Any] = {
    "GetRun": GetRunRequest,
    "ArchiveRun": ArchiveRunRequest,
    "UnarchiveRun": UnarchiveRunRequest,
    "DeleteRun": DeleteRunRequest,
    "TerminateRun": TerminateRunRequest,
    "RetryRun": RetryRunRequest,
    "ReadArtifact": ReadArtifactRequest,
    "ReportRunMetrics": ReportRunMetricsRequest,
}


@pytest.fixture(autouse=True)
def short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tenancy, "WAIT_SECONDS", 0.02)


async def test_an_unknown_id_is_not_found_and_unavailable_before_the_sync():
    it = Bench()
    for method, request_ in (
        ("GetRun", GetRunRequest(run_id="x")),
        ("ArchiveRun", ArchiveRunRequest(id="x")),
        ("UnarchiveRun", UnarchiveRunRequest(id="x")),
        ("DeleteRun", DeleteRunRequest(id="x")),
        ("TerminateRun", TerminateRunRequest(run_id="x")),
        ("RetryRun", RetryRunRequest(run_id="x")),
        ("ReadArtifact", ReadArtifactRequest(run_id="x", node_id="n", artifact_name="a")),
        ("ReportRunMetrics", ReportRunMetricsRequest(run_id="x")),
    ):
        assert (await it.refused(f"RunService/{method}", request_)).code == Code.NOT_FOUND, method
    it.index.synced = False
    assert (await it.refused("RunService/GetRun", GetRunRequest(run_id="x"))).code == Code.UNAVAILABLE
    assert (await it.refused("RunService/ListRuns", ListRunsRequest())).code == Code.UNAVAILABLE


async def test_archive_and_unarchive_write_the_label_once():
    it = Bench()
    id = await create_run(it)
    before = len(it.writes)
    for _ in range(2):
        await it.call("RunService/ArchiveRun", ArchiveRunRequest(id=id))
        assert it.run()["metadata"]["labels"]["runwright.dev/storage-state"] == "Archived"
        listed = await it.call("RunService/ListRuns", ListRunsRequest())
        assert listed.runs[0].storage_state == Run.STORAGESTATE_ARCHIVED
    for _ in range(2):
        await it.call("RunService/UnarchiveRun", UnarchiveRunRequest(id=id))
        assert "runwright.dev/storage-state" not in it.run()["metadata"]["labels"]
    assert len(it.writes) == before + 2


async def test_terminate_has_no_effect_on_a_run_that_was_terminated():
    it = Bench()
    id = await create_run(it)
    for _ in range(2):
        await it.call("RunService/TerminateRun", TerminateRunRequest(run_id=id))
    assert it.run()["spec"]["shutdown"] == "Stop"
    assert it.writes.count("patch pipelineruns") == 1
    detail = await it.call("RunService/GetRun", GetRunRequest(run_id=id))
    assert detail.run.status == "Terminating"
    it.set_status(phase="Failed")
    await it.call("RunService/TerminateRun", TerminateRunRequest(run_id=id))
    assert it.writes.count("patch pipelineruns") == 1, "that termination ended it"


async def test_terminate_of_a_run_that_ended_by_itself_is_refused():
    it = Bench()
    id = await create_run(it)
    it.set_status(phase="Failed")
    error = await it.refused("RunService/TerminateRun", TerminateRunRequest(run_id=id))
    assert error.code == Code.INVALID_ARGUMENT and "it has ended as Failed" in error.message


async def test_a_retry_takes_the_run_out_of_the_archive_in_the_same_edit():
    """The operator ignores archived runs: the retry would wait for ever."""
    it = Bench()
    id = await create_run(it)
    it.set_status(phase="Failed")
    await it.call("RunService/ArchiveRun", ArchiveRunRequest(id=id))
    before = len(it.writes)
    await it.call("RunService/RetryRun", RetryRunRequest(run_id=id))
    assert it.run()["spec"]["retries"] == 1 and "runwright.dev/storage-state" not in it.run()["metadata"]["labels"]
    assert len(it.writes) == before + 1


async def test_retries_at_the_same_time_are_one_retry():
    it = Bench()
    id = await create_run(it)
    await it.call("RunService/TerminateRun", TerminateRunRequest(run_id=id))
    error = await it.refused("RunService/RetryRun", RetryRunRequest(run_id=id))
    assert error.code == Code.ABORTED and "must be Failed/Error" in error.message
    it.set_status(phase="Failed", retries=2)
    before = len(it.writes)
    await asyncio.gather(*(it.call("RunService/RetryRun", RetryRunRequest(run_id=id)) for _ in range(5)))
    assert it.run()["spec"]["retries"] == 3 and "shutdown" not in it.run()["spec"]
    assert it.run()["metadata"]["resourceVersion"] == str(it.server.version)
    assert 1 <= len(it.writes) - before <= 5


async def test_a_deleted_run_is_not_in_the_next_list():
    it = Bench()
    id = await create_run(it)
    await it.call("RunService/DeleteRun", DeleteRunRequest(id=id))
    assert not it.all(PIPELINE_RUNS)
    assert (await it.call("RunService/ListRuns", ListRunsRequest())).total_size == 0
    assert (await it.refused("RunService/DeleteRun", DeleteRunRequest(id=id))).code == Code.NOT_FOUND


async def test_a_new_run_with_the_same_name_is_not_found_by_the_old_id():
    it = Bench()
    id = await create_run(it)
    body = it.run()
    it.put(PIPELINE_RUNS, {**body, "metadata": {**body["metadata"], "uid": "another"}})
    for method, request_ in (
        ("GetRun", GetRunRequest(run_id=id)),
        ("DeleteRun", DeleteRunRequest(id=id)),
    ):
        assert (await it.refused(f"RunService/{method}", request_)).code == Code.NOT_FOUND


@pytest.mark.parametrize(
    ("method", "request_", "verb", "subresource"),
    [
        ("GetRun", GetRunRequest, "get", ""),
        ("ArchiveRun", ArchiveRunRequest, "patch", ""),
        ("UnarchiveRun", UnarchiveRunRequest, "patch", ""),
        ("DeleteRun", DeleteRunRequest, "delete", ""),
        ("TerminateRun", TerminateRunRequest, "patch", ""),
        ("RetryRun", RetryRunRequest, "patch", ""),
        ("ReadArtifact", ReadArtifactRequest, "get", "artifacts"),
        ("ReportRunMetrics", ReportRunMetricsRequest, "patch", "metrics"),
    ],
)
async def test_each_method_requires_its_right_before_it_acts(method: str, request_: Any, verb: str, subresource: str):
    it = Bench()
    id = await create_run(it)
    it.rights.asked.clear()
    it.rights.refuse = {(verb, "team")}
    field = "id" if "id" in request_.DESCRIPTOR.fields_by_name else "run_id"
    before = json.dumps(it.run())
    visible = verb != "get"
    expected = Code.PERMISSION_DENIED if visible else Code.NOT_FOUND
    assert (await it.refused(f"RunService/{method}", request_(**{field: id}))).code == expected
    user, access = it.rights.asked[0]
    assert (user, access.verb, access.subresource, access.name) == (
        "ann",
        verb,
        subresource,
        it.run()["metadata"]["name"],
    )
    assert json.dumps(it.run()) == before


async def test_a_run_that_the_caller_may_not_get_is_answered_as_an_unknown_one():
    it = Bench()
    id = await create_run(it)
    it.rights.refuse = {(verb, "team") for verb in ("get", "patch", "delete")}
    loop = asyncio.get_running_loop()
    for method, request_ in RPCS.items():
        field = "id" if "id" in request_.DESCRIPTOR.fields_by_name else "run_id"
        seen: list[tuple[Code, str, bool]] = []
        for one in (id, "x" * len(id)):
            began = loop.time()
            error = await it.refused(f"RunService/{method}", request_(**{field: one}))
            seen.append((error.code, error.message.replace(one, "ID"), loop.time() - began >= tenancy.WAIT_SECONDS))
        assert seen == [(Code.NOT_FOUND, "Run ID not found.", True)] * 2, method
    it.index.synced = False
    for one in (id, "x"):
        assert (await it.refused("RunService/GetRun", GetRunRequest(run_id=one))).code == Code.UNAVAILABLE


async def test_get_run_returns_the_workflow_of_the_run_only():
    it = Bench()
    id = await create_run(it)
    detail = await it.call("RunService/GetRun", GetRunRequest(run_id=id))
    assert detail.run.pipeline_spec.workflow_manifest == MANIFEST_TEXT and not detail.pipeline_runtime.workflow_manifest
    name = it.run()["metadata"]["name"]
    owner = {"kind": "PipelineRun", "controller": True, "uid": id, "name": name}
    workflow = {
        "metadata": {"namespace": "team", "name": name, "ownerReferences": [owner]},
        "spec": {"serviceAccountName": "runner"},
        "status": {"nodes": {"n": {"id": "n"}}},
    }
    it.put(WORKFLOWS, workflow)
    detail = await it.call("RunService/GetRun", GetRunRequest(run_id=id))
    assert json.loads(detail.pipeline_runtime.workflow_manifest)["status"]["nodes"] == {"n": {"id": "n"}}
    assert detail.run.service_account == "runner"
    for node, artifact in (("none", "a"), ("n", "none")):
        request_ = ReadArtifactRequest(run_id=id, node_id=node, artifact_name=artifact)
        assert (await it.refused("RunService/ReadArtifact", request_)).code == Code.NOT_FOUND
    workflow["metadata"]["ownerReferences"] = [owner | {"uid": "another"}]
    it.put(WORKFLOWS, workflow)
    detail = await it.call("RunService/GetRun", GetRunRequest(run_id=id))
    assert not detail.pipeline_runtime.workflow_manifest


async def test_an_edit_with_conflicts_without_end_is_aborted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(edit, "PAUSE_SECONDS", 0.0)
    it = Bench()
    id = await create_run(it)
    it.client.fail("patch pipelineruns", *[ApiError(409, "Conflict", "")] * 100)
    error = await it.refused("RunService/ArchiveRun", ArchiveRunRequest(id=id))
    assert error.code == Code.ABORTED and it.writes.count("patch pipelineruns") == EDIT_ATTEMPTS


async def test_a_template_of_a_cluster_without_argo_is_not_found():
    it = Bench()
    it.server.argo_installed = False
    error = await it.refused("RunService/CreateRun", create_request(manifest="", spec={"pipeline_id": "nightly"}))
    assert error.code == Code.NOT_FOUND
