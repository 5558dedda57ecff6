"""Artifacts are read as bytes, or refused with one error that names run, node and artifact."""

from __future__ import annotations

import asyncio
import base64
import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from runwright.artifacts import direct
from runwright.artifacts.reader import AllowedStores, ArtifactError, Artifacts
from runwright.kube.client import Client
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, Key
from runwright.kube.resource import Resource

MIB = 1024 * 1024
NAMED = {field: {"name": "keys", "key": field} for field in ("accessKeySecret", "secretKeySecret")}
SECRET = {"data": {field: base64.b64encode(b"very-secret").decode() for field in NAMED}}


class Api:
    """The Secrets and ConfigMaps of the API server, and what was asked for."""

    def __init__(self) -> None:
        self.objects: dict[str, Json | ApiError] = {"keys": SECRET}
        self.asked: list[str] = []

    def _give(self, kind: str, namespace: str, name: str) -> Json | None:
        self.asked.append(f"{kind} {namespace}/{name}")
        found = self.objects.get(name)
        if isinstance(found, ApiError):
            raise found
        return found

    async def get(self, resource: Resource, key: Key) -> Json | None:
        return self._give(str(resource), key.namespace, key.name)


def reader(api: Api) -> Artifacts:
    return Artifacts(cast(Client, api), None)


class Store:
    """An S3 on loopback: objects by path, and a list of them."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.host = ""
        self.sent = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if "list-type" in request.query:
            prefix = request.query["prefix"]
            found = {path: data for path, data in self.objects.items() if path.startswith(prefix)}
            entries = "".join(
                f"<Contents><Key>{path}</Key><Size>{len(data)}</Size>"
                "<LastModified>2026-11-24T18:00:00.000Z</LastModified></Contents>"
                for path, data in found.items()
            )
            return web.Response(text=f"<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>")
        data = self.objects.get(request.path.removeprefix("/artifacts/"))
        if data is None:
            return web.Response(status=404, text="<Error><Code>NoSuchKey</Code></Error>")
        headers = {"ETag": '"1"', "Last-Modified": "Tue, 24 Nov 2026 18:00:00 GMT", "Content-Length": str(len(data))}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        for at in range(0, len(data), 64 * 1024):
            await response.write(data[at : at + 64 * 1024])
            self.sent += 64 * 1024
        return response


@pytest.fixture
async def store(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Store]:
    monkeypatch.setattr(direct, "ATTEMPTS", 1)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1")
    store = Store()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", store.handle)
    async with TestServer(app) as running:
        store.host = f"{running.host}:{running.port}"
        yield store


@pytest.fixture
def api() -> Api:
    return Api()


def workflow(store: Store, artifact: dict[str, Any] | None = None, **repository: Any) -> dict[str, Any]:
    s3 = {"endpoint": store.host, "bucket": "artifacts", "insecure": True, "region": "r", **NAMED, **repository}
    out = {"name": "out", "s3": {"key": "run/out"}, **(artifact or {})}
    return {
        "metadata": {"name": "train", "namespace": "team"},
        "spec": {},
        "status": {
            "nodes": {"train": {"displayName": "train", "outputs": {"artifacts": [out]}}},
            "artifactRepositoryRef": {"default": True, "artifactRepository": {"s3": s3}},
        },
    }


async def given(api: Api, body: Json, **options: Any) -> bytes:
    return b"".join([piece async for piece in reader(api).read(body, "train", "out", **options)])


async def refused(api: Api, body: Json, **options: Any) -> tuple[str, str]:
    with pytest.raises(ArtifactError) as caught:
        await given(api, body, **options)
    start = 'run team/train, node "train", artifact "out": '
    assert caught.value.message.startswith(start)
    assert "very-secret" not in caught.value.message
    return caught.value.reason, caught.value.message.removeprefix(start)


def tar_gz(data: bytes, name: str = "out") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


async def test_an_artifact_is_read_unpacked_or_raw(store: Store, api: Api):
    store.objects["run/out"] = tar_gz(b"hello")
    assert await given(api, workflow(store)) == b"hello"
    assert await given(api, workflow(store), raw=True) == store.objects["run/out"]
    assert await reader(api).read_small(workflow(store), "train", "out", 1000) == b"hello"
    assert api.asked == ["secrets team/keys"] * 3, "one look for both keys"


async def test_the_event_loop_goes_on_while_an_artifact_is_unpacked(store: Store, api: Api):
    """No piece holds it up for long: what else is due comes between them."""
    store.objects["run/out"] = tar_gz(b"\0" * (64 * MIB))
    longest, last = 0.0, asyncio.get_running_loop().time()

    async def beat() -> None:
        nonlocal longest, last
        while True:
            await asyncio.sleep(0)
            now = asyncio.get_running_loop().time()
            longest, last = max(longest, now - last), now

    beating = asyncio.create_task(beat())
    total = 0
    async for piece in reader(api).read(workflow(store), "train", "out"):
        total += len(piece)
    beating.cancel()
    assert total == 64 * MIB
    assert longest < 0.5


async def test_no_more_is_fetched_than_is_read(store: Store, api: Api):
    """A reader that stops also stops the store: the rest of a large object never comes."""
    store.objects["run/out"] = bytes(64 * MIB)
    artifact = {"archive": {"none": {}}}
    async with aclosing(reader(api).read(workflow(store, artifact), "train", "out")) as pieces:
        async for _ in pieces:
            await asyncio.sleep(0.2)
            break
    assert store.sent < 32 * MIB


async def test_a_directory_of_objects(store: Store, api: Api):
    store.objects = {"run/out/a": b"a" * 1000, "run/out/sub/b": b"", "run/outer": b"no"}
    for artifact in ({"archive": {"none": {}}}, {"archive": {"none": {}}, "s3": {"key": "run/out/"}}):
        data = await given(api, workflow(store, artifact))
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            assert [(entry.name, entry.size) for entry in tar] == [("out/a", 1000), ("out/sub/b", 0)]
    store.objects = {"run/outer": b"no"}
    reason, said = await refused(api, workflow(store, {"archive": {"none": {}}}))
    assert reason == "ObjectNotFound"
    assert 'has no object with the key "run/out"' in said
    reason, said = await refused(api, workflow(store, {"s3": {"key": "run/out/"}}))
    assert (reason, said) == ("ObjectNotFound", f'bucket {store.host}/artifacts has no object under "run/out/"')


async def test_raw_is_read_from_the_workflow(api: Api):
    body = workflow(Store(), {"raw": {"data": "héllo"}})
    assert await given(api, body) == "héllo".encode()
    assert await reader(api).read_small(body, "train", "out", 6) == "héllo".encode()
    assert api.asked == []


async def test_the_config_map_of_the_namespace(store: Store, api: Api):
    store.objects["run/out"] = b"hello"
    body = workflow(store, {"archive": {"none": {}}})
    repository = body["status"].pop("artifactRepositoryRef")["artifactRepository"]
    annotation = {"workflows.argoproj.io/default-artifact-repository": "a"}
    api.objects["artifact-repositories"] = {
        "metadata": {"annotations": annotation},
        "data": {"a": json.dumps(repository)},
    }
    assert await given(api, body) == b"hello"
    assert api.asked == ["configmaps team/artifact-repositories", "secrets team/keys"]
    api.objects["artifact-repositories"] = ApiError(403, "Forbidden", "you may not")
    assert await refused(api, body) == (
        "Refused",
        'not allowed to read ConfigMap "artifact-repositories" in namespace "team", which names the bucket: you may not',
    )


@pytest.mark.parametrize(
    ("secret", "reason", "message"),
    [
        (None, "Refused", 'accessKeySecret: Secret "keys" in namespace "team" does not exist'),
        ({"data": {}}, "Refused", 'accessKeySecret: Secret "keys" in namespace "team" has no key "accessKeySecret"'),
        ({"data": {"accessKeySecret": "/w=="}}, "Refused", ', key "accessKeySecret": expected text'),
        (
            ApiError(403, "Forbidden", "you may not"),
            "Refused",
            'not allowed to read Secret "keys", which accessKeySecret names',
        ),
        (ApiError(0, "Unreachable", "no reply"), "Unreachable", 'the API server did not return Secret "keys"'),
    ],
)
async def test_a_missing_or_refused_secret_is_refused(store: Store, api: Api, secret: Any, reason: str, message: str):
    api.objects["keys"] = secret
    actual, said = await refused(api, workflow(store))
    assert actual == reason
    assert message in said


async def test_the_own_identity_is_for_the_buckets_that_are_named(
    store: Store, api: Api, monkeypatch: pytest.MonkeyPatch
):
    """A Workflow may name any bucket: a service lends its own right to those only that its admin names."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "mine")
    store.objects["run/out"] = tar_gz(b"hello")
    body = workflow(store, accessKeySecret=None, useSDKCreds=True)

    async def read(allowed: AllowedStores | None, of: Json = body) -> bytes:
        return await Artifacts(cast(Client, api), allowed).read_small(of, "train", "out", 100)

    assert await read(None) == b"hello"
    assert await read(AllowedStores.parse([f"{store.host}/artifacts"])) == b"hello"
    for buckets in ([], ["artifacts/artifacts"], [f"{store.host}/other"]):
        with pytest.raises(ArtifactError, match="not among those that may be read with the identity"):
            await read(AllowedStores.parse(buckets, [store.host]))


async def test_with_a_secrets_keys_only_allowed_servers_are_contacted(store: Store, api: Api):
    """A listed server, or one of the repositories that an admin gave Argo: no other host gets a request."""
    store.objects["run/out"] = tar_gz(b"hello")

    async def read(allowed: AllowedStores) -> bytes:
        return await Artifacts(cast(Client, api), allowed).read_small(workflow(store), "train", "out", 100)

    assert await read(AllowedStores.parse((), [store.host])) == b"hello"
    for allowed in (AllowedStores(), AllowedStores.parse((), [f"{store.host}/other", "minio.argo"])):
        with pytest.raises(ArtifactError, match="an admin can list it with --artifact-endpoint 127"):
            await read(allowed)
    assert api.asked[-2:] == ["configmaps argo/workflow-controller-configmap", "configmaps argo/artifact-repositories"]
    repository = json.dumps({"s3": {"endpoint": store.host, "bucket": "artifacts", "insecure": True}})
    config = {"metadata": {"name": "workflow-controller-configmap"}, "data": {"artifactRepository": repository}}
    api.objects["workflow-controller-configmap"] = config
    assert await read(AllowedStores()) == b"hello"
    with pytest.raises(ArtifactError, match="is not among those that may be contacted"):
        await read(AllowedStores(argo_namespace=""))
    api.objects["workflow-controller-configmap"] = ApiError(403, "Forbidden", "you may not")
    with pytest.raises(ArtifactError, match="is not among those that may be contacted"):
        await read(AllowedStores())


async def test_config_maps_of_other_namespaces_are_not_read(api: Api):
    body = workflow(Store(), {"archive": {"none": {}}})
    body["status"]["artifactRepositoryRef"] = {"configMap": "secrets", "key": "a", "namespace": "other"}
    with pytest.raises(ArtifactError, match='expected "team", "argo", found "other"') as caught:
        await Artifacts(cast(Client, api), AllowedStores()).read_small(body, "train", "out", 100)
    assert (caught.value.reason, api.asked) == ("Refused", [])


async def test_errors_keep_their_reason(store: Store, api: Api):
    assert (await refused(api, workflow(store)))[0] == "ObjectNotFound"
    assert (await refused(api, workflow(store, {"deleted": True})))[0] == "ArtifactCollected"
    assert (await refused(api, workflow(store, {"name": "other"})))[0] == "ArtifactNotFound"
    store.objects["run/out"] = tar_gz(b"hello")[:-4]
    assert (await refused(api, workflow(store))) == (
        "Unsupported",
        "expected gzip, but the object is empty or truncated",
    )
    with pytest.raises(ArtifactError, match='node "nope", artifact "out": the run has no node "nope"') as caught:
        await reader(api).read_small(workflow(store), "nope", "out", 10)
    assert caught.value.reason == "NodeNotFound"


# --------------------------------------------------------------------------------------------------------------- limits
async def too_large(api: Api, body: Json, limit: int) -> None:
    with pytest.raises(ArtifactError) as caught:
        await reader(api).read_small(body, "train", "out", limit)
    assert caught.value.reason == "TooLarge"
    assert caught.value.message.endswith(f"it has more than {limit} bytes")


async def test_a_small_artifact_is_small_packed_and_unpacked(store: Store, api: Api):
    body = workflow(store, {"archive": {"none": {}}})
    store.objects["run/out"] = b"x" * 1000
    assert len(await reader(api).read_small(body, "train", "out", 1000)) == 1000
    await too_large(api, body, 999)
    store.objects["run/out"] = tar_gz(b"x" * 1000)
    assert len(await reader(api).read_small(workflow(store), "train", "out", 1000)) == 1000
    await too_large(api, workflow(store), 999)
    await too_large(api, workflow(store), len(store.objects["run/out"]) - 1)


async def test_a_stream_ends_at_its_limit(store: Store, api: Api):
    """Before the first byte, where the store says how large the object is."""
    store.objects["run/out"] = tar_gz(b"x" * 1000)

    async def read(limit: int, raw: bool) -> list[bytes]:
        return [piece async for piece in reader(api).read(workflow(store), "train", "out", raw=raw, limit=limit)]

    assert b"".join(await read(1000, raw=False)) == b"x" * 1000
    assert await read(len(store.objects["run/out"]), raw=True) == [store.objects["run/out"]]
    for limit, raw in ((999, False), (len(store.objects["run/out"]) - 1, True)):
        with pytest.raises(ArtifactError, match="it has more than"):
            await read(limit, raw)


async def test_a_directory_of_many_objects_ends_at_the_limit(store: Store, api: Api):
    """Each object costs a header of the tar, also an empty one."""
    store.objects = {f"run/out/{n}": b"" for n in range(3000)}
    await too_large(api, workflow(store, {"archive": {"none": {}}}), MIB)


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.DIRTYPE], ids=["file", "directory"])
async def test_a_gzip_bomb_ends_at_the_limit(store: Store, api: Api, kind: bytes):
    """300 kB that stand for 300 MB: of a file, and of a directory, whose tar is given."""
    store.objects["run/out"] = bomb(300 * MIB, kind)
    assert len(store.objects["run/out"]) < MIB
    began = asyncio.get_running_loop().time()
    await too_large(api, workflow(store), MIB)
    assert asyncio.get_running_loop().time() - began < 5


async def test_a_bomb_after_the_end_of_a_tar_is_stopped(store: Store, api: Api):
    """Zeros after the end of a tar, and members of gzip without a byte in them."""
    empty = tar_gz(b"")
    store.objects["run/out"] = empty + gzip.compress(bytes(300 * MIB), 9)
    with pytest.raises(ArtifactError) as caught:
        await reader(api).read_small(workflow(store), "train", "out", MIB)
    assert caught.value.reason in ("TooLarge", "Unsupported")
    store.objects["run/out"] = empty + gzip.compress(b"") * 900
    assert await reader(api).read_small(workflow(store), "train", "out", MIB) == b""
    store.objects["run/out"] = empty + gzip.compress(b"") * 40_000
    with pytest.raises(ArtifactError, match="the gzip has more members"):
        await reader(api).read_small(workflow(store), "train", "out", MIB)


async def test_a_zip_bomb_ends_at_the_limit(store: Store, api: Api):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made, made.open("/tmp/out", "w") as file:
        for _ in range(100):
            file.write(bytes(MIB))
    body = workflow(store, {"archive": {"zip": {}}})
    # Python goes back to write the sizes into the header, Argo cannot: its header says that they come after the file.
    data = bytearray(out.getvalue())
    data[6] |= 8
    store.objects["run/out"] = bytes(data)
    await too_large(api, body, MIB)


def bomb(size: int, kind: bytes) -> bytes:
    info = tarfile.TarInfo("out")
    info.type, info.size = kind, size if kind == tarfile.REGTYPE else 0
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=9) as packed:
        packed.write(info.tobuf())
        for _ in range(size // MIB):
            packed.write(bytes(MIB))
    return out.getvalue()
