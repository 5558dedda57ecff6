"""The clients that people have, unmodified, against `runwright serve` with the rights of its own service account."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from localcluster.catalogue import S3_ENVIRONMENT

from tests.e2e.cluster import Kubectl, Object
from tests.e2e.environments import HERE, python_with
from tests.e2e.manifests import shell, suspended, workflow
from tests.e2e.processes import Serve
from tests.e2e.serving import certificate, token_of

KFP: Object = {"annotations": {"pipelines.kubeflow.org/kfp_sdk_version": "1.8.22"}}
"""So that KFP's server, and ours, take it for a manifest of the SDK."""


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the local cluster's object store, in the environment of the service."""
    for name, value in S3_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def token(kubectl: Kubectl, namespace: str) -> str:
    """Of somebody who may edit the test's namespace."""
    return token_of(kubectl, namespace, "editor", "edit")


@pytest.fixture
def manifests(tmp_path: Path) -> str:
    """Paths of three manifests, as JSON by name."""
    good = {
        "entrypoint": "main",
        "arguments": {"parameters": [{"name": "text", "value": "hi"}]},
        "templates": [
            shell(
                "echo {{workflow.parameters.text}} > /tmp/out",
                outputs={"artifacts": [{"name": "out", "path": "/tmp/out"}]},
            )
        ],
    }
    bad = {"entrypoint": "main", "templates": [shell("exit 1")]}
    written: dict[str, str] = {}
    for name, spec in (("good", good), ("bad", bad), ("endless", suspended())):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(workflow(spec, **KFP)))
        path.rename(path.with_suffix(".yaml"))
        written[name] = str(path.with_suffix(".yaml"))
    return json.dumps(written)


def through_the_sdk(url: str, token: str, namespace: str, manifests: str) -> dict[str, Any]:
    script = HERE / "clients" / "kfp_sdk.py"
    command = [str(python_with("kfp")), str(script), url, token, namespace, manifests]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-6000:]
    return json.loads(done.stdout.splitlines()[-1])


def check(saw: dict[str, Any], service_account: str) -> None:
    """What KFP's clients are to see; the same in both modes."""
    available = "STORAGESTATE_AVAILABLE"
    expected = {
        "experiment_same": True,
        "experiment": ["exp one", "first", available],
        "experiment_got": True,
        "experiment_twice": [409, 6],
        "created": ["good run", "Pending", service_account, 1970],
        "good": "Succeeded",
        "good_parameters": {"text": "from the client"},
        "good_manifest": "main",
        "bad": "Failed",
        "terminate_ended": [400, 3],
        "retry_of_good": [409, 10],
        "endless": "Failed",
        "reported": [["accuracy", "OK"], ["1st", "INVALID_ARGUMENT"], ["accuracy", "DUPLICATE_REPORTING"]],
        "metrics": [["accuracy", 0.75, "PERCENTAGE"]],
        "artifact": "1f8b",
        "artifact_missing": [404, 5],
        "node_missing": [404, 5],
        "listed": ["good run", "endless run", "bad run"],
        "pages": [[2, 1], 3],
        "filtered": ["good run"],
        "by_metric": ["good run", 3],
        "bad_token": [400, 3],
        "archived": "STORAGESTATE_ARCHIVED",
        "archived_listed": ["good run"],
        "unarchived": available,
        "retried": "Failed",
        "deleted": [[404, 5], [404, 5]],
        "unknown": [404, 5],
        "convenient": "Succeeded",
        "archived_with_experiment": {"good run": "STORAGESTATE_ARCHIVED", "endless run": "STORAGESTATE_ARCHIVED"},
        "experiment_archived": "STORAGESTATE_ARCHIVED",
        "experiment_deleted": [404, 5],
        "run_stays": "good run",
    }
    assert {key: saw[key] for key in expected} == expected
    assert len(saw["good_nodes"]) == 1
    assert "exp one" in saw["experiments"]


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("operator")
def test_kfp_clients_work_in_multi_user_mode(
    serve_account: Path, kubectl: Kubectl, namespace: str, token: str, manifests: str
):
    with Serve(serve_account, "--artifact-bucket", bucket(kubectl)) as serve:
        serve.start()
        check(through_the_sdk(serve.url, token, namespace, manifests), "")
        assert serve.errors() == []
    assert not [one for one in kubectl.list(namespace, "prun") if one["spec"]["displayName"] == "bad run"]
    (kept,) = {
        one["spec"]["workflow"]["manifestFrom"]["pipelineManifestRef"]["name"]
        for one in kubectl.list(namespace, "prun")
        if one["spec"]["displayName"] in ("good run", "convenient")
    }
    assert kubectl.get(namespace, "pipelinemanifest", kept)["manifest"]


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("operator")
def test_kfp_clients_work_without_tokens_in_one_namespace(
    serve_account: Path, kubectl: Kubectl, namespace: str, manifests: str
):
    """As KFP is without its multi-user mode: nobody says who he is, and no namespace is named."""
    kubectl("create", "rolebinding", "-n", namespace, "all", "--clusterrole=edit", "--user=somebody")
    options = ("--namespace", namespace, "--anonymous-user", "somebody", "--artifact-bucket", bucket(kubectl))
    with Serve(serve_account, *options) as serve:
        serve.start()
        assert "WITHOUT A TOKEN" in serve.wait_log("WITHOUT A TOKEN")["message"]
        check(through_the_sdk(serve.url, "", "", manifests), "")
        assert serve.errors() == []


def test_the_projected_token_of_a_notebook_is_accepted(
    serve_account: Path, kubectl: Kubectl, namespace: str, token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Tokens that Kubeflow projects into pods are for an audience of KFP's, which counts where it is named, and only then."""
    certificate(tmp_path)
    audience = "pipelines.kubeflow.org"
    file = tmp_path / "token"
    file.write_text(kubectl("create", "token", "-n", namespace, "editor", f"--audience={audience}"))
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(file))
    tls = ("--tls-cert", str(tmp_path / "tls.crt"), "--tls-key", str(tmp_path / "tls.key"))

    def listed(serve: Serve) -> Any:
        script = HERE / "clients" / "kfp_token_file.py"
        command = [str(python_with("kfp")), str(script), serve.url, str(tmp_path / "tls.crt"), namespace]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr[-6000:]
        return json.loads(done.stdout.splitlines()[-1])

    with Serve(serve_account, *tls, "--token-audience", audience) as serve:
        serve.start()
        assert listed(serve) == []
        file.write_text(token)
        assert listed(serve) == 401, "a token for the API server alone"
        file.write_text(kubectl("create", "token", "-n", namespace, "editor", "--audience=another"))
        assert listed(serve) == 401
    with Serve(serve_account, *tls) as serve:
        serve.start()
        assert listed(serve) == 401
        file.write_text(token)
        assert listed(serve) == []


def bucket(kubectl: Kubectl) -> str:
    """The bucket of the cluster's artifact repository."""
    for found in kubectl.list("argo", "configmap"):
        if found["metadata"]["name"] == "workflow-controller-configmap":
            s3 = json.loads(found["data"]["artifactRepository"])["s3"]
            return f"{s3['endpoint']}/{s3['bucket']}"
    raise AssertionError("the cluster has no artifact repository")
