"""Replies of the run service: whatever runs and requests contain, its memory and its other callers do not notice."""

from __future__ import annotations

import asyncio
import base64
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
from localcluster.catalogue import S3_ENVIRONMENT

from runwright.api.resources import PIPELINE_RUNS
from runwright.kube.http_client import HttpClient
from runwright.kube.login import log_in
from runwright.service.contract.resource_reference_pb2 import ResourceKey, ResourceType
from runwright.service.contract.run_pb2 import (
    ListRunsRequest,
    ListRunsResponse,
    ReadArtifactRequest,
    ReadArtifactResponse,
)
from runwright.service.run_service import RunOptions
from tests.e2e.cluster import Kubectl
from tests.e2e.conftest import Apply, WaitRun
from tests.e2e.manifests import of_spec, pipeline_run, shell, suspended
from tests.e2e.process_usage import read_process
from tests.e2e.processes import Serve
from tests.e2e.serving import API, Caller, token_of

MIB = 1024 * 1024
DEPLOYMENT_LIMIT = 512
"""Memory limit of the run service's Deployment, in MiB (charts/runwright/values.yaml)."""

LARGE_RUNS = 16
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


def wait_listed(call: Caller, ids: set[str]) -> None:
    """Return when the service lists these runs: GetRun waits for half a second for each."""
    for id in ids:
        assert any(call("GET", f"/runs/{id}")[0] == 200 for _ in range(40)), f"run {id} does not arrive"


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


@pytest.mark.timeout(240)
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
    wait_listed(other, ids)
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
    peak = read_process(serve.pid).peak
    print(f"peak {peak:.0f} MiB; GetRun {alone * 1000:.0f} ms alone, {statistics.median(during) * 1000:.0f} ms during")
    for listed, largest in results:
        assert sorted(listed) == sorted(ids), "every run once"
        assert largest < 2 * LIST_MESSAGE
    assert peak < DEPLOYMENT_LIMIT
    assert statistics.median(during) < max(0.5, 10 * alone)


def named(namespace: str) -> dict[str, Any]:
    """The parameters of a list of this namespace."""
    return {"resource_reference_key.type": "NAMESPACE", "resource_reference_key.id": namespace}


# -------------------------------------------------------------------------------------------------------------- artifacts
def store_bucket(kubectl: Kubectl) -> str:
    """HOST/BUCKET of the cluster's default artifact repository."""
    config = kubectl.get("argo", "configmap", "workflow-controller-configmap")
    repository = json.loads(config["data"]["artifactRepository"])["s3"]
    return f"{repository['endpoint']}/{repository['bucket']}"


@pytest.mark.timeout(240)
def test_artifacts_at_the_limit_stay_within_the_memory_of_the_deployment(
    serve_account: Path,
    kubectl: Kubectl,
    namespace: str,
    apply: Apply,
    wait_run: WaitRun,
    monkeypatch: pytest.MonkeyPatch,
):
    """Six readers, by REST and gRPC, of an object at the limit; one that is a byte longer is refused, unread."""
    limit = RunOptions().max_artifact
    script = f"head -c {limit} /dev/zero > /tmp/most && head -c {limit + 1} /dev/zero > /tmp/more"
    artifacts: list[Any] = [
        {"name": name, "path": f"/tmp/{name}", "archive": {"none": {}}} for name in ("most", "more")
    ]
    spec = {"entrypoint": "main", "templates": [shell(script, outputs={"artifacts": artifacts})]}
    apply(pipeline_run({"spec": spec}))
    tokens = [token_of(kubectl, namespace, f"reader-{number}", "edit") for number in range(3)]
    wait_run("run", "Succeeded")
    id = kubectl.get(namespace, "prun", "run")["metadata"]["uid"]
    for name, value in S3_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with Serve(serve_account, "--artifact-bucket", store_bucket(kubectl)) as serve:
        serve.start()
        serve.wait_log("pipelineruns listed in")
        before = read_process(serve.pid).peak

        def by_rest(token: str) -> bytes:
            url = f"{serve.url}{API}/runs/{id}/nodes/run/artifacts/most:read"
            request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
            with urllib.request.urlopen(request, timeout=60) as reply:
                return base64.b64decode(json.load(reply)["data"])

        def by_grpc(token: str) -> bytes:
            options = [("grpc.max_receive_message_length", limit + 1024)]
            with grpc.insecure_channel(serve.grpc, options) as channel:
                call = channel.unary_unary(
                    "/api.RunService/ReadArtifact",
                    request_serializer=ReadArtifactRequest.SerializeToString,
                    response_deserializer=ReadArtifactResponse.FromString,
                )
                request = ReadArtifactRequest(run_id=id, node_id="run", artifact_name="most")
                return call(request, metadata=(("authorization", f"Bearer {token}"),), timeout=60).data

        with ThreadPoolExecutor(6) as pool:
            reading = [pool.submit(read, token) for token in tokens for read in (by_rest, by_grpc)]
            assert all(one.result() == bytes(limit) for one in reading)
        peak = read_process(serve.pid).peak
        print(f"peak {before:.0f} MiB before, {peak:.0f} MiB after")
        assert peak < DEPLOYMENT_LIMIT
        status, refused = Caller(serve.url, tokens[0])("GET", f"/runs/{id}/nodes/run/artifacts/more:read")
        assert (status, refused["code"]) == (429, 8)
        assert f"more than {limit} bytes" in refused["message"]
        assert f"`runwright artifact {namespace}/run`" in refused["message"]
        assert serve.errors() == []


# ----------------------------------------------------------------------------------------------------------------- limits
def predicate(op: str, value: str, key: str = "name") -> dict[str, str]:
    return {"op": op, "key": key, "string_value": value}


def filter_of(*predicates: dict[str, str]) -> str:
    return json.dumps({"predicates": predicates}, ensure_ascii=False)


@pytest.mark.timeout(240)
def test_each_page_token_is_accepted_and_each_limit_is_named(
    kubectl: Kubectl, namespace: str, serve: Serve, kubeconfig: Path
):
    """Filters of emoji, by REST and gRPC: refused at once, or accepted on every page. What is refused leaves no memory."""
    token = token_of(kubectl, namespace, "lister", "view")
    rest, call = Caller(serve.url, token), GrpcLists(serve, token)
    text = "😀" * 255
    spec: Any = {"workflow": {"templateRef": {"name": "absent"}}, "displayName": text, "description": "🜁" * 4096}
    ids = asyncio.run(create_runs(kubeconfig, namespace, [of_spec(spec, f"run-{number}") for number in range(3)]))
    wait_listed(rest, ids)
    for filter in (
        filter_of(predicate("NOT_EQUALS", "🜂" * 1980)),
        filter_of(
            predicate("IS_SUBSTRING", "😀" * 256, "description"), predicate("IS_SUBSTRING", "🜁" * 200, "description")
        ),
        filter_of(predicate("EQUALS", text)),
    ):
        for sort_by in ("name", "description desc", "metric:" + "🜃" * 50):
            expected = set() if "😀" * 256 in filter else ids
            seen, page_token = list[str](), ""
            while True:
                page = call(namespace, page_size=1, page_token=page_token, sort_by=sort_by, filter=filter)
                query = {"page_size": 1, "page_token": page_token, "sort_by": sort_by, "filter": filter}
                again = rest.good("GET", "/runs", **query, **named(namespace))
                assert [one["id"] for one in again["runs"]] == [run.id for run in page.runs]
                seen += [run.id for run in page.runs]
                page_token = page.next_page_token
                if not page_token:
                    break
            assert len(seen) == len(expected) and set(seen) == expected
    # A run that the index does not hold as a whole is read when it is listed.
    parameters = [{"name": f"p{number}", "value": "🜄" * 15_000} for number in range(10)]
    large = of_spec({"workflow": {"templateRef": {"name": "absent"}}, "parameters": parameters}, "parameters")
    wait_listed(rest, asyncio.run(create_runs(kubeconfig, namespace, [large])))
    (listed,) = call(namespace, filter=filter_of(predicate("EQUALS", "parameters"))).runs
    assert [len(one.value) for one in listed.pipeline_spec.parameters] == [15_000] * 10
    invalid, before = grpc.StatusCode.INVALID_ARGUMENT, 0.0
    for number in range(60):
        if number == 20:
            before = read_process(serve.pid).resident
        long = f"{number}{'x' * MIB}"
        assert call.refused(namespace, sort_by=f"metric:{long}") == (
            invalid,
            "sort_by: expected 256 bytes at most; name a field, and asc or desc",
        )
        code, said = call.refused(long)
        assert code == invalid and "253 characters" in said
    assert read_process(serve.pid).resident < before + 40
    for filter, expected in (
        (filter_of(predicate("EQUALS", "😀" * 4096)), "filter: expected 8192 bytes at most"),
        (
            filter_of(*[predicate("IS_SUBSTRING", f"part {number}") for number in range(11)]),
            "expected 10 with IS_SUBSTRING",
        ),
        (filter_of(*[predicate("EQUALS", "x")] * 51), "filter.predicates: expected 50 at most, found 51"),
        (filter_of(predicate("IS_SUBSTRING", "x" * 257)), "expected 256 characters at most, found 257"),
    ):
        code, said = call.refused(namespace, filter=filter)
        assert code == invalid and expected in said
