"""The in-memory API server behaves as Kubernetes documents; tests/e2e check the same on a real one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from runwright.kube.errors import ApiError
from tests.unit.fake.apiserver import ApiServer

LABEL = "runwright.dev/run"
OWNER = {"kind": "PipelineRun", "name": "a", "controller": True}


@pytest.fixture
def server() -> ApiServer:
    return ApiServer(lambda: datetime(2026, 11, 24, 12, tzinfo=UTC))


def create(server: ApiServer, kind: str = "PipelineRun", name: str = "a", **metadata: Any) -> Any:
    body = {"metadata": {"namespace": "team", "name": name, **metadata}, "spec": {"workflow": {"spec": {}}}}
    return server.create(kind, body)


def refused(code: int, reason: str, call: Any, *arguments: Any, **more: Any) -> ApiError:
    with pytest.raises(ApiError) as error:
        call(*arguments, **more)
    assert (error.value.code, error.value.reason) == (code, reason)
    return error.value


def test_versions_increase_across_kinds_and_uids_differ(server: ApiServer) -> None:
    first, second = create(server), create(server, "Workflow")
    assert int(second["metadata"]["resourceVersion"]) > int(first["metadata"]["resourceVersion"])
    assert first["metadata"]["uid"] != second["metadata"]["uid"]
    assert first["metadata"]["creationTimestamp"] == "2026-11-24T12:00:00Z"


def test_create_of_an_existing_name_is_a_conflict(server: ApiServer) -> None:
    create(server)
    refused(409, "AlreadyExists", create, server)
    server.delete("PipelineRun", "team", "a")
    assert create(server)["metadata"]["uid"] == "uid-2"


def test_generation_increases_with_spec_changes_only(server: ApiServer) -> None:
    create(server)
    assert server.replace("PipelineRun", "team", "a", labels={"x": "y"})["metadata"]["generation"] == 1
    assert server.patch_status("PipelineRun", "team", "a", {"phase": "Running"})["metadata"]["generation"] == 1
    edited = server.replace("PipelineRun", "team", "a", spec={"workflow": {"spec": {"x": 1}}})
    assert edited["metadata"]["generation"] == 2
    assert edited["status"] == {"phase": "Running"}


def test_source_is_immutable_once_the_workflow_is_recorded(server: ApiServer) -> None:
    create(server)
    server.patch_status("PipelineRun", "team", "a", {"workflow": {"name": "a"}})
    refused(422, "Invalid", server.replace, "PipelineRun", "team", "a", spec={"workflow": {"spec": {"x": 1}}})
    server.replace("PipelineRun", "team", "a", spec={"workflow": {"spec": {}}, "displayName": "x"})


def test_status_patch_merges_and_removes_fields(server: ApiServer) -> None:
    create(server)
    server.patch_status(
        "PipelineRun", "team", "a", {"phase": "Running", "workflow": {"name": "a", "uid": "1"}, "n": [1]}
    )
    found = server.patch_status("PipelineRun", "team", "a", {"phase": None, "workflow": {"uid": "2"}, "n": [2]})
    assert found["status"] == {"workflow": {"name": "a", "uid": "2"}, "n": [2]}
    assert found["spec"] == {"workflow": {"spec": {}}}


def test_patch_without_effect_makes_no_change(server: ApiServer) -> None:
    create(server)
    server.patch_status("PipelineRun", "team", "a", {"phase": "Running"})
    before = server.version
    server.patch_status("PipelineRun", "team", "a", {"phase": "Running", "message": None})
    assert server.version == before and len(server.changes) == before


def test_stale_version_is_a_conflict(server: ApiServer) -> None:
    version = create(server)["metadata"]["resourceVersion"]
    server.patch_status("PipelineRun", "team", "a", {"phase": "Running"}, version)
    refused(409, "Conflict", server.patch_status, "PipelineRun", "team", "a", {"phase": "Failed"}, version)
    refused(404, "NotFound", server.patch_status, "PipelineRun", "team", "b", {})


@pytest.mark.parametrize("precondition", [{"uid": "other"}, {"version": "99"}])
def test_failed_precondition_keeps_the_object(server: ApiServer, precondition: Any) -> None:
    create(server)
    refused(409, "Conflict", server.delete, "PipelineRun", "team", "a", **precondition)
    assert server.get("PipelineRun", "team", "a")
    server.delete("PipelineRun", "team", "a", uid="uid-1", version="1")
    refused(404, "NotFound", server.delete, "PipelineRun", "team", "a")


def test_collect_deletes_objects_without_an_owner(server: ApiServer) -> None:
    uid = create(server)["metadata"]["uid"]
    create(server, "Workflow", ownerReferences=[OWNER | {"uid": uid}])
    create(server, "Workflow", "b")
    assert server.collect() == 0
    server.delete("PipelineRun", "team", "a")
    create(server)
    assert server.collect() == 1, "a new run of the name is another owner"
    assert [body["metadata"]["name"] for body in server.list("Workflow")] == ["b"]


def test_since_returns_the_changes_after_a_version(server: ApiServer) -> None:
    create(server)
    version = server.version
    server.patch_status("PipelineRun", "team", "a", {"phase": "Running"})
    create(server, "Workflow")
    server.delete("PipelineRun", "team", "a")
    changes = server.since(version, "PipelineRun")
    assert [change.type for change in changes] == ["MODIFIED", "DELETED"]
    assert changes[1].body["status"] == {"phase": "Running"}
    assert int(changes[1].body["metadata"]["resourceVersion"]) == server.version


def test_select_reports_entering_as_added_and_leaving_as_deleted(server: ApiServer) -> None:
    create(server, "Workflow")
    server.replace("Workflow", "team", "a", labels={LABEL: "a"})
    server.replace("Workflow", "team", "a", labels={LABEL: "a", "x": "y"})
    assert len(server.list("Workflow", LABEL)) == 1
    server.replace("Workflow", "team", "a", labels={"x": "y"})
    server.delete("Workflow", "team", "a")
    assert [change.type for change in server.since(0, "Workflow", LABEL)] == ["ADDED", "MODIFIED", "DELETED"]
    assert server.list("Workflow", LABEL) == []


def test_argo_kinds_are_not_served_without_their_crds(server: ApiServer) -> None:
    server.argo_installed = False
    refused(404, "Unknown", create, server, "Workflow")
    refused(404, "Unknown", server.get, "Workflow", "team", "a")
    assert create(server)


def test_create_in_a_terminating_namespace_is_forbidden(server: ApiServer) -> None:
    server.terminating.add("team")
    assert refused(403, "Forbidden", create, server).causes == ("NamespaceTerminating",)


def test_event_is_posted_once(server: ApiServer) -> None:
    assert server.post_event("team", "a.1", {"reason": "Failed"})
    assert not server.post_event("team", "a.1", {"reason": "Failed"})


def test_returned_objects_do_not_change(server: ApiServer) -> None:
    before = create(server)
    server.patch_status("PipelineRun", "team", "a", {"phase": "Running"})
    assert "status" not in before and before["metadata"]["resourceVersion"] == "1"
