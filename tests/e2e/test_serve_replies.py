"""Replies of the run service: whatever runs and requests contain, its memory and its other callers do not notice."""

from __future__ import annotations

import asyncio
import json
import re
import statistics
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from runwright.api.resources import PIPELINE_RUNS
from runwright.kube.http_client import HttpClient
from runwright.kube.login import log_in
from runwright.service.contract.resource_reference_pb2 import ResourceKey, ResourceType
from runwright.service.contract.run_pb2 import ListRunsRequest, ListRunsResponse
from tests.e2e.cluster import Kubectl
from tests.e2e.conftest import Apply
from tests.e2e.manifests import of_spec, pipeline_run, suspended
from tests.e2e.process_usage import read_process
from tests.e2e.processes import Serve
from tests.e2e.serving import API, Caller, token_of

MIB = 1024 * 1024
DEPLOYMENT_LIMIT = 512
"""Memory limit of the run service's Deployment, in MiB (charts/runwright/values.yaml)."""

LARGE_RUNS = 24
MANIFEST = 990_000
"""Characters of each of their manifests; the CRD allows a million."""

LIST_MESSAGE = 4 * MIB
"""The largest message that a client of gRPC takes by default."""


@pytest.fixture
def serve(serve_account: Path) -> Iterator[Serve]:
    with Serve(serve_account) as process:
        process.start()
        process.wait_log("pipelineexperiments listed in")
        process.wait_log("pipelineruns listed in")
        yield process
        assert process.errors() == []


class GrpcLists:
    """ListRuns over gRPC, with the default options of a client."""

    def __init__(self, serve: Serve, token: str) -> None:
        self._call = grpc.insecure_channel(serve.grpc).unary_unary(
            "/api.RunService/ListRuns",
            request_serializer=ListRunsRequest.SerializeToString,
            response_deserializer=ListRunsResponse.FromString,
        )
        self._metadata = (("authorization", f"Bearer {token}"),)

    def __call__(self, namespace: str, **fields: Any) -> ListRunsResponse:
        key = ResourceKey(type=ResourceType.NAMESPACE, id=namespace)
        request = ListRunsRequest(resource_reference_key=key, **fields)
        return self._call(request, metadata=self._metadata, timeout=60)

    def refused(self, namespace: str, **fields: Any) -> tuple[grpc.StatusCode, str]:
        try:
            reply = self(namespace, **fields)
        except grpc.RpcError as error:
            failed: Any = error
            return failed.code(), failed.details()
        raise AssertionError(f"it was not refused: {reply.total_size} runs")


async def create_runs(kubeconfig: Path, namespace: str, bodies: list[Any]) -> set[str]:
    """Create these runs, a few at a time; returns their uids."""
    async with HttpClient(await log_in(str(kubeconfig), None), user_agent="runwright-tests") as client:
        limit = asyncio.Semaphore(4)

        async def create(body: Any) -> str:
            body["metadata"]["namespace"] = namespace
            async with limit:
                return (await client.create(PIPELINE_RUNS, body))["metadata"]["uid"]

        return set(await asyncio.gather(*map(create, bodies)))


def large_manifest(number: int) -> str:
    """A manifest that is refused soon, so that Argo has nothing to do; a third of it is escaped in JSON."""
    return (
        json.dumps({"kind": "Nothing", "number": number, "pad": '"é' + "x" * 5})
        + " " * (MANIFEST // 3)
        + "\t" * (MANIFEST // 2)
    )


def read_pages(url: str, token: str, namespace: str) -> tuple[list[str], int]:
    """Lists all runs, 200 on a page, without decoding the pages; returns their ids, and the size of the largest page."""
    ids, page_token, largest = list[str](), "", 0
    while True:
        query = {
            "page_size": "200",
            "page_token": page_token,
            "resource_reference_key.type": "NAMESPACE",
            "resource_reference_key.id": namespace,
        }
        request = urllib.request.Request(
            f"{url}{API}/runs?{urllib.parse.urlencode(query)}", headers={"Authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(request, timeout=60) as reply:
            page = reply.read()
        largest = max(largest, len(page))
        ids += [one.decode() for one in re.findall(rb'"id":"([0-9a-f-]{36})","name":"large-', page)]
        found = re.search(rb'"next_page_token":"([^"]*)"', page)
        page_token = found[1].decode() if found else ""
        if not page_token:
            return ids, largest


def seconds_of(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def test_lists_of_large_manifests_stay_within_the_memory_of_the_deployment(
    kubeconfig: Path, kubectl: Kubectl, namespace: str, serve: Serve, apply: Apply
):
    """Five callers list runs with manifests of 1 MB at the same time, by REST and gRPC; meanwhile another reads a run."""
    tokens = [token_of(kubectl, namespace, f"lister-{number}", "view") for number in range(5)]
    other = Caller(serve.url, token_of(kubectl, namespace, "other", "view"))
    apply(pipeline_run({"spec": suspended()}, "small"))
    small = kubectl.get(namespace, "prun", "small")["metadata"]["uid"]
    get_run = lambda: other.good("GET", f"/runs/{small}")  # noqa: E731 - called in two places
    bodies = [
        of_spec({"workflow": {"manifest": large_manifest(number)}}, f"large-{number}") for number in range(LARGE_RUNS)
    ]
    ids = asyncio.run(create_runs(kubeconfig, namespace, bodies))
    for _ in range(100):
        if other.good("GET", "/runs", page_size=1, **named(namespace))["total_size"] == LARGE_RUNS + 1:
            break
    print("created", time.process_time(), time.perf_counter())
    alone = statistics.median(seconds_of(get_run) for _ in range(10))

    def by_grpc(token: str) -> tuple[list[str], int]:
        call, listed, page_token, largest = GrpcLists(serve, token), list[str](), "", 0
        while True:
            page = call(namespace, page_size=200, page_token=page_token)
            largest = max(largest, page.ByteSize())
            listed += [run.id for run in page.runs if run.name.startswith("large-")]
            page_token = page.next_page_token
            if not page_token:
                return listed, largest

    during, done = list[float](), threading.Event()

    def watch() -> None:
        while not done.is_set():
            during.append(seconds_of(get_run))

    with ThreadPoolExecutor(6) as pool:
        watching = pool.submit(watch)
        lists = [pool.submit(by_grpc, token) for token in tokens[:2]]
        lists += [pool.submit(read_pages, serve.url, token, namespace) for token in tokens[2:]]
        results = [one.result() for one in lists]
        done.set()
        watching.result()
    print("listed", time.process_time(), time.perf_counter(), read_process(serve.pid))
    peak = read_process(serve.pid).peak
    print(f"peak {peak:.0f} MiB; GetRun {alone * 1000:.0f} ms alone, {statistics.median(during) * 1000:.0f} ms during")
    for listed, largest in results:
        assert sorted(listed) == sorted(ids), "every run once"
        assert largest < 2 * LIST_MESSAGE
    assert peak < DEPLOYMENT_LIMIT
    assert statistics.median(during) < max(0.5, 10 * alone)


def named(namespace: str) -> dict[str, Any]:
    return {"resource_reference_key.type": "NAMESPACE", "resource_reference_key.id": namespace}
