"""What goes over the wire for each call of the port, and what becomes of each kind of reply."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from kubernetes.aio import client

from runwright.adapters import requests
from runwright.adapters.kubernetes_api import KubernetesCluster
from runwright.adapters.requests import api_error
from runwright.api.states import Shutdown
from runwright.core.decision import Notice
from runwright.core.records import RunRecord, WorkflowRecord
from runwright.core.workflow.build import ObjectRef
from runwright.kube.errors import ApiError
from runwright.kube.objects import Key
from runwright.ports import Identity, Leftover
from tests.unit.fake.scripted import Server, status

KEY = Key("team", "train")
RUN = RunRecord(key=KEY, uid="run-uid", resource_version="7", generation=2, created_at=datetime(2026, 1, 1, tzinfo=UTC))
RUNS = "/apis/runwright.dev/v1alpha1/namespaces/team/pipelineruns"
WORKFLOWS = "/apis/argoproj.io/v1alpha1/namespaces/team/workflows"
RESULTS = "/apis/argoproj.io/v1alpha1/namespaces/team/workflowtaskresults"
SNAPSHOTS = "/apis/runwright.dev/v1alpha1/namespaces/team/workflowsnapshots"
PODS = "/api/v1/namespaces/team/pods"


@pytest.fixture
def cluster(api: client.ApiClient) -> KubernetesCluster:
    return KubernetesCluster(api)


async def test_the_status_is_merged_only_at_the_version_that_was_read(
    server: Server, cluster: KubernetesCluster
) -> None:
    server.replies = [(200, {"metadata": {"resourceVersion": "8"}})]
    written = await cluster.patch_run_status(RUN, {"phase": "Running", "message": None})
    (request,) = server.requests
    assert (request.method, request.path) == ("PATCH", f"{RUNS}/train/status")
    assert request.headers["Content-Type"] == "application/merge-patch+json"
    assert request.body == {"metadata": {"resourceVersion": "7"}, "status": {"phase": "Running", "message": None}}
    assert written == {"metadata": {"resourceVersion": "8"}}


async def test_a_workflow_is_deleted_only_in_the_version_that_was_seen(
    server: Server, cluster: KubernetesCluster
) -> None:
    server.replies = [(200, {}), status(404, "NotFound"), status(409, "Conflict")]
    workflow = WorkflowRecord(key=KEY, uid="wf-uid", resource_version="9")
    await cluster.delete_workflow(workflow)
    await cluster.delete_workflow(workflow)
    with pytest.raises(ApiError) as caught:
        await cluster.delete_workflow(workflow)
    assert caught.value.code == 409
    assert server.requests[0].path == f"{WORKFLOWS}/train"
    assert server.requests[0].body["preconditions"] == {"uid": "wf-uid", "resourceVersion": "9"}
    assert server.requests[0].body["propagationPolicy"] == "Background"


async def test_a_shutdown_is_told_to_this_very_workflow(server: Server, cluster: KubernetesCluster) -> None:
    server.replies = [(200, {"spec": {"shutdown": "Stop"}}), status(404, "NotFound"), status(409, "Conflict")]
    workflow = WorkflowRecord(key=KEY, uid="wf-uid", resource_version="9")
    assert await cluster.shut_down_workflow(workflow, Shutdown.STOP) == {"spec": {"shutdown": "Stop"}}
    assert await cluster.shut_down_workflow(workflow, Shutdown.STOP) is None
    with pytest.raises(ApiError):
        await cluster.shut_down_workflow(workflow, Shutdown.STOP)
    request = server.requests[0]
    assert (request.method, request.path) == ("PATCH", f"{WORKFLOWS}/train")
    assert request.headers["Content-Type"] == "application/merge-patch+json"
    assert request.body == {"metadata": {"uid": "wf-uid"}, "spec": {"shutdown": "Stop"}}


async def test_a_workflow_is_written_whole_at_the_version_that_it_says(
    server: Server, cluster: KubernetesCluster
) -> None:
    workflow = {"metadata": {"namespace": "team", "name": "train", "resourceVersion": "9"}, "status": {"nodes": {}}}
    server.replies = [(200, {"status": {}}), status(404, "NotFound"), status(409, "Conflict")]
    assert await cluster.replace_workflow(workflow) == {"status": {}}
    assert await cluster.replace_workflow(workflow) is None
    with pytest.raises(ApiError):
        await cluster.replace_workflow(workflow)
    request = server.requests[0]
    assert (request.method, request.path) == ("PUT", f"{WORKFLOWS}/train")
    assert request.body == workflow


async def test_what_nodes_leave_behind_is_listed_page_by_page(server: Server, cluster: KubernetesCluster) -> None:
    def left(name: str, **metadata: Any) -> dict[str, Any]:
        return {"metadata": {"namespace": "team", "name": name, "uid": f"uid-{name}", **metadata}}

    server.replies = [
        (
            200,
            {"metadata": {"continue": "m"}, "items": [left("p", annotations={"workflows.argoproj.io/node-id": "n"})]},
        ),
        (200, {"items": [left("agent")]}),
        (200, {"items": [left("train-123")]}),
    ]
    assert await cluster.list_leftovers(KEY) == [
        Leftover("Pod", Key("team", "p"), "uid-p", "n"),
        Leftover("Pod", Key("team", "agent"), "uid-agent", ""),
        Leftover("WorkflowTaskResult", Key("team", "train-123"), "uid-train-123", "train-123"),
    ]
    assert [request.path for request in server.requests] == [PODS, PODS, RESULTS]
    for request in server.requests:
        assert request.query["labelSelector"] == "workflows.argoproj.io/workflow=train"
        assert request.headers["Accept"].startswith("application/json;as=PartialObjectMetadataList")
    server.replies = [(200, {"items": []}), (404, "404 page not found")]
    assert await cluster.list_leftovers(KEY) == []
    server.replies = [status(403, "Forbidden")]
    with pytest.raises(ApiError):
        await cluster.list_leftovers(KEY)


@pytest.mark.parametrize(
    ("leftover", "path"),
    [
        (Leftover("Pod", Key("team", "p"), "pod-uid", "n"), f"{PODS}/p"),
        (Leftover("WorkflowTaskResult", Key("team", "n"), "pod-uid", "n"), f"{RESULTS}/n"),
    ],
)
async def test_this_very_leftover_is_deleted(
    server: Server, cluster: KubernetesCluster, leftover: Leftover, path: str
) -> None:
    server.replies = [(200, {}), status(404, "NotFound"), status(409, "Conflict"), status(500, "InternalError")]
    for _ in range(3):
        await cluster.delete_leftover(leftover)
    with pytest.raises(ApiError):
        await cluster.delete_leftover(leftover)
    request = server.requests[0]
    assert (request.method, request.path) == ("DELETE", path)
    assert request.body["preconditions"] == {"uid": "pod-uid"}


async def test_a_snapshot_is_made_once_read_and_deleted_by_its_uid(server: Server, cluster: KubernetesCluster) -> None:
    snapshot = {"metadata": {"namespace": "team", "name": "train", "uid": "s"}, "attempt": 0, "data": "H4sI"}
    server.replies = [(201, snapshot), status(409, "AlreadyExists"), (200, snapshot), status(404, "NotFound")]
    await cluster.create_snapshot(snapshot)
    with pytest.raises(ApiError) as caught:
        await cluster.create_snapshot(snapshot)
    assert caught.value.reason == "AlreadyExists"
    assert await cluster.get_snapshot(KEY) == snapshot
    assert await cluster.get_snapshot(KEY) is None
    server.replies = [(200, {}), status(404, "NotFound"), status(409, "Conflict")]
    await cluster.delete_snapshot(snapshot)
    await cluster.delete_snapshot(snapshot)
    with pytest.raises(ApiError):
        await cluster.delete_snapshot(snapshot)
    assert [(request.method, request.path) for request in server.requests] == [
        *[("POST", SNAPSHOTS)] * 2,
        *[("GET", f"{SNAPSHOTS}/train")] * 2,
        *[("DELETE", f"{SNAPSHOTS}/train")] * 3,
    ]
    assert server.requests[0].body == snapshot
    assert server.requests[4].body["preconditions"] == {"uid": "s"}


async def test_a_run_is_labelled_only_at_the_version_that_was_read(server: Server, cluster: KubernetesCluster) -> None:
    server.replies = [(200, {"metadata": {}}), status(404, "NotFound"), status(409, "Conflict")]
    labels = {"runwright.dev/storage-state": "Archived", "runwright.dev/delete-on": None}
    assert await cluster.label_run(RUN, labels) == {"metadata": {}}
    assert await cluster.label_run(RUN, labels) is None
    with pytest.raises(ApiError):
        await cluster.label_run(RUN, labels)
    request = server.requests[0]
    assert (request.method, request.path) == ("PATCH", f"{RUNS}/train")
    assert request.headers["Content-Type"] == "application/merge-patch+json"
    assert request.body == {"metadata": {"resourceVersion": "7", "labels": labels}}


async def test_a_run_is_deleted_only_in_the_version_that_was_read(server: Server, cluster: KubernetesCluster) -> None:
    server.replies = [(200, {}), status(404, "NotFound"), status(409, "Conflict")]
    await cluster.delete_run(RUN)
    await cluster.delete_run(RUN)
    with pytest.raises(ApiError):
        await cluster.delete_run(RUN)
    request = server.requests[0]
    assert (request.method, request.path) == ("DELETE", f"{RUNS}/train")
    assert request.body["preconditions"] == {"uid": "run-uid", "resourceVersion": "7"}
    assert request.body["propagationPolicy"] == "Background"


async def test_a_namespace_has_one_policy_or_none(server: Server, cluster: KubernetesCluster) -> None:
    policy = {"spec": {"keepSucceeded": 10}}
    server.replies = [(200, policy), status(404, "NotFound")]
    assert await cluster.get_policy("team") == policy
    assert await cluster.get_policy("team") is None
    assert server.requests[0].path == "/apis/runwright.dev/v1alpha1/namespaces/team/retentionpolicies/default"


async def test_what_is_not_there_is_none(server: Server, cluster: KubernetesCluster) -> None:
    refs = [
        ObjectRef("ConfigMap", "x", "team"),
        ObjectRef("ServiceAccount", "x", "team"),
        ObjectRef("WorkflowTemplate", "x", "team"),
        ObjectRef("ClusterWorkflowTemplate", "x"),
    ]
    server.replies = [status(404, "NotFound")] * 7
    assert await cluster.get_run(KEY) is None
    assert await cluster.get_workflow(KEY) is None
    for ref in refs:
        assert await cluster.get_object(ref) is None
    assert await cluster.get_secret("team", "x") is None
    assert [request.path for request in server.requests] == [
        f"{RUNS}/train",
        f"{WORKFLOWS}/train",
        "/api/v1/namespaces/team/configmaps/x",
        "/api/v1/namespaces/team/serviceaccounts/x",
        "/apis/argoproj.io/v1alpha1/namespaces/team/workflowtemplates/x",
        "/apis/argoproj.io/v1alpha1/clusterworkflowtemplates/x",
        "/api/v1/namespaces/team/secrets/x",
    ]


async def test_a_kind_that_is_not_served_says_nothing_of_a_workflow(server: Server, cluster: KubernetesCluster) -> None:
    server.replies = [(404, "404 page not found")]
    with pytest.raises(ApiError) as caught:
        await cluster.get_workflow(KEY)
    assert (caught.value.code, caught.value.reason) == (404, "Unknown")


async def test_what_is_there_comes_as_it_was_sent(server: Server, cluster: KubernetesCluster) -> None:
    body = {"metadata": {"name": "x"}, "data": {"workflow.yaml": "kind: Workflow"}, "unknown": [1, {"a": None}]}
    server.replies = [(200, body)] * 2
    assert await cluster.get_object(ObjectRef("ConfigMap", "x", "team")) == body
    assert await cluster.get_run(KEY) == body


async def test_a_refusal_carries_code_reason_message_and_causes(server: Server, cluster: KubernetesCluster) -> None:
    server.replies = [status(403, "Forbidden", "namespace is going", ("NamespaceTerminating",)), (500, "no status")]
    with pytest.raises(ApiError) as caught:
        await cluster.create_workflow({"metadata": {"namespace": "team", "name": "train"}})
    error = caught.value
    assert (error.code, error.reason, error.message) == (403, "Forbidden", "namespace is going")
    assert error.causes == ("NamespaceTerminating",)
    with pytest.raises(ApiError) as caught:
        await cluster.get_object(ObjectRef("ConfigMap", "x", "team"))
    assert caught.value.code == 500


@pytest.mark.parametrize("body", ["", "<html>bad gateway</html>", "[1]", "null"])
def test_a_reply_that_is_no_status_is_an_error_all_the_same(body: str) -> None:
    error = api_error(502, body)
    assert (error.code, error.reason) == (502, "Unknown")


async def test_no_reply_is_code_zero(
    server: Server, cluster: KubernetesCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "REQUEST_TIMEOUT", 0.05)
    server.replies = [(0, None), (0, None)]
    for request in (cluster.get_run(KEY), cluster.get_object(ObjectRef("ConfigMap", "x", "team"))):
        with pytest.raises(ApiError) as caught:
            await request
        assert caught.value.code == 0


async def test_an_event_said_twice_is_one_event(server: Server, cluster: KubernetesCluster) -> None:
    posted = (201, {"metadata": {}, "involvedObject": {}})
    server.replies = [posted, status(409, "AlreadyExists"), posted, status(500, "X")]
    now = datetime(2026, 1, 2, tzinfo=UTC)
    failed = Notice("Warning", "Failed", "step b failed")
    await cluster.post_event(RUN, failed, now)
    await cluster.post_event(RUN, failed, now)
    await cluster.post_event(RUN, Notice("Warning", "Stalled", "other"), now)
    names = [request.body["metadata"]["name"] for request in server.requests]
    assert names[0] == names[1] != names[2]
    event = server.requests[0].body
    assert event["involvedObject"]["uid"] == "run-uid"
    assert (event["type"], event["reason"], event["message"]) == ("Warning", "Failed", "step b failed")
    with pytest.raises(ApiError):
        await cluster.post_event(RUN, failed, now)


async def test_lists_are_paged_filtered_by_the_server_and_metadata_only(
    server: Server, cluster: KubernetesCluster
) -> None:
    def item(name: str) -> dict[str, Any]:
        return {"metadata": {"namespace": "team", "name": name, "uid": f"uid-{name}", "resourceVersion": "5"}}

    server.replies = [
        (200, {"metadata": {"continue": "more"}, "items": [item("a"), item("b")]}),
        (200, {"metadata": {}, "items": [item("c")]}),
        (200, {"metadata": {}, "items": []}),
    ]
    names = [identity.key.name async for identity in cluster.list_unfinished_runs()]
    assert names == ["a", "b", "c"]
    first, second = server.requests
    assert first.path == "/apis/runwright.dev/v1alpha1/pipelineruns"
    assert first.query["limit"] == "500"
    assert "continue" not in first.query
    assert second.query["continue"] == "more"
    assert first.headers["Accept"].startswith("application/json;as=PartialObjectMetadataList")
    assert first.query["fieldSelector"].split(",") == [
        f"status.phase!={phase}" for phase in ("Succeeded", "Skipped", "Failed", "Error")
    ]
    assert [identity async for identity in cluster.list_workflows()] == []
    assert server.requests[2].query["labelSelector"] == "runwright.dev/run"


async def test_archived_runs_are_found_by_label_and_field(server: Server, cluster: KubernetesCluster) -> None:
    metadata = {"namespace": "team", "name": "a", "uid": "u", "resourceVersion": "5"}
    due = {"metadata": {**metadata, "labels": {"runwright.dev/delete-on": "2026-11-24"}}}
    server.replies = [(200, {"items": []}), *[(200, {"items": [due]})] * 3] + [
        (200, {"items": [{"metadata": metadata}]})
    ]
    expected = Identity(Key("team", "a"), "u", "5", "2026-11-24")
    assert [identity async for identity in cluster.list_half_archived_runs()] == [expected]
    assert [identity async for identity in cluster.list_expiring_runs(("2026-11-23", "2026-11-24"))] == [expected]
    assert [identity async for identity in cluster.list_expiring_runs(())] == [expected]
    assert [identity async for identity in cluster.list_runs("team")] == [Identity(Key("team", "a"), "u", "5")]
    archived = "runwright.dev/storage-state=Archived"
    assert [request.query.get("labelSelector") for request in server.requests] == [
        archived,
        "runwright.dev/storage-state!=Archived",
        f"{archived},runwright.dev/delete-on in (2026-11-23,2026-11-24)",
        f"{archived},runwright.dev/delete-on",
        None,
    ]
    assert server.requests[0].query["fieldSelector"] == "status.storageState!=Archived"
    assert server.requests[1].query["fieldSelector"] == "status.storageState=Archived"
    assert "fieldSelector" not in server.requests[2].query
    everywhere = "/apis/runwright.dev/v1alpha1/pipelineruns"
    assert [request.path for request in server.requests] == [*[everywhere] * 4, RUNS]
    assert all(request.headers["Accept"].startswith("application/json;as=Partial") for request in server.requests)


async def test_only_the_namespaces_of_the_operator_are_listed(server: Server, api: client.ApiClient) -> None:
    server.replies = [(200, {"items": []})] * 2
    assert [run async for run in KubernetesCluster(api, ("team", "other")).list_unfinished_runs()] == []
    assert [request.path for request in server.requests] == [RUNS, RUNS.replace("/team/", "/other/")]


async def test_without_its_crd_a_list_is_empty(server: Server, cluster: KubernetesCluster) -> None:
    server.replies = [status(404, "NotFound"), status(500, "InternalError")]
    assert [identity async for identity in cluster.list_workflows()] == []
    with pytest.raises(ApiError):
        async for _ in cluster.list_workflows():
            pass


async def test_missing_kinds(server: Server, cluster: KubernetesCluster) -> None:
    server.replies = [
        (200, {"resources": [{"name": "pipelineruns"}]}),
        (200, {"resources": [{"name": "cronworkflows"}]}),
        status(404, "NotFound"),
        (200, {"resources": [{"name": "workflows"}]}),
    ]
    assert await cluster.missing_kinds() == ("workflows.argoproj.io",)
    assert await cluster.missing_kinds() == ("pipelineruns.runwright.dev",)
