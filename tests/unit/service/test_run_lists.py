"""ListRuns: scopes, and the rights that they need."""

from __future__ import annotations

import pytest

from runwright.api.resources import PIPELINE_RUNS
from runwright.service.contract.resource_reference_pb2 import ResourceKey
from runwright.service.contract.run_pb2 import (
    ListRunsRequest,
)
from runwright.service.errors import Code
from tests.unit.service.bench import Bench
from tests.unit.service.requests import (
    EXPERIMENT,
    JOB,
    NAMESPACE,
    PIPELINE,
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
