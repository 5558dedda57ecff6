"""ListRuns: scopes, and the rights that they need."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runwright.api.resources import PIPELINE_RUNS
from runwright.service import run_lists
from runwright.service.calls import Call, Caller
from runwright.service.contract.resource_reference_pb2 import ResourceKey
from runwright.service.contract.run_pb2 import ListRunsRequest, Run
from runwright.service.errors import Code
from runwright.service.experiment_rows import ExperimentRow
from runwright.service.index import Index
from runwright.service.rows import RowFactory, RunRow
from runwright.service.run_lists import RunLists, resource_type_name
from runwright.service.tenancy import Tenancy
from tests.unit.service.bench import MANIFEST_TEXT, Bench, Rights
from tests.unit.service.bodies import run_body
from tests.unit.service.requests import (
    EXPERIMENT,
    JOB,
    NAMESPACE,
    PIPELINE,
    create_request,
    create_run,
)


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
async def test_a_list_has_the_runs_of_its_scope(namespace: str, kind: int | None, id: str, expected: int | Code):
    it = Bench("team")
    for _ in range(2):
        await create_run(it)
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


async def test_pages_have_every_run_once_with_its_manifest():
    it = Bench()
    for _ in range(7):
        await create_run(it)
    ids, token, sizes = list[str](), "", list[int]()
    while True:
        page = await it.call("RunService/ListRuns", ListRunsRequest(page_size=3, page_token=token))
        assert {run.pipeline_spec.workflow_manifest for run in page.runs} == {MANIFEST_TEXT}
        ids += [run.id for run in page.runs]
        sizes.append(len(page.runs))
        token = page.next_page_token
        if not token:
            break
    assert sizes == [3, 3, 1] and len(set(ids)) == 7


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 3000), min_size=1, max_size=12), st.integers(1, 12))
def test_pages_end_before_their_limit_of_bytes_and_have_every_run_once(sizes: list[int], page_size: int):
    async def play() -> None:
        running, most = 0, 0

        async def read_run(row: RunRow) -> Run:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1
            return row.run("x" * sizes[row.created_at])

        index = Index[RunRow]()
        index.synced = True
        for number in range(len(sizes)):
            at = f"1970-01-01T00:00:{number:02}Z"
            index.apply(RowFactory().row(run_body(f"r{number:02}", metadata={"creationTimestamp": at})))
        lists = RunLists(index, b"k" * 32, read_run, Tenancy("team", Rights(), Index[RunRow](), Index[ExperimentRow]()))
        listed, token = list[str](), ""
        while True:
            request = ListRunsRequest(page_size=page_size, page_token=token)
            page = await lists.list_runs(request, Call(Caller("ann"), "RunService/ListRuns"))
            assert len(page.runs) == 1 or sum(run.ByteSize() for run in page.runs) <= 3000
            assert page.total_size == len(sizes) and 1 <= len(page.runs) <= page_size
            listed += [run.id for run in page.runs]
            token = page.next_page_token
            if not token:
                break
        assert listed == [f"uid-r{number:02}" for number in range(len(sizes))]
        assert most <= run_lists.READS_OF_A_LIST and running == 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_lists, "MAX_REPLY", 3000)
        asyncio.run(play())


async def test_a_page_that_ends_early_reads_only_a_few_runs_more(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(run_lists, "MAX_REPLY", 3_000)
    it = Bench()
    for _ in range(30):
        await it.call("RunService/CreateRun", create_request())
    for body in it.all(PIPELINE_RUNS):
        it.put(PIPELINE_RUNS, {**body, "spec": {**body["spec"], "workflow": {"manifest": "x" * 1000}}})
        it.runs.index(it.server.patch_status("PipelineRun", "team", body["metadata"]["name"], {"phase": "Running"}))
    it.client.calls.clear()
    page = await it.call("RunService/ListRuns", ListRunsRequest(page_size=30))
    assert len(page.runs) == 2 and page.next_page_token
    assert it.client.calls.count("get pipelineruns") <= 3 + run_lists.READS_OF_A_LIST


async def test_a_filter_selects_runs_and_counts_them():
    it = Bench()
    for name in ("a", "b", "a"):
        await it.call("RunService/CreateRun", create_request(name))
    predicate = '{"predicates": [{"key": "name", "op": "EQUALS", "string_value": "a"}]}'
    page = await it.call("RunService/ListRuns", ListRunsRequest(filter=predicate))
    assert page.total_size == 2 and {run.name for run in page.runs} == {"a"}


def test_a_type_that_the_contract_does_not_have_is_named_by_its_number():
    assert resource_type_name(ResourceKey(type=EXPERIMENT)) == "EXPERIMENT"  # type: ignore[arg-type]
    assert resource_type_name(ResourceKey(type=77)) == "77"  # type: ignore[arg-type]
