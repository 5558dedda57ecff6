"""The ten RPCs, as far as they need no real cluster: checks, the one edit that each makes, and how often it is made."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.api.labels import MANIFEST_LABEL
from runwright.api.resources import PIPELINE_EXPERIMENTS, PIPELINE_RUNS, WORKFLOW_TEMPLATES, WORKFLOWS
from runwright.core.metrics.reports import MAX_OF_A_RUN
from runwright.kube.errors import ApiError
from runwright.kube.objects import Key
from runwright.kube.resource import CONFIG_MAPS
from runwright.service.contract.pipeline_spec_pb2 import PipelineSpec
from runwright.service.contract.resource_reference_pb2 import ResourceKey, ResourceReference
from runwright.service.contract.run_pb2 import (
    ArchiveRunRequest,
    CreateRunRequest,
    DeleteRunRequest,
    GetRunRequest,
    ListRunsRequest,
    ReadArtifactRequest,
    ReportRunMetricsRequest,
    RetryRunRequest,
    Run,
    RunMetric,
    TerminateRunRequest,
    UnarchiveRunRequest,
)
from runwright.service.errors import Code, ServiceError
from runwright.service.manifests import UNUSED, USED_AT
from tests.unit.service.bench import MANIFEST, MANIFEST_TEXT, Bench

EXPERIMENT, JOB, PIPELINE, VERSION, NAMESPACE = 1, 2, 3, 4, 5
OWNER, CREATOR = 1, 2


def ref(kind: int, id: str, relationship: int = OWNER) -> ResourceReference:
    return ResourceReference(key=ResourceKey(type=kind, id=id), relationship=relationship)  # type: ignore[arg-type]


def asking(name: str = "Train it", manifest: str = MANIFEST_TEXT, **more: Any) -> CreateRunRequest:
    parameters = more.pop("parameters", [])
    spec = PipelineSpec(workflow_manifest=manifest, parameters=parameters, **more.pop("spec", {}))
    return CreateRunRequest(run=Run(name=name, pipeline_spec=spec, **more))


def phase(it: Bench, word: str, **status: Any) -> None:
    it.set_status(phase=word, **status)


# ----------------------------------------------------------------------------------------------------------------- create
async def test_a_run_is_written_with_its_manifest_beside_it():
    it = Bench()
    detail = await it.call("RunService/CreateRun", asking(description="d", parameters=[{"name": "text", "value": "x"}]))
    run = it.run()
    (config_map,) = it.all(CONFIG_MAPS)
    (experiment,) = it.all(PIPELINE_EXPERIMENTS)
    assert config_map["data"] == {"manifest": MANIFEST_TEXT} and config_map["immutable"]
    source = run["spec"]["workflow"]["manifestFrom"]
    assert source["configMapKeyRef"] == {"name": config_map["metadata"]["name"], "key": "manifest"}
    assert run["metadata"]["labels"][MANIFEST_LABEL] == config_map["metadata"]["labels"][MANIFEST_LABEL]
    assert run["metadata"]["name"].startswith("train-it-")
    assert run["metadata"]["annotations"]["runwright.dev/created-by"] == "ann"
    assert run["spec"]["parameters"] == [{"name": "text", "value": "x"}]
    assert experiment["spec"]["displayName"] == "Default"
    assert detail.run.id == run["metadata"]["uid"] and detail.run.status == "Pending"
    assert detail.run.pipeline_spec.workflow_manifest == MANIFEST_TEXT
    assert detail.run.service_account == "runner"
    assert [(one.key.type, one.key.id, one.name) for one in detail.run.resource_references] == [
        (EXPERIMENT, experiment["metadata"]["uid"], "Default")
    ]
    workflow = json.loads(detail.pipeline_runtime.workflow_manifest)
    assert workflow["metadata"]["labels"]["pipeline/runid"] == detail.run.id
    assert workflow["spec"]["arguments"]["parameters"] == [{"name": "text", "value": "x"}]
    assert not it.all(WORKFLOWS), "the operator makes it"


async def test_a_hundred_runs_of_one_manifest_keep_it_once():
    it = Bench()
    await asyncio.gather(*(it.call("RunService/CreateRun", asking(f"r{number}")) for number in range(100)))
    assert len(it.all(PIPELINE_RUNS)) == 100
    assert len(it.all(CONFIG_MAPS)) == len(it.all(PIPELINE_EXPERIMENTS)) == 1
    listed = await it.call("RunService/ListRuns", ListRunsRequest(page_size=100))
    assert listed.total_size == 100 and {run.pipeline_spec.workflow_manifest for run in listed.runs} == {MANIFEST_TEXT}


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (CreateRunRequest(), "The run name is empty"),
        (asking(name=""), "The run name is empty"),
        (asking(name="x" * 256), "spec.displayName"),
        (asking(manifest=""), "Please specify a pipeline by providing"),
        (asking(spec={"pipeline_id": "p"}), "Please don't specify a pipeline version or pipeline ID"),
        (asking(resource_references=[ref(VERSION, "v", CREATOR)]), "Please don't specify a pipeline version"),
        (asking(manifest="{"), "Invalid argo workflow format"),
        (asking(manifest="null"), "Invalid argo workflow format"),
        (asking(manifest='{"kind": "Pod"}'), "kind is 'Pod'"),
        (asking(manifest=json.dumps(MANIFEST | {"spec": {}})), "expected at least one template"),
        (asking(parameters=[{"name": "txet", "value": "x"}]), "declares no parameter 'txet'"),
        (asking(parameters=[{"name": "text", "value": "x" * 10_000}]), "exceed maximum size of 10000"),
        (asking(resource_references=[ref(PIPELINE, "p")]), "Unsupported resource type: PIPELINE"),
        (asking(resource_references=[ref(0, "p")]), "Unsupported resource type"),
        (asking(resource_references=[ResourceReference()]), "Unsupported resource type"),
        (asking(resource_references=[ref(JOB, "")]), "expected an id"),
        (asking(resource_references=[ref(JOB, "j", 0)]), "expected OWNER or CREATOR"),
        (asking(resource_references=[ref(EXPERIMENT, "a"), ref(EXPERIMENT, "b")]), "one EXPERIMENT at most"),
    ],
)
async def test_what_is_refused_leaves_nothing(request_: CreateRunRequest, said: str):
    it = Bench()
    error = await it.refused("RunService/CreateRun", request_)
    assert error.code == Code.INVALID_ARGUMENT
    assert said.replace("'", '"') in error.message.replace("'", '"')
    assert not it.server.objects


async def test_what_the_api_server_refuses_is_told():
    it = Bench()

    def refuse(call: str) -> None:
        if call == "create pipelineruns":
            raise ApiError(422, "Invalid", "spec.displayName: not on Fridays")

    it.client.before = refuse
    error = await it.refused("RunService/CreateRun", asking())
    assert (error.code, error.message) == (Code.INVALID_ARGUMENT, "spec.displayName: not on Fridays")


async def test_the_same_key_makes_one_run():
    it, headers = Bench(), {"idempotency-key": "k-1"}
    replies = await asyncio.gather(*(it.call("RunService/CreateRun", asking(), headers) for _ in range(10)))
    assert len({reply.run.id for reply in replies}) == 1 and len(it.all(PIPELINE_RUNS)) == 1
    error = await it.refused("RunService/CreateRun", asking("another"), headers=headers)
    assert error.code == Code.ALREADY_EXISTS
    await it.call("RunService/CreateRun", asking(), headers, user="bob")
    assert len(it.all(PIPELINE_RUNS)) == 2, "keys are each user's own"
    assert (await it.refused("RunService/CreateRun", asking(), headers={"idempotency-key": "x" * 256})).code == 3


async def test_a_pipeline_version_is_a_workflow_template():
    it = Bench()
    version = asking(manifest="", resource_references=[ref(VERSION, "nightly", CREATOR)])
    error = await it.refused("RunService/CreateRun", version)
    assert error.code == Code.NOT_FOUND and not it.all(PIPELINE_RUNS)
    template = {"metadata": {"namespace": "team", "name": "nightly"}, "spec": MANIFEST["spec"]}
    it.put(WORKFLOW_TEMPLATES, template)
    detail = await it.call("RunService/CreateRun", version)
    assert it.run()["spec"]["workflow"] == {"templateRef": {"name": "nightly"}}
    assert (detail.run.pipeline_spec.pipeline_id, detail.run.pipeline_spec.pipeline_name) == ("nightly", "nightly")
    by_id = await it.call("RunService/CreateRun", asking(manifest="", spec={"pipeline_id": "nightly"}))
    assert [(one.key.type, one.key.id) for one in by_id.run.resource_references][-1] == (VERSION, "nightly")


async def test_who_may_not_create_makes_nothing():
    it = Bench()
    it.rights.refuse = {("create", "team")}
    assert (await it.refused("RunService/CreateRun", asking())).code == Code.PERMISSION_DENIED
    assert not it.server.objects


async def test_in_multi_user_mode_the_experiment_says_where():
    it = Bench("")
    assert "Job has no experiment" in (await it.refused("RunService/CreateRun", asking())).message
    error = await it.refused("RunService/CreateRun", asking(resource_references=[ref(EXPERIMENT, "none")]))
    assert error.code == Code.NOT_FOUND


# ------------------------------------------------------------------------------------------------------------------ edits
async def made(it: Bench) -> str:
    return (await it.call("RunService/CreateRun", asking())).run.id


async def test_unknown_ids_are_not_found():
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


async def test_archive_and_unarchive_flip_the_label_once():
    it = Bench()
    id = await made(it)
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


async def test_terminate_twice_is_fine_and_of_an_ended_run_is_refused():
    it = Bench()
    id = await made(it)
    for _ in range(2):
        await it.call("RunService/TerminateRun", TerminateRunRequest(run_id=id))
    assert it.run()["spec"]["shutdown"] == "Stop"
    assert it.writes.count("patch pipelineruns") == 1
    detail = await it.call("RunService/GetRun", GetRunRequest(run_id=id))
    assert detail.run.status == "Terminating"
    phase(it, "Failed")
    await it.call("RunService/TerminateRun", TerminateRunRequest(run_id=id))
    assert it.writes.count("patch pipelineruns") == 1, "it has ended by that"


async def test_a_run_that_ended_by_itself_cannot_be_terminated():
    it = Bench()
    id = await made(it)
    phase(it, "Failed")
    error = await it.refused("RunService/TerminateRun", TerminateRunRequest(run_id=id))
    assert error.code == Code.INVALID_ARGUMENT and "it has ended as Failed" in error.message


async def test_a_retry_takes_the_run_out_of_the_archive_in_the_same_edit():
    """The operator does not look at archived runs: it would wait there unseen."""
    it = Bench()
    id = await made(it)
    phase(it, "Failed")
    await it.call("RunService/ArchiveRun", ArchiveRunRequest(id=id))
    before = len(it.writes)
    await it.call("RunService/RetryRun", RetryRunRequest(run_id=id))
    assert it.run()["spec"]["retries"] == 1 and "runwright.dev/storage-state" not in it.run()["metadata"]["labels"]
    assert len(it.writes) == before + 1


async def test_a_retry_is_one_edit_and_of_two_at_once_one():
    it = Bench()
    id = await made(it)
    await it.call("RunService/TerminateRun", TerminateRunRequest(run_id=id))
    error = await it.refused("RunService/RetryRun", RetryRunRequest(run_id=id))
    assert error.code == Code.ABORTED and "must be Failed/Error" in error.message
    phase(it, "Failed", retries=2)
    before = len(it.writes)
    await asyncio.gather(*(it.call("RunService/RetryRun", RetryRunRequest(run_id=id)) for _ in range(5)))
    assert it.run()["spec"]["retries"] == 3 and "shutdown" not in it.run()["spec"]
    assert it.run()["metadata"]["resourceVersion"] == str(it.server.version)
    assert 1 <= len(it.writes) - before <= 5


async def test_a_deleted_run_is_gone_from_the_next_list():
    it = Bench()
    id = await made(it)
    await it.call("RunService/DeleteRun", DeleteRunRequest(id=id))
    assert not it.all(PIPELINE_RUNS)
    assert (await it.call("RunService/ListRuns", ListRunsRequest())).total_size == 0
    assert (await it.refused("RunService/DeleteRun", DeleteRunRequest(id=id))).code == Code.NOT_FOUND


async def test_a_run_of_the_same_name_is_another_one():
    it = Bench()
    id = await made(it)
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
async def test_each_call_asks_for_its_right(method: str, request_: Any, verb: str, subresource: str):
    it = Bench()
    id = await made(it)
    it.rights.asked.clear()
    it.rights.refuse = {(verb, "team")}
    field = "id" if "id" in request_.DESCRIPTOR.fields_by_name else "run_id"
    before = json.dumps(it.run())
    assert (await it.refused(f"RunService/{method}", request_(**{field: id}))).code == Code.PERMISSION_DENIED
    ((user, access),) = it.rights.asked
    assert (user, access.verb, access.subresource, access.name) == (
        "ann",
        verb,
        subresource,
        it.run()["metadata"]["name"],
    )
    assert json.dumps(it.run()) == before


# ---------------------------------------------------------------------------------------------------------------- get, read
async def test_get_run_has_the_workflow_with_its_nodes_or_none():
    it = Bench()
    id = await made(it)
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


# ---------------------------------------------------------------------------------------------------------------- metrics
def metrics(*names: str, value: float = 1.0) -> list[RunMetric]:
    return [RunMetric(name=name, node_id="n", number_value=value) for name in names]


async def report(it: Bench, id: str, *reported: RunMetric) -> list[int]:
    reply = await it.call("RunService/ReportRunMetrics", ReportRunMetricsRequest(run_id=id, metrics=reported))
    assert [one.metric_name for one in reply.results] == [one.name for one in reported]
    return [one.status for one in reply.results]


OK, INVALID, DUPLICATE, INTERNAL = 1, 2, 3, 4


async def test_each_metric_stands_alone_and_the_first_report_holds():
    it = Bench()
    id = await made(it)
    reported = [*metrics("a", "1bad", "a"), *metrics("nan", value=float("nan")), *metrics("b", value=2)]
    assert await report(it, id, *reported) == [OK, INVALID, DUPLICATE, INVALID, OK]
    assert await report(it, id, *metrics("a", value=9)) == [DUPLICATE]
    held = it.run()["status"]["metrics"]
    assert [(one["name"], one["value"]) for one in held] == [("a", 1.0), ("b", 2.0)]
    assert it.writes.count("patch pipelineruns/status") == 1, "what changes nothing writes nothing"


async def test_reporters_at_once_lose_and_double_nothing():
    it = Bench()
    id = await made(it)
    results = await asyncio.gather(*(report(it, id, *metrics("same", f"own-{n}")) for n in range(6)))
    assert sorted(one[0] for one in results) == [OK] + [DUPLICATE] * 5
    assert [one[1] for one in results] == [OK] * 6
    assert sorted(one["name"] for one in it.run()["status"]["metrics"]) == sorted(
        ["same", *(f"own-{n}" for n in range(6))]
    )


async def test_what_cannot_be_written_is_an_internal_error_of_each():
    it = Bench()
    id = await made(it)

    def fail(call: str) -> None:
        if call == "patch pipelineruns/status":
            raise ApiError(500, "InternalError", "etcd")

    it.client.before = fail
    assert await report(it, id, *metrics("a", "1bad", "b")) == [INTERNAL, INVALID, INTERNAL]
    assert (
        await it.refused(
            "RunService/ReportRunMetrics", ReportRunMetricsRequest(run_id=id, metrics=metrics(*["a"] * 1001))
        )
    ).code == 3


async def test_a_run_holds_so_many_and_says_so():
    it = Bench()
    id = await made(it)
    results = await report(it, id, *metrics(*(f"m{n}" for n in range(MAX_OF_A_RUN + 2))))
    assert results == [OK] * MAX_OF_A_RUN + [INVALID] * 2


# ------------------------------------------------------------------------------------------------------------------ sweep
async def test_a_manifest_goes_with_the_last_run_that_uses_it_and_not_before():
    it = Bench()
    id = await made(it)

    def in_use() -> set[Key]:
        return {Key(row.manifest.namespace, row.manifest.name) for row in it.index.rows() if row.manifest}

    it.clock.on(2 * UNUSED)
    assert await it.manifests.sweep(in_use) == 0
    await it.call("RunService/DeleteRun", DeleteRunRequest(id=id))
    assert await it.manifests.sweep(lambda: None) == 0, "not while not all runs are known"
    assert await it.manifests.sweep(in_use) == 1
    assert not it.all(CONFIG_MAPS)


async def test_a_manifest_that_was_just_used_again_stays():
    it = Bench()
    id = await made(it)
    await it.call("RunService/DeleteRun", DeleteRunRequest(id=id))
    assert await it.manifests.sweep(set) == 0, "it was used a moment ago"
    it.clock.on(timedelta(minutes=59))
    it.manifests._known.clear()
    await made(it)
    (config_map,) = it.all(CONFIG_MAPS)
    assert config_map["metadata"]["annotations"][USED_AT] == it.clock.now().isoformat()
    it.clock.on(timedelta(minutes=30))
    assert await it.manifests.sweep(set) == 0
    it.clock.on(UNUSED)
    assert await it.manifests.sweep(set) == 0, "the API server knows of a run"


async def test_what_is_changed_between_look_and_deletion_stays():
    it = Bench()
    id = await made(it)
    await it.call("RunService/DeleteRun", DeleteRunRequest(id=id))
    it.clock.on(2 * UNUSED)

    def renew(call: str) -> None:
        if call == "delete configmaps":
            (one,) = it.all(CONFIG_MAPS)
            one["metadata"]["resourceVersion"] = "999"

    it.client.before = renew
    assert await it.manifests.sweep(set) == 0
    assert len(it.all(CONFIG_MAPS)) == 1


# ------------------------------------------------------------------------------------------------------------ any request
texts = st.text(max_size=8) | st.sampled_from(["x", MANIFEST_TEXT, "{}", "nightly"])
references = st.builds(lambda kind, id, relation: ref(kind, id, relation), st.integers(0, 5), texts, st.integers(0, 2))
requests = st.builds(
    lambda name, manifest, pipeline, references, parameters: CreateRunRequest(
        run=Run(
            name=name,
            description=name,
            service_account=pipeline,
            pipeline_spec=PipelineSpec(
                workflow_manifest=manifest,
                pipeline_id=pipeline,
                parameters=[{"name": one, "value": one} for one in parameters],  # type: ignore[misc]
            ),
            resource_references=references,
        )
    ),
    texts,
    texts,
    st.sampled_from(["", "", "nightly"]),
    st.lists(references, max_size=2),
    st.lists(st.sampled_from(["text", "x"]), max_size=2),
)


@given(requests, st.sampled_from(["", "team"]))
async def test_no_request_is_too_odd(request_: CreateRunRequest, namespace: str):
    it = Bench(namespace)
    try:
        detail = await it.call("RunService/CreateRun", request_)
    except ServiceError as error:
        assert error.code in (Code.INVALID_ARGUMENT, Code.NOT_FOUND), error.message
        assert not it.all(PIPELINE_RUNS)
    else:
        assert detail.run.name == request_.run.name


# ------------------------------------------------------------------------------------------------------------------ lists
@pytest.mark.parametrize(
    ("namespace", "kind", "id", "expected"),
    [
        ("team", None, "", 2),
        ("team", 0, "", 2),
        ("team", NAMESPACE, "", 2),
        ("team", NAMESPACE, "team", 2),
        ("team", NAMESPACE, "other", Code.INVALID_ARGUMENT),
        ("team", EXPERIMENT, "unknown", 0),
        ("team", EXPERIMENT, "", Code.INVALID_ARGUMENT),
        ("team", JOB, "unknown", 0),
        ("team", PIPELINE, "p", Code.INVALID_ARGUMENT),
        ("", None, "", 2),
        ("", NAMESPACE, "team", 2),
        ("", NAMESPACE, "other", 0),
        ("", NAMESPACE, "", Code.INVALID_ARGUMENT),
        ("", EXPERIMENT, "unknown", Code.NOT_FOUND),
    ],
)
async def test_whose_runs_are_listed(namespace: str, kind: int | None, id: str, expected: int | Code):
    it = Bench("team")
    for _ in range(2):
        await made(it)
    other = Bench(namespace)
    for body in it.all(PIPELINE_RUNS):
        other.runs.index(body)
    request_ = ListRunsRequest()
    if kind is not None:
        request_.resource_reference_key.CopyFrom(ResourceKey(type=kind, id=id))  # type: ignore[arg-type]
    if isinstance(expected, Code):
        assert (await other.refused("RunService/ListRuns", request_)).code == expected
    else:
        assert (await other.call("RunService/ListRuns", request_)).total_size == expected
    other.rights.refuse = {("list", "")}
    if namespace == "" and kind is None:
        assert (await other.refused("RunService/ListRuns", request_)).code == Code.INVALID_ARGUMENT
