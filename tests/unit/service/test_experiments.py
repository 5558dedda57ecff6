"""The ExperimentService: PipelineExperiments with unique names, and the runs that are archived with them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from runwright.api.resources import PIPELINE_EXPERIMENTS, PIPELINE_RUNS
from runwright.kube.errors import ApiError
from runwright.service.contract.experiment_pb2 import (
    ArchiveExperimentRequest,
    CreateExperimentRequest,
    DeleteExperimentRequest,
    Experiment,
    GetExperimentRequest,
    ListExperimentsRequest,
    UnarchiveExperimentRequest,
)
from runwright.service.contract.resource_reference_pb2 import ResourceKey
from runwright.service.contract.run_pb2 import ListRunsRequest
from runwright.service.errors import Code
from runwright.service.experiments import experiment_object_name
from tests.unit.service.bench import Bench
from tests.unit.service.requests import EXPERIMENT, NAMESPACE, create_request, ref

LABEL = "runwright.dev/storage-state"


def creation(name: str = "Nightly", namespace: str = "", **more: Any) -> CreateExperimentRequest:
    references = [ref(NAMESPACE, namespace)] if namespace else []
    return CreateExperimentRequest(experiment=Experiment(name=name, resource_references=references, **more))


async def create_experiment(it: Bench, name: str = "Nightly", namespace: str = "") -> str:
    return (await it.call("ExperimentService/CreateExperiment", creation(name, namespace))).id


async def test_an_experiment_is_created_with_a_name_from_its_display_name():
    it = Bench()
    made = await it.call("ExperimentService/CreateExperiment", creation(description="d"))
    (body,) = it.all(PIPELINE_EXPERIMENTS)
    assert body["spec"] == {"displayName": "Nightly", "description": "d"}
    assert body["metadata"]["name"] == experiment_object_name("Nightly") and body["metadata"]["namespace"] == "team"
    assert (made.id, made.name, made.description) == (body["metadata"]["uid"], "Nightly", "d")
    got = await it.call("ExperimentService/GetExperiment", GetExperimentRequest(id=made.id))
    assert got == made


async def test_of_two_experiments_with_one_name_one_is_created():
    it = Bench()
    calls = (it.call("ExperimentService/CreateExperiment", creation()) for _ in range(5))
    results = await asyncio.gather(*calls, return_exceptions=True)
    errors: list[Any] = [one for one in results if isinstance(one, Exception)]
    assert [error.code for error in errors] == [Code.ALREADY_EXISTS] * 4
    assert len(it.all(PIPELINE_EXPERIMENTS)) == 1
    await it.call("ExperimentService/CreateExperiment", creation("nightly"))
    assert len(it.all(PIPELINE_EXPERIMENTS)) == 2, "names that differ in case only are two names"


@pytest.mark.parametrize(
    ("namespace", "request_", "text"),
    [
        ("team", creation(""), "Experiment name is empty"),
        ("team", creation("x" * 256), "expected up to 255 characters"),
        ("team", creation(namespace="other"), "In single-user mode"),
        ("", creation(), "Expect one namespace type with owner relationship"),
    ],
)
async def test_an_invalid_experiment_is_refused(namespace: str, request_: CreateExperimentRequest, text: str):
    it = Bench(namespace)
    error = await it.refused("ExperimentService/CreateExperiment", request_)
    assert error.code == Code.INVALID_ARGUMENT and text in error.message
    assert not it.server.objects


async def test_a_refusal_of_the_api_server_is_an_error_of_the_client():
    it = Bench()
    it.client.fail("create pipelineexperiments", ApiError(403, "Forbidden", "quota"))
    error = await it.refused("ExperimentService/CreateExperiment", creation())
    assert (error.code, error.message) == (Code.FAILED_PRECONDITION, "quota")


async def test_a_list_in_multi_user_mode_needs_a_namespace_or_the_right_to_list_all():
    it = Bench("")
    ids = [await create_experiment(it, namespace=namespace) for namespace in ("team", "other")]
    everything = await it.call("ExperimentService/ListExperiment", ListExperimentsRequest())
    assert everything.total_size == 2
    key = ResourceKey(type=NAMESPACE, id="team")  # type: ignore[arg-type]
    some = await it.call("ExperimentService/ListExperiment", ListExperimentsRequest(resource_reference_key=key))
    assert [one.id for one in some.experiments] == ids[:1]
    assert some.experiments[0].resource_references[0].key.id == "team"
    it.rights.refuse = {("list", "")}
    error = await it.refused("ExperimentService/ListExperiment", ListExperimentsRequest())
    assert error.code == Code.INVALID_ARGUMENT
    it.rights.refuse = {("list", "team")}
    request = ListExperimentsRequest(resource_reference_key=key)
    assert (await it.refused("ExperimentService/ListExperiment", request)).code == Code.PERMISSION_DENIED


async def test_a_list_is_read_page_by_page_and_unavailable_before_the_sync():
    it = Bench()
    for name in "abcde":
        await create_experiment(it, name)
    names, token = list[str](), ""
    while True:
        request = ListExperimentsRequest(page_size=2, sort_by="name desc", page_token=token)
        page = await it.call("ExperimentService/ListExperiment", request)
        names += [one.name for one in page.experiments]
        token = page.next_page_token
        if not token:
            break
    assert names == list("edcba")
    it.experiments.synced = False
    error = await it.refused("ExperimentService/ListExperiment", ListExperimentsRequest())
    assert error.code == Code.UNAVAILABLE


async def test_archive_takes_the_runs_along_and_unarchive_leaves_them():
    it = Bench()
    id, other = await create_experiment(it), await create_experiment(it, "Other")
    for experiment in (id, id, other):
        await it.call("RunService/CreateRun", create_request(resource_references=[ref(EXPERIMENT, experiment)]))
    await it.call("ExperimentService/ArchiveExperiment", ArchiveExperimentRequest(id=id))
    archived = [LABEL in (run["metadata"]["labels"]) for run in it.all(PIPELINE_RUNS)]
    assert archived == [True, True, False]
    got = await it.call("ExperimentService/GetExperiment", GetExperimentRequest(id=id))
    assert got.storage_state == Experiment.STORAGESTATE_ARCHIVED
    await it.call("ExperimentService/UnarchiveExperiment", UnarchiveExperimentRequest(id=id))
    got = await it.call("ExperimentService/GetExperiment", GetExperimentRequest(id=id))
    assert got.storage_state == Experiment.STORAGESTATE_AVAILABLE
    assert [LABEL in (run["metadata"]["labels"]) for run in it.all(PIPELINE_RUNS)] == archived


async def test_archive_needs_the_right_to_patch_runs_and_a_complete_index():
    it = Bench()
    id = await create_experiment(it)
    it.index.synced = False
    error = await it.refused("ExperimentService/ArchiveExperiment", ArchiveExperimentRequest(id=id))
    assert error.code == Code.UNAVAILABLE
    it.rights.refuse = {("patch", "team")}
    error = await it.refused("ExperimentService/ArchiveExperiment", ArchiveExperimentRequest(id=id))
    assert error.code == Code.PERMISSION_DENIED


async def test_delete_leaves_the_runs():
    it = Bench()
    id = await create_experiment(it)
    await it.call("RunService/CreateRun", create_request(resource_references=[ref(EXPERIMENT, id)]))
    await it.call("ExperimentService/DeleteExperiment", DeleteExperimentRequest(id=id))
    assert not it.all(PIPELINE_EXPERIMENTS) and len(it.all(PIPELINE_RUNS)) == 1
    assert (await it.call("RunService/ListRuns", ListRunsRequest())).total_size == 1
    for method, request in (
        ("GetExperiment", GetExperimentRequest(id=id)),
        ("DeleteExperiment", DeleteExperimentRequest(id=id)),
        ("ArchiveExperiment", ArchiveExperimentRequest(id=id)),
    ):
        assert (await it.refused(f"ExperimentService/{method}", request)).code == Code.NOT_FOUND


async def test_a_new_experiment_with_the_same_name_is_not_found_by_the_old_id():
    it = Bench()
    id = await create_experiment(it)
    (body,) = it.all(PIPELINE_EXPERIMENTS)
    it.put(PIPELINE_EXPERIMENTS, {**body, "metadata": {**body["metadata"], "uid": "another"}})
    assert (await it.refused("ExperimentService/GetExperiment", GetExperimentRequest(id=id))).code == Code.NOT_FOUND


async def test_the_default_experiment_is_created_once():
    it = Bench()
    await asyncio.gather(*(it.call("RunService/CreateRun", create_request(f"r{n}")) for n in range(5)))
    (body,) = it.all(PIPELINE_EXPERIMENTS)
    assert body["spec"]["displayName"] == "Default"


def test_object_names_are_valid_and_differ_with_their_display_names():
    names = {experiment_object_name(name) for name in ("Nightly", "nightly", "Ünïcode", "…", "x" * 300, "\ud800")}
    assert len(names) == 6
    assert all(len(name) <= 63 and name.replace("-", "").isalnum() and name.islower() for name in names)
