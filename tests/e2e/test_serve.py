"""The run service on a real cluster: who may what, lists that are whole, requests that are repeated, TLS, gRPC."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message_factory import GetMessageClass
from google.rpc.status_pb2 import Status
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from runwright.kube.http_client import HttpClient
from runwright.kube.login import log_in
from runwright.service.manifests import Manifests
from tests.e2e.cluster import Kubectl
from tests.e2e.conftest import SYSTEM, Apply, WaitRun, fresh_namespace
from tests.e2e.manifests import instant, one_step, pipeline_run, suspended
from tests.e2e.processes import Serve
from tests.e2e.serving import Caller, asking, certificate, token_of
from tests.grpc_token import WithToken

EDIT, VIEW = "edit", "view"


@pytest.fixture(scope="module")
def serve(serve_account: Path) -> Iterator[Serve]:
    """In multi-user mode, for all namespaces, with page tokens that the deployed replicas know too."""
    with Serve(serve_account, "--page-key-secret", f"{SYSTEM}/runwright-serve-page-key") as process:
        process.start()
        process.wait_log("pipelineexperiments listed in")
        process.wait_log("pipelineruns listed in")
        yield process
        assert process.errors() == []


@pytest.fixture
def editor(kubectl: Kubectl, namespace: str, serve: Serve) -> Caller:
    """Somebody who may edit the test's namespace."""
    return Caller(serve.url, token_of(kubectl, namespace, "editor", EDIT))


# ----------------------------------------------------------------------------------------------------------------- rights
def test_each_user_sees_only_their_namespaces(kubectl: Kubectl, namespace: str, serve: Serve, editor: Caller):
    with fresh_namespace(kubectl) as other:
        stranger = Caller(serve.url, token_of(kubectl, other, "stranger", EDIT))
        viewer = Caller(serve.url, token_of(kubectl, namespace, "viewer", VIEW))
        nobody = Caller(serve.url, token_of(kubectl, namespace, "nobody", None))
        experiment = editor.experiment("mine", namespace)
        id = editor.good("POST", "/runs", asking("secret", suspended(), experiment))["run"]["id"]
        key: Any = {"resource_reference_key.type": "NAMESPACE", "resource_reference_key.id": namespace}
        assert [run["id"] for run in editor.good("GET", "/runs", **key)["runs"]] == [id]
        assert [run["id"] for run in viewer.good("GET", "/runs", **key)["runs"]] == [id]
        for one in (stranger, nobody):
            assert one("GET", "/runs", **key)[0] == 403
            assert one("GET", "/runs")[0] == 400, "all namespaces are for who may list them all"
            check_hidden(one, id, experiment)
        assert viewer.good("GET", f"/runs/{id}")["run"]["name"] == "secret"
        for verb, path in (("POST", f"/runs/{id}:archive"), ("POST", f"/runs/{id}/retry"), ("DELETE", f"/runs/{id}")):
            assert viewer(verb, path)[0] == 403
        assert viewer("POST", f"/runs/{id}:reportMetrics", {"metrics": []})[0] == 403
        assert viewer("GET", f"/runs/{id}/nodes/n/artifacts/a:read")[0] == 404
        for bad in (Caller(serve.url), Caller(serve.url, "forged.token.here")):
            status, refused = bad("GET", f"/runs/{id}")
            assert (status, refused["code"]) == (401, 16)
        status, refused = editor("GET", f"/runs/{id}", headers={"Impersonate-User": "system:admin"})
        assert (status, refused["code"]) == (400, 3)
        assert kubectl.list(namespace, "prun")[0]["metadata"]["annotations"]["runwright.dev/created-by"] == (
            f"system:serviceaccount:{namespace}:editor"
        )
        assert len(kubectl.list(namespace, "prun")) == 1


UNKNOWN = "00000000-0000-4000-8000-000000000000", "00000000-0000-4000-8000-000000000001"


def check_hidden(caller: Caller, run: str, experiment: str) -> None:
    """Each RPC that takes an id answers that of another tenant's object as it answers an unknown one, and as late."""
    calls: list[tuple[str, str, Any]] = [
        ("GET", "/runs/RUN", None),
        ("DELETE", "/runs/RUN", None),
        ("POST", "/runs/RUN:archive", None),
        ("POST", "/runs/RUN:unarchive", None),
        ("POST", "/runs/RUN/terminate", None),
        ("POST", "/runs/RUN/retry", None),
        ("POST", "/runs/RUN:reportMetrics", {"metrics": []}),
        ("GET", "/runs/RUN/nodes/n/artifacts/a:read", None),
        ("GET", "/experiments/EXPERIMENT", None),
        ("DELETE", "/experiments/EXPERIMENT", None),
        ("POST", "/experiments/EXPERIMENT:archive", None),
        ("POST", "/experiments/EXPERIMENT:unarchive", None),
        ("GET", "/runs?resource_reference_key.type=EXPERIMENT&resource_reference_key.id=EXPERIMENT", None),
        ("POST", "/runs", asking("intruder", suspended(), "EXPERIMENT")),
    ]

    def reply(verb: str, path: str, body: Any, run: str, experiment: str) -> tuple[int, str, bool]:
        began = time.monotonic()
        sent = json.loads(json.dumps(body).replace('"id": "EXPERIMENT"', f'"id": "{experiment}"'))
        path, dot, query = path.partition("?")
        path = path.replace("RUN", run).replace("EXPERIMENT", experiment)
        status, said = caller(verb, path + dot + query.replace("id=EXPERIMENT", f"id={experiment}"), sent)
        text = json.dumps(said).replace(run, "RUN").replace(experiment, "EXPERIMENT")
        return status, text, time.monotonic() - began >= 0.49

    with ThreadPoolExecutor(7) as pool:
        foreign = list(pool.map(lambda call: reply(call[0], call[1], call[2], run, experiment), calls))
        unknown = list(pool.map(lambda call: reply(call[0], call[1], call[2], *UNKNOWN), calls))
    for call, one, other in zip(calls, foreign, unknown, strict=True):
        assert (one[0], one[2]) == (404, True), (call, one)
        assert one == other, call


def test_a_run_is_listed_in_its_own_namespace_only_whatever_its_spec_refers_to(
    kubectl: Kubectl, namespace: str, serve: Serve, editor: Caller
):
    """As its owner may write it with kubectl: another tenant's lists neither have it nor fail."""
    with fresh_namespace(kubectl) as other:
        neighbour = Caller(serve.url, token_of(kubectl, other, "neighbour", EDIT))
        theirs = neighbour.experiment("theirs", other)
        id = neighbour.good("POST", "/runs", asking("theirs", suspended(), theirs))["run"]["id"]
        bad: list[dict[str, Any]] = [
            {"spec": suspended()},
            *({"manifestFrom": {"configMapKeyRef": {"name": name, "key": key}}} for name, key in BROKEN),
        ]
        for number, source in enumerate(bad):
            run = pipeline_run(source, f"odd-{number}")
            run["spec"]["references"] = [{"type": "NAMESPACE", "id": other}, {"type": "EXPERIMENT", "id": theirs}]
            kubectl("create", "-n", namespace, "-f", "-", input=json.dumps(run))
        mine: Any = {"resource_reference_key.type": "NAMESPACE", "resource_reference_key.id": namespace}
        for _ in range(100):
            found = editor.good("GET", "/runs", page_size=50, **mine)
            if found["total_size"] == len(bad):
                break
        assert {run["name"] for run in found["runs"]} == {f"odd-{number}" for number in range(len(bad))}
        shown = [one["key"] for run in found["runs"] for one in run["resource_references"]]
        assert {"type": "NAMESPACE", "id": other} not in shown
        assert {run["name"] for run in found["runs"] if run["pipeline_spec"].get("workflow_manifest")} == {"odd-0"}
        for kind, key in (("NAMESPACE", other), ("EXPERIMENT", theirs)):
            query: Any = {"resource_reference_key.type": kind, "resource_reference_key.id": key}
            assert [run["id"] for run in neighbour.good("GET", "/runs", **query)["runs"]] == [id]
        for run in found["runs"]:
            editor.good("GET", f"/runs/{run['id']}")
        experiment = editor.experiment("mine", namespace)
        for kind, key in (
            ("NAMESPACE", other),
            ("NAMESPACE", "a/b"),
            ("JOB", "a/b"),
            ("JOB", "a\nb"),
            ("PIPELINE", "p"),
        ):
            reference = {"key": {"type": kind, "id": key}, "relationship": "OWNER"}
            status, said = editor("POST", "/runs", asking("x", suspended(), experiment, references=[reference]))
            assert (status, said["code"]) == (400, 3) and "resource_references[1]" in said["error"], said
        assert len(kubectl.list(namespace, "prun")) == len(bad)


BROKEN = (("a/b", "k"), ("..", "k"), ("A B", "k"), ("none", "../k"), ("none", "k"))
"""Names and keys of ConfigMaps; no ConfigMap can have the first ones."""


def test_a_revoked_right_ends_within_seconds(kubectl: Kubectl, namespace: str, editor: Caller):
    experiment = editor.experiment("mine", namespace)
    assert editor("GET", f"/experiments/{experiment}")[0] == 200
    kubectl("delete", "rolebinding", "-n", namespace, "editor")
    kubectl("create", "configmap", "-n", namespace, "clock")
    for _ in range(300):
        if editor("GET", f"/experiments/{experiment}")[0] == 404:
            return
        subprocess.run(["sleep", "0.1"], check=True)  # no event shows it: an entry in the service's cache expires
    raise AssertionError("the right still holds after 30 s")


# ------------------------------------------------------------------------------------------------------------------ lists
def test_a_list_is_complete_and_includes_a_new_run(kubectl: Kubectl, namespace: str, apply: Apply, editor: Caller):
    """Runs made through the service, by kubectl, and archived ones; in pages that skip and double nothing."""
    experiment = editor.experiment("mine", namespace)
    key: Any = {"resource_reference_key.type": "NAMESPACE", "resource_reference_key.id": namespace}
    for number in range(12):
        id = editor.good("POST", "/runs", asking(f"run {number:02}", suspended(), experiment))["run"]["id"]
        assert id in [run["id"] for run in editor.good("GET", "/runs", page_size=200, **key)["runs"]]
    apply(pipeline_run({"spec": suspended()}, "by-kubectl"))
    kubectl("label", "-n", namespace, "prun", "by-kubectl", "runwright.dev/storage-state=Archived")
    runs = {run["metadata"]["uid"]: run for run in kubectl.list(namespace, "prun")}
    for _ in range(100):
        if editor.good("GET", "/runs", **key)["total_size"] == len(runs):
            break
    for sort_by in ("", "name desc", "id", "storage_state desc", "status", "created_at desc", "metric:none"):
        seen: list[dict[str, Any]] = []
        token = ""
        while True:
            page = editor.good("GET", "/runs", page_size=5, sort_by=sort_by, page_token=token, **key)
            assert page["total_size"] == 13
            seen += page["runs"]
            token = page["next_page_token"]
            if not token:
                break
        assert [len(seen), {run["id"] for run in seen}] == [13, set(runs)], sort_by
        field, _, way = sort_by.partition(" ")
        if field in ("name", "id", "storage_state"):
            values = [run[field] for run in seen]
            assert values == sorted(values, reverse=way == "desc")
    by_kubectl = next(run for run in seen if run["name"] == "by-kubectl")
    assert json.loads(by_kubectl["pipeline_spec"]["workflow_manifest"])["spec"] == suspended()
    assert by_kubectl["storage_state"] == "STORAGESTATE_ARCHIVED"
    of_experiment: Any = {"resource_reference_key.type": "EXPERIMENT", "resource_reference_key.id": experiment}
    assert editor.good("GET", "/runs", **of_experiment)["total_size"] == 12
    status, refused = editor("GET", "/runs", page_size=5, sort_by="name", page_token=token or "x", **key)
    assert (status, refused["code"]) == (400, 3)


def test_a_second_replica_accepts_page_tokens_of_the_first(serve_account: Path, namespace: str, editor: Caller):
    experiment = editor.experiment("mine", namespace)
    key: Any = {"resource_reference_key.type": "NAMESPACE", "resource_reference_key.id": namespace}
    for number in range(3):
        editor.good("POST", "/runs", asking(f"run {number}", suspended(), experiment))
    first = editor.good("GET", "/runs", page_size=2, sort_by="name", **key)
    with Serve(serve_account, "--page-key-secret", f"{SYSTEM}/runwright-serve-page-key") as other:
        other.start()
        other.wait_log("pipelineruns listed in")
        second = Caller(other.url, editor._token)
        for _ in range(100):
            status, page = second("GET", "/runs", page_size=2, page_token=first["next_page_token"], **key)
            assert status in (200, 503), page
            if status == 200:
                break
        assert [run["name"] for run in page["runs"]] == ["run 2"]


# ----------------------------------------------------------------------------------------------------------------- create
def test_a_repeated_create_makes_one_run_and_a_refused_one_none(kubectl: Kubectl, namespace: str, editor: Caller):
    experiment = editor.experiment("mine", namespace)
    request, headers = asking("once", suspended(), experiment), {"Idempotency-Key": "key-1"}
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: editor("POST", "/runs", request, headers=headers), range(16)))
    assert {status for status, _ in replies} == {200}
    assert len({reply["run"]["id"] for _, reply in replies}) == 1
    assert editor("POST", "/runs", asking("other", suspended(), experiment), headers=headers)[0] == 409
    for bad in (
        asking("", suspended(), experiment),
        asking("bad", {"entrypoint": "none", "templates": []}, experiment),
        asking("bad", suspended(), experiment, pipeline_spec={"parameters": [{"name": "x", "value": "1"}]}),
        asking("x" * 300, suspended(), experiment),
    ):
        status, refused = editor("POST", "/runs", bad)
        assert (status, refused["code"]) == (400, 3), refused
    assert editor("POST", "/runs", asking("lost", suspended(), "no-such"))[0] == 404
    assert len(kubectl.list(namespace, "prun")) == 1
    assert len(kubectl.list(namespace, "pipelinemanifest", "-l", "runwright.dev/manifest")) == 1


def test_a_shared_manifest_is_stored_once_and_deleted_with_its_last_run(
    kubectl: Kubectl, serve_account: Path, namespace: str, editor: Caller
):
    """The sweep of the service, with its rights, hours later."""
    experiment = editor.experiment("mine", namespace)
    ids = [editor.good("POST", "/runs", asking("same", suspended(), experiment))["run"]["id"] for _ in range(5)]

    def manifests() -> int:
        return len(kubectl.list(namespace, "pipelinemanifest", "-l", "runwright.dev/manifest"))

    assert manifests() == 1
    sweep(serve_account, namespace, timedelta(hours=3))
    assert manifests() == 1, "the API server knows of runs that use it"
    for id in ids:
        editor.good("DELETE", f"/runs/{id}")
    sweep(serve_account, namespace, timedelta())
    assert manifests() == 1, "it was used a moment ago"
    sweep(serve_account, namespace, timedelta(hours=3))
    assert manifests() == 0


def test_a_run_refused_by_a_quota_takes_its_manifest_along(kubectl: Kubectl, namespace: str, editor: Caller):
    experiment = editor.experiment("mine", namespace)
    kept = editor.good("POST", "/runs", asking("kept", suspended(), experiment))["run"]["id"]
    hard = {"count/pipelineruns.runwright.dev": "1"}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "runs"}, "spec": {"hard": hard}}
    kubectl("create", "-n", namespace, "-f", "-", input=json.dumps(quota))
    kubectl.wait(namespace, "resourcequota", "runs", lambda found: found.get("status", {}).get("used") == hard)
    for spec in (one_step(), one_step(), suspended()):
        status, refused = editor("POST", "/runs", asking("refused", spec, experiment))
        assert (status, refused["code"]) == (400, 9) and "exceeded quota" in refused["error"]
        assert len(kubectl.list(namespace, "pipelinemanifest")) == 1, "only that of the run that exists"
    assert editor.good("GET", f"/runs/{kept}")["run"]["pipeline_spec"]["workflow_manifest"]


def sweep(kubeconfig: Path, namespace: str, later: timedelta) -> None:
    class Clock:
        def now(self) -> datetime:
            return datetime.now(UTC) + later

    async def run() -> None:
        async with HttpClient(await log_in(str(kubeconfig)), user_agent="tests") as client:
            await Manifests(client, Clock(), (namespace,)).sweep(set)

    asyncio.run(run())


def test_a_workflow_template_serves_as_a_pipeline_version(
    apply: Apply, namespace: str, wait_run: WaitRun, kubectl: Kubectl, editor: Caller
):
    template = {"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTemplate", "metadata": {"name": "nightly"}}
    apply(template | {"spec": instant()})
    experiment = editor.experiment("mine", namespace)
    version = {"key": {"type": "PIPELINE_VERSION", "id": "nightly"}, "relationship": "CREATOR"}
    request = asking("of a version", {}, experiment, references=[version])
    request["pipeline_spec"].pop("workflow_manifest")
    detail = editor.good("POST", "/runs", request)
    (run,) = kubectl.list(namespace, "prun")
    wait_run(run["metadata"]["name"], "Succeeded")
    found = editor.good("GET", f"/runs/{detail['run']['id']}")
    assert found["run"]["status"] == "Succeeded" and found["run"]["pipeline_spec"]["pipeline_id"] == "nightly"
    assert json.loads(found["pipeline_runtime"]["workflow_manifest"])["status"]["phase"] == "Succeeded"
    by_version: Any = {"resource_reference_key.type": "PIPELINE_VERSION", "resource_reference_key.id": "nightly"}
    assert editor("GET", "/runs", **by_version)[0] == 400, "of all namespaces"


def test_a_run_without_its_workflow_is_found_and_retried(
    kubectl: Kubectl, namespace: str, wait_run: WaitRun, editor: Caller
):
    experiment = editor.experiment("mine", namespace)
    id = editor.good("POST", "/runs", asking("fails", one_step("exit 1"), experiment))["run"]["id"]
    (run,) = kubectl.list(namespace, "prun")
    name = run["metadata"]["name"]
    wait_run(name, "Failed")
    assert editor.good("POST", f"/runs/{id}:archive") == {}
    kubectl("wait", "-n", namespace, "--for=delete", f"workflow/{name}", "--timeout=120s", timeout=130)
    detail = editor.good("GET", f"/runs/{id}")
    assert json.loads(detail["pipeline_runtime"]["workflow_manifest"])["status"]["phase"] == "Failed"
    assert editor.good("POST", f"/runs/{id}:unarchive") == {}
    wait_run(name, lambda found: found["status"].get("storageState") == "Available")
    assert editor.good("POST", f"/runs/{id}/retry") == {}
    wait_run(name, lambda found: found["status"].get("retries") == 1 and found["status"]["phase"] == "Failed")
    assert editor.good("DELETE", f"/runs/{id}") == {}
    assert editor("DELETE", f"/runs/{id}")[0] == 404
    kubectl("wait", "-n", namespace, "--for=delete", f"workflow/{name}", "--timeout=120s", timeout=130)


def test_metrics_of_clients_and_steps_are_merged(kubectl: Kubectl, namespace: str, wait_run: WaitRun, editor: Caller):
    """A step leaves metrics while several clients report some: none is lost, none is doubled."""
    experiment = editor.experiment("mine", namespace)
    file = json.dumps({"metrics": [{"name": f"step-{n}", "numberValue": n} for n in range(5)]})
    spec = one_step(f"printf '%s' '{file}' > /tmp/m")
    output = {"name": "mlpipeline-metrics", "valueFrom": {"path": "/tmp/m"}}
    spec["templates"][0]["outputs"] = {"parameters": [output]}
    id = editor.good("POST", "/runs", asking("reports", spec, experiment))["run"]["id"]

    def report(number: int) -> list[str]:
        metrics = [{"name": name, "node_id": "n", "number_value": number} for name in ("same", f"own-{number}")]
        return [
            one["status"] for one in editor.good("POST", f"/runs/{id}:reportMetrics", {"metrics": metrics})["results"]
        ]

    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(report, range(12)))
    assert sorted(one[0] for one in results) == ["DUPLICATE_REPORTING"] * 11 + ["OK"]
    assert [one[1] for one in results] == ["OK"] * 12
    (run,) = kubectl.list(namespace, "prun")
    wait_run(run["metadata"]["name"], "Succeeded")
    names = [one["name"] for one in editor.good("GET", f"/runs/{id}")["run"]["metrics"]]
    assert sorted(names) == sorted(["same", *(f"own-{n}" for n in range(12)), *(f"step-{n}" for n in range(5))])


# ------------------------------------------------------------------------------------------------------------------- gRPC
class Reflected:
    """A client that knows nothing of the contract but what the service itself tells, as grpcurl does."""

    def __init__(self, address: str, token: str, credentials: grpc.ChannelCredentials | None = None) -> None:
        self._channel = grpc.secure_channel(address, credentials) if credentials else grpc.insecure_channel(address)
        self._database = ProtoReflectionDescriptorDatabase(WithToken.on(self._channel, token))
        self._pool = DescriptorPool(self._database)
        self._metadata = (("authorization", f"Bearer {token}"),)

    def services(self) -> set[str]:
        return set(self._database.get_services())

    def __call__(self, method: str, request: dict[str, Any]) -> dict[str, Any]:
        service, name = method.split("/")
        described = self._pool.FindServiceByName(service).methods_by_name[name]
        message = ParseDict(request, GetMessageClass(described.input_type)())
        call = self._channel.unary_unary(
            f"/{method}",
            request_serializer=GetMessageClass(described.input_type).SerializeToString,
            response_deserializer=GetMessageClass(described.output_type).FromString,
        )
        return MessageToDict(call(message, metadata=self._metadata), preserving_proto_field_name=True)


def test_every_rpc_is_callable_by_reflection(
    kubectl: Kubectl, namespace: str, serve: Serve, editor: Caller, wait_run: WaitRun
):
    call = Reflected(serve.grpc, editor._token)
    assert {"api.RunService", "api.ExperimentService", "api.HealthzService"} <= call.services()
    assert call("api.HealthzService/GetHealthz", {}) == {"multi_user": True}
    owner = {"key": {"type": "NAMESPACE", "id": namespace}, "relationship": "OWNER"}
    experiment = call(
        "api.ExperimentService/CreateExperiment", {"experiment": {"name": "grpc", "resource_references": [owner]}}
    )
    assert call("api.ExperimentService/GetExperiment", {"id": experiment["id"]}) == experiment
    listed = call("api.ExperimentService/ListExperiment", {"resource_reference_key": owner["key"]})
    assert listed["experiments"] == [experiment] and listed["total_size"] == 1
    detail = call("api.RunService/CreateRun", {"run": asking("by grpc", one_step("exit 1"), experiment["id"])})
    id = detail["run"]["id"]
    (run,) = kubectl.list(namespace, "prun")
    wait_run(run["metadata"]["name"], "Failed")
    assert call("api.RunService/GetRun", {"run_id": id})["run"]["status"] == "Failed"
    assert call("api.RunService/ListRuns", {"resource_reference_key": owner["key"]})["runs"][0]["id"] == id
    metrics = [{"name": "a", "node_id": "n", "number_value": 1}]
    reported = call("api.RunService/ReportRunMetrics", {"run_id": id, "metrics": metrics})
    assert reported["results"][0]["status"] == "OK"
    assert call("api.RunService/RetryRun", {"run_id": id}) == {}
    wait_run(run["metadata"]["name"], lambda found: found["status"].get("retries") == 1)
    for method, field in (
        ("TerminateRun", "run_id"),
        ("ArchiveRun", "id"),
        ("UnarchiveRun", "id"),
        ("DeleteRun", "id"),
    ):
        try:
            assert call(f"api.RunService/{method}", {field: id}) == {}
        except grpc.RpcError as error:
            # The second attempt may have failed already.
            assert method == "TerminateRun" and "it has ended" in str(error)
    for method in ("ArchiveExperiment", "UnarchiveExperiment", "DeleteExperiment"):
        assert call(f"api.ExperimentService/{method}", {"id": experiment["id"]}) == {}
    request = {"run_id": id, "node_id": "n", "artifact_name": "a"}
    with pytest.raises(grpc.RpcError) as caught:
        call("api.RunService/ReadArtifact", request)
    error: Any = caught.value
    assert error.code() == grpc.StatusCode.NOT_FOUND
    details = Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])
    assert details.details[0].type_url == "type.googleapis.com/api.Error"
    with pytest.raises(grpc.RpcError) as caught:
        Reflected(serve.grpc, "bad")("api.RunService/GetRun", {"run_id": id})
    refused: Any = caught.value
    assert refused.code() == grpc.StatusCode.UNAUTHENTICATED


# -------------------------------------------------------------------------------------------------------------------- TLS
def test_rest_and_grpc_are_served_with_tls(serve_account: Path, kubectl: Kubectl, namespace: str, tmp_path: Path):
    certificate(tmp_path)
    token = token_of(kubectl, namespace, "editor", EDIT)
    options = ("--tls-cert", str(tmp_path / "tls.crt"), "--tls-key", str(tmp_path / "tls.key"))
    with Serve(serve_account, *options) as serve:
        serve.start()
        trusting = ssl.create_default_context(cafile=str(tmp_path / "tls.crt"))
        assert Caller(serve.url, token, trusting).good("GET", "/healthz")["multi_user"] is True
        credentials = grpc.ssl_channel_credentials((tmp_path / "tls.crt").read_bytes())
        assert Reflected(serve.grpc, token, credentials)("api.HealthzService/GetHealthz", {}) == {"multi_user": True}
        with pytest.raises(OSError):
            Caller(serve.url.replace("https", "http"), token)("GET", "/healthz")
        assert serve.stop() == 0
        assert serve.errors() == []


# --------------------------------------------------------------------------------------------------------------- deployed
def test_the_deployed_service_answers_through_its_service(kubectl: Kubectl):
    proxied = f"/api/v1/namespaces/{SYSTEM}/services/runwright-serve:http/proxy/apis/v1beta1/healthz"
    assert json.loads(kubectl("get", "--raw", proxied))["multi_user"] is True
    metrics = kubectl("get", "--raw", f"/api/v1/namespaces/{SYSTEM}/services/runwright-serve:metrics/proxy/metrics")
    assert 'runwright_serve_index_synced{kind="pipelineruns"} 1.0' in metrics
    deployment = kubectl.get(SYSTEM, "deployment", "runwright-serve")
    assert deployment["status"]["readyReplicas"] == deployment["spec"]["replicas"] == 2
    secret = kubectl.get(SYSTEM, "secret", "runwright-serve-page-key")
    assert len(secret["data"]["key"]) >= 43
