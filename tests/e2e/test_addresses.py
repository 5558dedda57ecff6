"""No address from a tenant: what a Workflow says about its artifacts leads to no host, and no ConfigMap, that no admin allowed.

The Workflows are written by the test, as anybody with the right to create one can. The hosts that they lead to are HTTP servers on
loopback that record each request. The API server has no Argo, so nothing else writes these Workflows.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.e2e.cluster import Kubectl, Object, WaitError
from tests.e2e.control_plane import TOKEN, ControlPlane
from tests.e2e.manifests import instant, pipeline_run
from tests.e2e.process_usage import read_process
from tests.e2e.processes import Operator, Serve
from tests.e2e.serving import Caller

METRICS = b'{"metrics": [{"name": "accuracy", "numberValue": 0.93}]}'
ERROR_MIB = 150
NAMED = {field: {"name": "keys", "key": field} for field in ("accessKeySecret", "secretKeySecret")}
OWN = {"AWS_ACCESS_KEY_ID": "own-key", "AWS_SECRET_ACCESS_KEY": "own-secret", "AWS_SESSION_TOKEN": "own-session-token"}


class Server:
    """An HTTP server on loopback that records each request, and gives one answer to all of them."""

    def __init__(self, body: bytes = b"secret of an internal service", redirect: str = "", error_mib: int = 0) -> None:
        self.requests: list[str] = []
        self.sent = 0
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                recorder.requests.append(f"{self.requestline}\n{self.headers}")
                self.send_response(302 if redirect else 403 if error_mib else 200)
                self.send_header("Last-Modified", "Tue, 24 Nov 2026 18:00:00 GMT")
                self.send_header("ETag", '"1"')
                if redirect:
                    self.send_header("Location", redirect)
                self.send_header("Content-Length", str(0 if redirect else error_mib * 2**20 or len(body)))
                self.end_headers()
                try:
                    for _ in range(error_mib):
                        self.wfile.write(b"x" * 2**20)
                        recorder.sent += 1
                    if not redirect and not error_mib:
                        self.wfile.write(body)
                except OSError:
                    self.close_connection = True

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._http.server_port
        self.host = f"127.0.0.1:{self.port}"

    def __enter__(self) -> Server:
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()


@contextmanager
def silence() -> Iterator[str]:
    """The address of a listener that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def artifact(name: str, kind: str = "s3", **location: Any) -> Object:
    return {"name": name, "archive": {"none": {}}, kind: location}


def s3(name: str, endpoint: str, **location: Any) -> Object:
    return artifact(name, endpoint=endpoint, **{"bucket": "artifacts", "key": "k", "insecure": True, **location})


@pytest.fixture
def tenant(stage: ControlPlane) -> Kubectl:
    """An admin's kubectl; its namespaces `tenant` and `other` have a Secret with keys of S3."""
    for namespace in ("tenant", "other"):
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys", "namespace": namespace}}
        objects: list[Object] = [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
            {**secret, "stringData": dict.fromkeys(NAMED, "tenants-key")},
        ]
        for one in objects:
            stage.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(one))
    return stage.kubectl


def write_run(kubectl: Kubectl, name: str, artifacts: list[Object], **status: Any) -> str:
    """A run that has ended, with its Workflow; gives the id of the run."""
    run = pipeline_run({"spec": instant()}, name)
    kubectl("create", "-n", "tenant", "-f", "-", input=json.dumps(run))
    uid = kubectl.get("tenant", "prun", name)["metadata"]["uid"]
    owner = {
        "apiVersion": "runwright.dev/v1alpha1",
        "kind": "PipelineRun",
        "name": name,
        "uid": uid,
        "controller": True,
    }
    workflow = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": name, "ownerReferences": [owner]},
        "spec": instant(),
        "status": {
            "phase": "Succeeded",
            "nodes": {name: {"id": name, "name": name, "type": "Pod", "outputs": {"artifacts": artifacts}}},
            **status,
        },
    }
    kubectl("create", "-n", "tenant", "-f", "-", input=json.dumps(workflow))
    return uid


def read_artifact(call: Caller, run: str, node: str, name: str) -> tuple[int, Any]:
    """ReadArtifact, once the run service has seen the run."""
    deadline = time.monotonic() + 20
    while True:
        status, reply = call("GET", f"/runs/{run}/nodes/{node}/artifacts/{name}:read")
        if status != 404 or "artifact" in json.dumps(reply) or time.monotonic() > deadline:
            return status, reply
        time.sleep(0.1)


@pytest.mark.timeout(180)
def test_no_location_leads_the_run_service_to_another_host(
    stage: ControlPlane, tenant: Kubectl, monkeypatch: pytest.MonkeyPatch
):
    """Nor sends it the session token of the service; an allowed server that redirects is not followed."""
    for name, value in OWN.items():
        monkeypatch.setenv(name, value)
    with (
        Server() as trap,
        Server(redirect=f"http://{trap.host}/latest") as redirecting,
        Server(error_mib=ERROR_MIB) as endless,
    ):
        pasted = [f"x@{trap.host}/", f"x@{trap.host}?", f"x@{trap.host}#", f"{trap.host}/", f"@{trap.host}\\"]
        decimal = int.from_bytes(socket.inet_aton("127.0.0.1"))
        artifacts = [
            *(s3(f"region-{number}", "s3.amazonaws.com", region=region) for number, region in enumerate(pasted)),
            s3("secrets", trap.host, **NAMED),
            s3("decimal", f"{decimal}:{trap.port}", **NAMED),
            s3("hexadecimal", f"0x7f000001:{trap.port}", **NAMED),
            s3("short", f"127.1:{trap.port}", **NAMED),
            s3("mapped", f"[::ffff:127.0.0.1]:{trap.port}", **NAMED),
            s3("other-bucket", redirecting.host, bucket="other"),
            artifact(
                "azure",
                "azure",
                endpoint=f"http://{trap.host}/acct",
                container="artifacts",
                blob="k",
                accountKeySecret={"name": "keys", "key": "accessKeySecret"},
            ),
            s3("redirect", redirecting.host),
            s3("redirect-secrets", redirecting.host, **NAMED),
            s3("endless", endless.host),
        ]
        run = write_run(tenant, "addresses", artifacts)
        buckets = ("s3.amazonaws.com/artifacts", f"{redirecting.host}/artifacts", f"{endless.host}/artifacts")
        options = [option for bucket in buckets for option in ("--artifact-bucket", bucket)]
        with Serve(stage.kubeconfig, *options) as serve:
            serve.start()
            call = Caller(serve.url, TOKEN)
            said: dict[str, str] = {}
            memory = 0.0
            for one in artifacts:
                before = read_process(serve.pid).resident
                status, reply = read_artifact(call, run, "addresses", one["name"])
                assert status != 200, (one["name"], reply)
                said[one["name"]] = json.dumps(reply)
                memory = max(memory, read_process(serve.pid).resident - before)
            assert serve.errors() == []
        assert trap.requests == [], said
        assert "a region such as us-east-1" in said["region-0"]
        assert f"--artifact-endpoint {trap.host}" in said["secrets"]
        assert "expected HOST or HOST:PORT" in said["decimal"]
        assert "a redirect (HTTP 302), which is not followed" in said["redirect"]
        assert len(redirecting.requests) == 2, "one request for each artifact"
        assert "own-session-token" in redirecting.requests[0], "the bucket is listed for the service's own identity"
        assert "own-session-token" not in redirecting.requests[1]
        assert endless.sent < 32 and memory < 32, f"{endless.sent} MiB were sent, {memory:.0f} MiB more are resident"
        assert not [one for one in said.values() for secret in (*OWN.values(), "tenants-key") if secret in one]


@pytest.mark.timeout(180)
def test_a_repository_is_read_from_no_other_namespace(stage: ControlPlane, tenant: Kubectl):
    """The status of a Workflow names the ConfigMap of its repository; only those of the run and of Argo are read."""
    with Server(b"hello") as store:
        repository = {"s3": {"endpoint": store.host, "bucket": "artifacts", "insecure": True, **NAMED}}
        for namespace in ("other", "argo"):
            config = {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "artifact-repositories", "namespace": namespace},
                "data": {"a": json.dumps(repository)},
            }
            space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
            for one in (space, config):
                tenant("apply", "--server-side", "-f", "-", input=json.dumps(one))
        runs = {
            namespace: write_run(
                tenant,
                f"from-{namespace}",
                [artifact("out", key="k")],
                artifactRepositoryRef={"configMap": "artifact-repositories", "key": "a", "namespace": namespace},
            )
            for namespace in ("other", "argo")
        }
        with Serve(stage.kubeconfig) as serve:
            serve.start()
            call = Caller(serve.url, TOKEN)
            status, reply = read_artifact(call, runs["other"], "from-other", "out")
            assert status != 200
            assert 'expected \\"tenant\\", \\"argo\\", found \\"other\\"' in json.dumps(reply)
            assert store.requests == []
            # Argo's own repository is an admin's: its server may be contacted, with the keys of the run's namespace.
            status, reply = read_artifact(call, runs["argo"], "from-argo", "out")
            assert (status, reply) == (200, {"data": "aGVsbG8="})
            assert len(store.requests) == 1


SILENT_RUNS = 60


@pytest.mark.timeout(180)
def test_a_silent_object_store_delays_no_neighbour(
    stage: ControlPlane, tenant: Kubectl, monkeypatch: pytest.MonkeyPatch
):
    """Dozens of runs whose metrics are on a server that never replies; the metrics of a neighbour are there in seconds."""
    for name, value in OWN.items():
        monkeypatch.setenv(name, value)
    with silence() as silent, Server(METRICS) as store:
        bad = [f"bad-{number}" for number in range(SILENT_RUNS)]
        options = ("--artifact-bucket", f"{silent}/artifacts", "--artifact-bucket", f"{store.host}/artifacts")
        create(
            tenant,
            [
                {**pipeline_run({"spec": instant()}, name), "metadata": {"name": name, "namespace": "tenant"}}
                for name in bad
            ],
        )
        with Operator(stage.kubeconfig, *options) as operator:
            operator.start()
            end_workflows(tenant, "tenant", bad, silent)
            # All of them wait for their metrics, or wait for a slot.
            tenant.wait("tenant", "prun", bad[-1], lambda run: (run.get("status") or {}).get("phase") is not None)
            names = [f"good-{number}" for number in range(3)]
            create(
                tenant,
                [
                    {**pipeline_run({"spec": instant()}, name), "metadata": {"name": name, "namespace": "other"}}
                    for name in names
                ],
            )
            end_workflows(tenant, "other", names, store.host)
            began = time.monotonic()
            for name in names:
                run = tenant.wait(
                    "other", "prun", name, lambda run: (run.get("status") or {}).get("phase") == "Succeeded", 60
                )
                assert [one["name"] for one in run["status"]["metrics"]] == ["accuracy"]
            took = time.monotonic() - began
            print(f"{took:.1f} s until the neighbour's metrics, with {SILENT_RUNS} runs on a silent store")
            assert took < 10
            assert operator.errors() == []


def create(kubectl: Kubectl, objects: list[Object]) -> None:
    """Create all of them."""
    kubectl("create", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))


def end_workflows(kubectl: Kubectl, namespace: str, names: list[str], store: str) -> None:
    """End the Workflows of these runs as Argo would, each with metrics in the store, once the operator has created them."""
    deadline = time.monotonic() + 60
    while not set(names) <= {one["metadata"]["name"] for one in kubectl.list(namespace, "workflow")}:
        if time.monotonic() > deadline:
            raise WaitError("the operator has not created the Workflows")
        time.sleep(0.2)
    ended = [
        {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": {"workflows.argoproj.io/completed": "true", "workflows.argoproj.io/phase": "Succeeded"},
            },
            "status": {
                "phase": "Succeeded",
                "startedAt": "2026-11-24T18:00:00Z",
                "finishedAt": "2026-11-24T18:00:01Z",
                "nodes": {
                    name: {
                        "id": name,
                        "name": name,
                        "displayName": name,
                        "type": "Pod",
                        "phase": "Succeeded",
                        "startedAt": "2026-11-24T18:00:00Z",
                        "finishedAt": "2026-11-24T18:00:01Z",
                        "outputs": {"artifacts": [s3("mlpipeline-metrics", store)]},
                    }
                },
            },
        }
        for name in names
    ]
    items = json.dumps({"apiVersion": "v1", "kind": "List", "items": ended})
    options = ("--server-side", "--force-conflicts", "--field-manager=argo", "--validate=false")
    kubectl("apply", *options, "-f", "-", input=items)
