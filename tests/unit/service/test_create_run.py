"""CreateRun: checks of the request, and what is written for it."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.api.labels import MANIFEST_LABEL
from runwright.api.resources import (
    PIPELINE_EXPERIMENTS,
    PIPELINE_MANIFESTS,
    PIPELINE_RUNS,
    WORKFLOW_TEMPLATES,
    WORKFLOWS,
)
from runwright.kube.errors import ApiError
from runwright.service.contract.pipeline_spec_pb2 import PipelineSpec
from runwright.service.contract.resource_reference_pb2 import ResourceReference
from runwright.service.contract.run_pb2 import (
    CreateRunRequest,
    ListRunsRequest,
    Run,
)
from runwright.service.create_run import check_create_request, choose_run_name, run_parameters, slug
from runwright.service.errors import Code, ServiceError
from tests.unit.service.bench import MANIFEST, MANIFEST_TEXT, Bench
from tests.unit.service.requests import (
    CREATOR,
    EXPERIMENT,
    JOB,
    NAMESPACE,
    PIPELINE,
    VERSION,
    create_request,
    ref,
)
from tests.unit.service.test_experiments import create_experiment


async def test_a_run_is_created_with_its_manifest_in_a_pipeline_manifest():
    it = Bench()
    detail = await it.call(
        "RunService/CreateRun", create_request(description="d", parameters=[{"name": "text", "value": "x"}])
    )
    run = it.run()
    (shared,) = it.all(PIPELINE_MANIFESTS)
    (experiment,) = it.all(PIPELINE_EXPERIMENTS)
    assert shared["manifest"] == MANIFEST_TEXT
    source = run["spec"]["workflow"]["manifestFrom"]
    assert source["pipelineManifestRef"] == {"name": shared["metadata"]["name"]}
    assert source["digest"].replace(":", "-") == shared["metadata"]["name"]
    assert run["metadata"]["labels"][MANIFEST_LABEL] == shared["metadata"]["labels"][MANIFEST_LABEL]
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
    assert not it.all(WORKFLOWS), "the operator creates it"


async def test_a_hundred_runs_with_one_manifest_store_it_once():
    it = Bench()
    await asyncio.gather(*(it.call("RunService/CreateRun", create_request(f"r{number}")) for number in range(100)))
    assert len(it.all(PIPELINE_RUNS)) == 100
    assert len(it.all(PIPELINE_MANIFESTS)) == len(it.all(PIPELINE_EXPERIMENTS)) == 1
    listed = await it.call("RunService/ListRuns", ListRunsRequest(page_size=100))
    assert listed.total_size == 100 and {run.pipeline_spec.workflow_manifest for run in listed.runs} == {MANIFEST_TEXT}


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (CreateRunRequest(), "The run name is empty"),
        (create_request(name=""), "The run name is empty"),
        (create_request(name="x" * 256), "spec.displayName"),
        (create_request(manifest=""), "Please specify a pipeline by providing"),
        (create_request(spec={"pipeline_id": "p"}), "Please don't specify a pipeline version or pipeline ID"),
        (create_request(resource_references=[ref(VERSION, "v", CREATOR)]), "Please don't specify a pipeline version"),
        (create_request(manifest="{"), "Invalid argo workflow format"),
        (create_request(manifest="null"), "Invalid argo workflow format"),
        (create_request(manifest='{"kind": "Pod"}'), "kind is 'Pod'"),
        (create_request(manifest=json.dumps(MANIFEST | {"spec": {}})), "expected at least one template"),
        (create_request(parameters=[{"name": "txet", "value": "x"}]), "declares no parameter 'txet'"),
        (create_request(parameters=[{"name": "text", "value": "x" * 10_000}]), "exceed maximum size of 10000"),
        (create_request(resource_references=[ref(PIPELINE, "p")]), "Unsupported resource type: PIPELINE"),
        (create_request(resource_references=[ref(0, "p")]), "Unsupported resource type"),
        (create_request(resource_references=[ResourceReference()]), "Unsupported resource type"),
        (create_request(resource_references=[ref(JOB, "")]), "expected an id"),
        (create_request(resource_references=[ref(JOB, "j", 0)]), "expected OWNER or CREATOR"),
        (create_request(resource_references=[ref(EXPERIMENT, "a"), ref(EXPERIMENT, "b")]), "one EXPERIMENT at most"),
    ],
)
async def test_an_invalid_request_writes_nothing(request_: CreateRunRequest, said: str):
    it = Bench()
    error = await it.refused("RunService/CreateRun", request_)
    assert error.code == Code.INVALID_ARGUMENT
    assert said.replace("'", '"') in error.message.replace("'", '"')
    assert not it.server.objects


async def test_a_refusal_of_the_api_server_is_an_invalid_argument():
    it = Bench()

    def refuse(call: str) -> None:
        if call == "create pipelineruns":
            raise ApiError(422, "Invalid", "spec.displayName: not on Fridays")

    it.client.before = refuse
    error = await it.refused("RunService/CreateRun", create_request())
    assert (error.code, error.message) == (Code.INVALID_ARGUMENT, "spec.displayName: not on Fridays")


async def test_requests_with_one_idempotency_key_create_one_run():
    it, headers = Bench(), {"idempotency-key": "k-1"}
    replies = await asyncio.gather(*(it.call("RunService/CreateRun", create_request(), headers) for _ in range(10)))
    assert len({reply.run.id for reply in replies}) == 1 and len(it.all(PIPELINE_RUNS)) == 1
    error = await it.refused("RunService/CreateRun", create_request("another"), headers=headers)
    assert error.code == Code.ALREADY_EXISTS
    await it.call("RunService/CreateRun", create_request(), headers, user="bob")
    assert len(it.all(PIPELINE_RUNS)) == 2, "each user has keys of its own"
    assert (
        await it.refused("RunService/CreateRun", create_request(), headers={"idempotency-key": "x" * 256})
    ).code == 3


async def test_a_pipeline_version_is_a_workflow_template():
    it = Bench()
    version = create_request(manifest="", resource_references=[ref(VERSION, "nightly", CREATOR)])
    error = await it.refused("RunService/CreateRun", version)
    assert error.code == Code.NOT_FOUND and not it.all(PIPELINE_RUNS)
    template = {"metadata": {"namespace": "team", "name": "nightly"}, "spec": MANIFEST["spec"]}
    it.put(WORKFLOW_TEMPLATES, template)
    detail = await it.call("RunService/CreateRun", version)
    assert it.run()["spec"]["workflow"] == {"templateRef": {"name": "nightly"}}
    assert (detail.run.pipeline_spec.pipeline_id, detail.run.pipeline_spec.pipeline_name) == ("nightly", "nightly")
    by_id = await it.call("RunService/CreateRun", create_request(manifest="", spec={"pipeline_id": "nightly"}))
    assert [(one.key.type, one.key.id) for one in by_id.run.resource_references][-1] == (VERSION, "nightly")


async def test_a_caller_without_the_right_to_create_writes_nothing():
    it = Bench()
    it.rights.refuse = {("create", "team")}
    assert (await it.refused("RunService/CreateRun", create_request())).code == Code.PERMISSION_DENIED
    assert not it.server.objects


async def test_a_run_in_multi_user_mode_needs_an_existing_experiment():
    it = Bench("")
    assert "Job has no experiment" in (await it.refused("RunService/CreateRun", create_request())).message
    error = await it.refused("RunService/CreateRun", create_request(resource_references=[ref(EXPERIMENT, "none")]))
    assert error.code == Code.NOT_FOUND


@pytest.mark.parametrize(("code", "kept"), [(403, False), (422, False), (413, False), (500, True), (0, True)])
async def test_a_refused_run_takes_its_new_manifest_along(code: int, kept: bool):
    """After another error than a refusal, the run may exist."""
    it = Bench()
    it.client.fail("create pipelineruns", ApiError(code, "Reason", "exceeded quota"))
    with contextlib.suppress(ServiceError):
        await it.call("RunService/CreateRun", create_request())
    assert len(it.all(PIPELINE_MANIFESTS)) == kept and not it.all(PIPELINE_RUNS)


async def test_a_refused_run_leaves_the_manifest_of_another_call():
    it = Bench()

    def create(call: str) -> None:
        if call == "create pipelineruns":
            it.client.before = lambda call: None
            raise ApiError(403, "Forbidden", "exceeded quota")

    async def refused() -> None:
        it.client.before = create
        error = await it.refused("RunService/CreateRun", create_request())
        assert error.code == Code.FAILED_PRECONDITION and "exceeded quota" in error.message

    stored = await it.manifests.store("team", MANIFEST_TEXT)
    await refused()
    assert len(it.all(PIPELINE_MANIFESTS)) == 1, "a call that is about to create its run stored it"
    await it.manifests.discard(stored)
    assert len(it.all(PIPELINE_MANIFESTS)) == 1, "another call has used it since"
    await it.call("RunService/CreateRun", create_request())


async def test_a_manifest_that_is_refused_is_the_clients_error():
    it = Bench()
    it.client.fail("create pipelinemanifests", ApiError(403, "Forbidden", "exceeded quota"))
    error = await it.refused("RunService/CreateRun", create_request())
    assert error.code == Code.FAILED_PRECONDITION and "exceeded quota" in error.message
    assert not it.all(PIPELINE_RUNS)


@pytest.mark.parametrize("kind", [JOB, VERSION, NAMESPACE, EXPERIMENT])
@pytest.mark.parametrize("id", ["a/b", "..", "a\nb", "x" * 254, "é", " ", "-"])
async def test_a_reference_with_an_id_that_no_object_has_is_refused(kind: int, id: str):
    it = Bench("")
    error = await it.refused("RunService/CreateRun", create_request(resource_references=[ref(kind, id)]))
    assert error.code == Code.INVALID_ARGUMENT and "resource_references[0].key.id" in error.message
    assert not it.all(PIPELINE_RUNS)


async def test_a_reference_to_another_namespace_is_refused():
    for mode in ("team", ""):
        it = Bench(mode)
        experiment = await create_experiment(it, namespace="team") if not mode else ""
        mine = [ref(EXPERIMENT, experiment)] if experiment else []
        request_ = create_request(resource_references=[*mine, ref(NAMESPACE, "other")])
        error = await it.refused("RunService/CreateRun", request_)
        assert error.code == Code.INVALID_ARGUMENT and "expected 'team'" in error.message
        assert not it.all(PIPELINE_RUNS) and not it.all(PIPELINE_MANIFESTS)
        request_ = create_request(resource_references=[*mine, ref(NAMESPACE, "team")])
        assert (await it.call("RunService/CreateRun", request_)).run.id


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
async def test_any_request_is_carried_out_or_an_error_of_the_client(request_: CreateRunRequest, namespace: str):
    it = Bench(namespace)
    try:
        detail = await it.call("RunService/CreateRun", request_)
    except ServiceError as error:
        assert error.code in (Code.INVALID_ARGUMENT, Code.NOT_FOUND), error.message
        assert not it.all(PIPELINE_RUNS)
    else:
        assert detail.run.name == request_.run.name


# ------------------------------------------------------------------------------------------------------------------ parts
def test_names_are_random_without_a_key_and_fixed_with_one():
    assert choose_run_name("Train it!", "team", "ann", "") != choose_run_name("Train it!", "team", "ann", "")
    assert choose_run_name("Train it!", "team", "ann", "").startswith("train-it-")
    keyed = {choose_run_name(name, "team", "ann", "k") for name in ("a", "b")}
    assert len(keyed) == 1
    assert len({choose_run_name("a", *who, "k") for who in (("team", "ann"), ("team", "bob"), ("other", "ann"))}) == 3


@pytest.mark.parametrize(
    ("name", "expected"), [("Train it!", "train-it"), ("…", "run"), ("x" * 100, "x" * 40), ("-a_b-", "a-b")]
)
def test_a_slug_is_valid_in_an_object_name(name: str, expected: str):
    assert slug(name) == expected


def test_of_two_parameters_with_one_name_the_last_is_taken():
    spec = PipelineSpec(parameters=[{"name": "a", "value": "1"}, {"name": "b"}, {"name": "a", "value": "2"}])  # type: ignore[list-item]
    assert run_parameters(spec) == [{"name": "a", "value": "2"}, {"name": "b", "value": ""}]


def test_the_digest_of_a_request_changes_with_each_field():
    requests = (create_request(), create_request("other"), create_request(description="d"))
    assert len({check_create_request(request.run).digest for request in requests}) == 3
    assert check_create_request(create_request().run).digest == check_create_request(create_request().run).digest
