"""`runwright artifact`: what a step wrote comes back byte for byte, wherever and however Argo put it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import obstore
import pytest
from localcluster.catalogue import S3_ENVIRONMENT
from obstore.store import S3Store

from runwright.artifacts.locate import artifact_names
from runwright.artifacts.reader import Artifacts
from runwright.kube.objects import Key
from runwright.kubectl.artifact import read_workflow
from runwright.kubectl.session import Target, connect_to
from tests.e2e.access import account_kubeconfig
from tests.e2e.cluster import Kubectl, Object, finished
from tests.e2e.conftest import Apply, WaitRun
from tests.e2e.manifests import pipeline_run, shell
from tests.e2e.processes import REPOSITORY
from tests.e2e.storage import archived, set_state

MIB = 1024 * 1024
PLAIN, UNPACKED = 512 * MIB, 2048 * MIB
"""Bytes of an artifact that is not packed, which the store must be given first, and of one that is."""

NOBODY = {"AWS_METADATA_ENDPOINT": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
"""Nobody's identity: this machine's, if it has one, is not asked for."""


@dataclass
class Done:
    """What `runwright artifact` came to."""

    code: int
    out: bytes
    error: str
    peak: int
    """The most memory that it held, in bytes."""


def read(kubeconfig: Path, *arguments: str, out_to: int | None = None, **environment: str) -> Done:
    """Runs it, with the identity of the cluster's object store unless `environment` says otherwise."""
    others = ("AWS_", "RUNWRIGHT", "KUBECONFIG")
    clean = {key: value for key, value in os.environ.items() if not key.startswith(others)}
    clean |= {**S3_ENVIRONMENT, "PYTHONPATH": str(REPOSITORY / "operator"), **environment}
    command = [sys.executable, "-m", "runwright", "artifact", "--kubeconfig", str(kubeconfig), *arguments]
    env = {key: value for key, value in clean.items() if value}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE if out_to is None else out_to, stderr=subprocess.PIPE, env=env
    )
    with process:
        out = process.stdout.read() if process.stdout else b""
        assert process.stderr is not None
        error = process.stderr.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return Done(process.returncode, out, error, usage.ru_maxrss * 1024)


def given(kubeconfig: Path, *arguments: str, **environment: Any) -> bytes:
    """What it writes; fails where it does."""
    done = read(kubeconfig, *arguments, **environment)
    assert (done.code, done.error) == (0, "")
    return done.out


def refused(kubeconfig: Path, *arguments: str, **environment: Any) -> str:
    """The one line with which it fails."""
    done = read(kubeconfig, *arguments, **environment)
    assert (done.code, done.out) == (1, b"")
    (line,) = done.error.splitlines()
    assert "Traceback" not in line
    for secret in S3_ENVIRONMENT.values():
        assert secret not in line
    return line


def settled(workflow: Object) -> bool:
    """Whether Argo has said its last about a Workflow."""
    return finished(workflow) and workflow["metadata"]["labels"].get("workflows.argoproj.io/completed") == "true"


def step(script: str, *artifacts: Object, **template: Any) -> Object:
    """A WorkflowSpec of one step that writes artifacts."""
    return {"entrypoint": "main", "templates": [shell(script, outputs={"artifacts": list(artifacts)}, **template)]}


class Bucket:
    """The bucket of the cluster's default artifact repository, as the test reaches it."""

    def __init__(self, repository: Object) -> None:
        self.repository = repository
        scheme = "http" if repository.get("insecure") else "https"
        self.store = S3Store(
            repository["bucket"],
            endpoint=f"{scheme}://{repository['endpoint']}",
            region=repository.get("region") or "us-east-1",
            access_key_id=S3_ENVIRONMENT["AWS_ACCESS_KEY_ID"],
            secret_access_key=S3_ENVIRONMENT["AWS_SECRET_ACCESS_KEY"],
            client_options={"allow_http": True, "timeout": "10m"},
            retry_config={"max_retries": 1, "retry_timeout": timedelta(seconds=5)},
        )

    def put(self, key: str, data: bytes | Iterator[bytes]) -> None:
        obstore.put(self.store, key, data, use_multipart=not isinstance(data, bytes))

    def get(self, key: str) -> bytes:
        return bytes(obstore.get(self.store, key).bytes())

    def delete(self, key: str) -> None:
        obstore.delete(self.store, key)


@pytest.fixture
def bucket(kubectl: Kubectl) -> Bucket:
    config = kubectl.get("argo", "configmap", "workflow-controller-configmap")
    found = Bucket(json.loads(config["data"]["artifactRepository"])["s3"])
    try:
        with contextlib.suppress(FileNotFoundError):
            found.get("is-anybody-there")
    except Exception as error:
        pytest.skip(f"the object store of this cluster is not reached from here: {error}"[:300])
    return found


def key_of(kubectl: Kubectl, namespace: str, name: str, run: str = "run") -> str:
    """The key that Argo recorded for an artifact of the run's only step."""
    nodes = kubectl.get(namespace, "workflow", run)["status"]["nodes"]
    (artifact,) = (found for found in nodes[run]["outputs"]["artifacts"] if found["name"] == name)
    return artifact["s3"]["key"]


async def read_all(kubeconfig: Path, run: Key, node: str) -> dict[str, bytes]:
    """Every artifact of a node, as the command reads them, by name."""
    async with connect_to(Target(str(kubeconfig), namespace=run.namespace)) as here:
        workflow = await read_workflow(here, run)
        reader = Artifacts(here.client, None)
        return {
            name: b"".join([piece async for piece in reader.read(workflow, node, name)])
            for name in artifact_names(workflow["status"]["nodes"][node]["outputs"])
        }


PACKED = {"tar": {"tar": {"compressionLevel": 9}}, "none": {"none": {}}, "zip": {"zip": {}}}


def test_artifacts_are_read_in_every_packing(
    kubeconfig: Path,
    kubectl: Kubectl,
    namespace: str,
    bucket: Bucket,
    apply: Apply,
    wait_run: WaitRun,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    """Of the run while its Workflow is there, and once only its snapshot is left."""
    script = (
        "cd /work && mkdir -p dir/sub && printf one > 'a file' && printf a > dir/a && printf b > dir/sub/b"
        " && head -c 3000000 /dev/zero | tr '\\0' x > large && : > empty && cp 'a file' /tmp/in-image"
    )
    files = {"plain": "/work/a file", "large": "/work/large", "empty": "/work/empty", "dir": "/work/dir"}
    artifacts: list[Object] = [{"name": f"{name}-default", "path": path} for name, path in files.items()]
    for how, archive in PACKED.items():
        artifacts += [{"name": f"{name}-{how}", "path": path, "archive": archive} for name, path in files.items()]
    artifacts.append({"name": "in-image", "path": "/tmp/in-image"})
    odd = f"{namespace}/odd key%20é+&=?#.tgz"
    artifacts.append({"name": "odd", "path": "/work/a file", "s3": {"key": odd}})
    spec = step(script, *artifacts)
    spec["templates"][0]["container"]["volumeMounts"] = [{"name": "work", "mountPath": "/work"}]
    spec["volumes"] = [{"name": "work", "emptyDir": {}}]
    apply(pipeline_run({"spec": spec}))
    wait_run("run", "Succeeded")
    kubectl.wait(namespace, "workflow", "run", settled)

    def as_written() -> None:
        found = asyncio.run(read_all(kubeconfig, Key(namespace, "run"), "run"))
        assert len(found) == len(artifacts)
        for name, content in {"plain": b"one", "large": b"x" * 3_000_000, "empty": b""}.items():
            for how in ("default", *PACKED):
                assert found[f"{name}-{how}"] == content, (name, how)
        for how in ("default", "tar", "none"):
            with tarfile.open(fileobj=io.BytesIO(found[f"dir-{how}"])) as tar:
                files = {entry.name: cast(Any, tar.extractfile(entry)).read() for entry in tar if entry.isfile()}
            assert files == {"dir/a": b"a", "dir/sub/b": b"b"}, how
        with zipfile.ZipFile(io.BytesIO(found["dir-zip"])) as zipped:
            assert {name: zipped.read(name) for name in zipped.namelist()} == {"dir/a": b"a", "dir/sub/b": b"b"}
        assert found["in-image"] == found["odd"] == b"one"

    for name, value in S3_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    as_written()
    raw = given(kubeconfig, "--raw", f"{namespace}/run", "run", "plain-default")
    assert raw == bucket.get(key_of(kubectl, namespace, "plain-default"))
    assert raw.startswith(b"\x1f\x8b")
    target = tmp_path / "out"
    target.write_text("what was there before")
    target.chmod(0o640)
    assert given(kubeconfig, f"{namespace}/run", "run", "plain-default", "-o", str(target)) == b""
    assert (target.read_bytes(), target.stat().st_mode & 0o777) == (b"one", 0o640)

    set_state(kubectl, namespace, "run", "Archived")
    wait_run("run", archived)
    kubectl.wait_gone(namespace, "workflow", "run")
    as_written()
    assert given(kubeconfig, f"{namespace}/run", "run", "plain-default") == b"one"


def test_a_node_with_attempts_gives_the_artifact_of_its_last_attempt(
    kubeconfig: Path, namespace: str, bucket: Bucket, apply: Apply, wait_run: WaitRun
):
    """The node stands for its last attempt, and each attempt for itself; a DAG has what it names as its own."""
    fit = shell(
        "echo attempt {{retries}} > /tmp/out; [ {{retries}} = 1 ]",
        "fit",
        retryStrategy={"limit": "2"},
        outputs={"artifacts": [{"name": "model", "path": "/tmp/out", "archive": {"none": {}}}]},
    )
    dag = {
        "name": "main",
        "dag": {"tasks": [{"name": "fit-it", "template": "fit"}]},
        "outputs": {"artifacts": [{"name": "best", "from": "{{tasks.fit-it.outputs.artifacts.model}}"}]},
    }
    apply(pipeline_run({"spec": {"entrypoint": "main", "templates": [dag, fit]}}))
    wait_run("run", "Succeeded")
    run = f"{namespace}/run"
    assert given(kubeconfig, run, "fit-it", "model") == b"attempt 1\n"
    assert given(kubeconfig, run, "fit-it(0)", "model") == b"attempt 0\n"
    assert given(kubeconfig, run, "run.fit-it(1)", "model") == b"attempt 1\n"
    assert given(kubeconfig, run, "run", "best") == b"attempt 1\n"


def test_a_container_set_gives_the_artifacts_of_its_pod(
    kubeconfig: Path, namespace: str, bucket: Bucket, apply: Apply, wait_run: WaitRun
):
    """Its artifacts are the pod's, as Argo has them; the message for one of its containers says so."""
    containers = [
        {"name": name, "image": "busybox", "command": ["sh", "-c"], "args": [f"echo {name} >> /work/out"], **after}
        for name, after in (("first", {}), ("main", {"dependencies": ["first"]}))
    ]
    template = {
        "name": "main",
        "volumes": [{"name": "work", "emptyDir": {}}],
        "containerSet": {"volumeMounts": [{"name": "work", "mountPath": "/work"}], "containers": containers},
        "outputs": {"artifacts": [{"name": "both", "path": "/work/out"}]},
    }
    apply(pipeline_run({"spec": {"entrypoint": "main", "templates": [template]}}))
    wait_run("run", "Succeeded")
    assert given(kubeconfig, f"{namespace}/run", "run", "both") == b"first\nmain\n"
    line = refused(kubeconfig, f"{namespace}/run", "first", "both")
    assert line.startswith("runwright: ArtifactNotFound:")
    assert 'it has none; "both" is an artifact of "run"' in line


def test_a_missing_object_is_named_and_the_output_file_unchanged(
    kubeconfig: Path, kubectl: Kubectl, namespace: str, bucket: Bucket, apply: Apply, wait_run: WaitRun, tmp_path: Path
):
    """Each says what it is that is missing, and a file that was named is left as it was."""
    artifact = {"name": "out", "path": "/tmp/out", "archive": {"tar": {}}}
    apply(pipeline_run({"spec": step("echo 1 > /tmp/out", artifact)}))
    wait_run("run", "Succeeded")
    run = f"{namespace}/run"
    assert f"PipelineRun nope does not exist in namespace {namespace}" in refused(
        kubeconfig, f"{namespace}/nope", "a", "b"
    )
    assert 'NodeNotFound: the run has no node "nope"; it has "run"' in refused(kubeconfig, run, "nope", "out")
    assert 'has no output artifact "nope"; it has "out"' in refused(kubeconfig, run, "run", "nope")

    key = key_of(kubectl, namespace, "out")
    whole = bucket.get(key)
    target = tmp_path / "out"
    target.write_text("before")
    for damaged, reason in ((whole[:-4], "truncated"), (b"", "empty"), (b"x", "expected gzip")):
        bucket.put(key, damaged)
        line = read(kubeconfig, run, "run", "out", "-o", str(target)).error
        assert line.startswith("runwright: Unsupported: ") and reason in line
        assert target.read_text() == "before"
        assert list(tmp_path.iterdir()) == [target]
    bucket.delete(key)
    line = refused(kubeconfig, run, "run", "out")
    store = f"{bucket.repository['endpoint']}/{bucket.repository['bucket']}"
    assert (
        f'ObjectNotFound: run {run}, node "run", artifact "out": bucket {store} has no object with the key "{key}"'
        in line
    )

    line = refused(kubeconfig, run, "run", "out", AWS_SECRET_ACCESS_KEY="wrong")
    assert f"Refused: run {run}" in line and "(SignatureDoesNotMatch, HTTP 403)" in line
    assert "this process has no credentials of its own; expected AWS_ACCESS_KEY_ID" in refused(
        kubeconfig, run, "run", "out", **NOBODY
    )

    kubectl("delete", "-n", namespace, "workflow", "run")
    kubectl.wait_gone(namespace, "workflow", "run")
    assert "has no Workflow and no WorkflowSnapshot" in refused(kubeconfig, run, "run", "out")


def test_a_garbage_collected_artifact_is_reported(
    kubeconfig: Path, kubectl: Kubectl, namespace: str, bucket: Bucket, apply: Apply, wait_run: WaitRun
):
    spec = step("echo 1 > /tmp/out", {"name": "out", "path": "/tmp/out"})
    apply(pipeline_run({"spec": {**spec, "artifactGC": {"strategy": "OnWorkflowCompletion"}}}))
    wait_run("run", "Succeeded")

    def collected(workflow: Object) -> bool:
        return workflow["status"]["nodes"]["run"]["outputs"]["artifacts"][0].get("deleted") is True

    kubectl.wait(namespace, "workflow", "run", collected)
    line = refused(kubeconfig, f"{namespace}/run", "run", "out")
    assert line.startswith("runwright: ArtifactCollected:")


def test_repository_and_secrets_of_the_namespace_are_used(
    kubeconfig: Path, kubectl: Kubectl, namespace: str, bucket: Bucket, apply: Apply, wait_run: WaitRun, tmp_path: Path
):
    """What Argo reads of the namespace is read of it, by users with that right; the environment's identity is not asked for."""
    keys = {"access": S3_ENVIRONMENT["AWS_ACCESS_KEY_ID"], "secret": S3_ENVIRONMENT["AWS_SECRET_ACCESS_KEY"]}
    apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": keys})
    named = {field: {"name": "keys", "key": key} for field, key in SELECTORS.items()}
    repository = {name: value for name, value in bucket.repository.items() if name != "useSDKCreds"} | named
    annotation = {"workflows.argoproj.io/default-artifact-repository": "own"}
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "artifact-repositories"}}
    apply(
        {
            **config,
            "metadata": {**config["metadata"], "annotations": annotation},
            "data": {"own": json.dumps({"s3": repository})},
        }
    )
    apply(pipeline_run({"spec": step("echo 1 > /tmp/out", {"name": "out", "path": "/tmp/out"})}))
    wait_run("run", "Succeeded")
    run = f"{namespace}/run"
    assert given(kubeconfig, run, "run", "out", **NOBODY) == b"1\n"
    assert given(kubeconfig, run, "run", "out", AWS_SECRET_ACCESS_KEY="wrong", AWS_SESSION_TOKEN="wrong") == b"1\n"

    kubectl(
        "create", "rolebinding", "view", "-n", namespace, "--clusterrole=view", f"--serviceaccount={namespace}:default"
    )
    kubectl("create", "role", "workflows", "-n", namespace, "--verb=get", "--resource=workflows.argoproj.io")
    kubectl("create", "rolebinding", "wf", "-n", namespace, "--role=workflows", f"--serviceaccount={namespace}:default")
    viewer = account_kubeconfig(kubectl, namespace, "default", tmp_path / "viewer")
    line = refused(viewer, run, "run", "out")
    assert "Refused: run" in line and 'not allowed to read Secret "keys", which accessKeySecret names' in line

    kubectl("delete", "secret", "keys", "-n", namespace)
    line = refused(kubeconfig, run, "run", "out")
    assert f'accessKeySecret: Secret "keys" in namespace "{namespace}" does not exist' in line


SELECTORS = {"accessKeySecret": "access", "secretKeySecret": "secret"}


@pytest.mark.slow
def test_memory_is_independent_of_artifact_size(
    kubeconfig: Path, kubectl: Kubectl, namespace: str, bucket: Bucket, apply: Apply, wait_run: WaitRun
):
    """512 MiB as they are, and 2 GiB that come as a tar.gz of some megabytes."""
    spec = step(
        "echo 1 > /tmp/out",
        {"name": "packed", "path": "/tmp/out"},
        {"name": "plain", "path": "/tmp/out", "archive": {"none": {}}},
    )
    apply(pipeline_run({"spec": spec}))
    wait_run("run", "Succeeded")
    run = f"{namespace}/run"
    plain, packed = (key_of(kubectl, namespace, name) for name in ("plain", "packed"))
    small = read(kubeconfig, run, "run", "plain")
    assert (small.code, small.out) == (0, b"1\n")
    block = os.urandom(8 * MIB)
    try:
        bucket.put(plain, (block for _ in range(PLAIN // len(block))))
        bucket.put(packed, tar_gz_of_zeros(UNPACKED))
        for name, size in (("plain", PLAIN), ("packed", UNPACKED)):
            counter = subprocess.Popen(["wc", "-c"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            assert counter.stdin is not None
            done = read(kubeconfig, run, "run", name, out_to=counter.stdin.fileno())
            counted, _ = counter.communicate(timeout=60)
            assert (done.code, done.error, int(counted)) == (0, "", size), name
            print(f"{name}: {size // MIB} MiB at {done.peak / MIB:.0f} MiB, a few bytes at {small.peak / MIB:.0f} MiB")
            assert done.peak < small.peak + 64 * MIB, name
    finally:
        bucket.delete(plain)
        bucket.delete(packed)


def tar_gz_of_zeros(size: int) -> bytes:
    """A tar.gz of one file of zeros."""
    entry = tarfile.TarInfo("out")
    entry.size = size
    packer = zlib.compressobj(1, wbits=31)
    parts = [packer.compress(entry.tobuf())] + [packer.compress(bytes(8 * MIB)) for _ in range(size // (8 * MIB))]
    packed = b"".join([*parts, packer.compress(bytes(1024)), packer.flush()])
    assert len(packed) < 64 * MIB
    return packed


def test_help_lists_the_rights_that_are_needed():
    done = subprocess.run([sys.executable, "-m", "runwright", "artifact", "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "[NAMESPACE/]RUN NODE NAME" in done.stdout
    for option in ("--output", "--raw", "--kubeconfig", "--context"):
        assert option in done.stdout
