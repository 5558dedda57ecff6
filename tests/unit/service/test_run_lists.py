"""ListRuns: scopes, and the rights that they need."""

from __future__ import annotations

import pytest

from runwright.api.resources import PIPELINE_RUNS
from runwright.service import run_lists
from runwright.service.contract.resource_reference_pb2 import ResourceKey
from runwright.service.contract.run_pb2 import (
    ListRunsRequest,
)
from runwright.service.errors import Code
from runwright.service.run_lists import resource_type_name
from tests.unit.service.bench import MANIFEST_TEXT, Bench
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


async def test_a_page_with_large_manifests_ends_early_and_the_next_one_goes_on(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(run_lists, "MAX_REPLY", 2_500)
    it = Bench()
    for _ in range(4):
        await create_run(it)
    first = await it.call("RunService/ListRuns", ListRunsRequest(page_size=4))
    assert 1 <= len(first.runs) < 4 and first.total_size == 4
    rest = await it.call("RunService/ListRuns", ListRunsRequest(page_size=4, page_token=first.next_page_token))
    assert rest.runs[0].id not in {run.id for run in first.runs}


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
