"""Manifests move out of the ConfigMaps of older releases, and every run has one at each moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runwright.api.labels import MANIFEST_LABEL, USED_AT
from runwright.api.pipelinemanifest import digest_label, manifest_name
from runwright.core.workflow.manifest import digest_of
from runwright.kube.errors import ApiError
from runwright.kubectl.move_manifests import STILL_USED, move_manifests
from tests.unit.fake.apiserver import ApiServer
from tests.unit.fake.client import FakeClient

NOW = datetime(2026, 11, 29, 2, tzinfo=UTC)
TEXT = "kind: Workflow"
DIGEST = digest_of(TEXT)
LABEL = digest_label(DIGEST)
CONFIG_MAP = f"runwright-manifest-{LABEL}"


def add_config_map(server: ApiServer, namespace: str = "team", name: str = CONFIG_MAP, **changes: Any) -> None:
    metadata = {
        "namespace": namespace,
        "name": name,
        "labels": {MANIFEST_LABEL: LABEL},
        "annotations": {USED_AT: (NOW - 2 * STILL_USED).isoformat()},
    }
    server.create("ConfigMap", {"metadata": metadata | changes, "immutable": True, "data": {"manifest": TEXT}})


def add_run(
    server: ApiServer,
    name: str,
    namespace: str = "team",
    *,
    digest: str | None = DIGEST,
    config_map: str = CONFIG_MAP,
    key: str = "manifest",
) -> None:
    source: dict[str, Any] = {"configMapKeyRef": {"name": config_map, "key": key}}
    source |= {"digest": digest} if digest else {}
    spec = {"workflow": {"manifestFrom": source}}
    server.create("PipelineRun", {"metadata": {"namespace": namespace, "name": name}, "spec": spec})


def source_of(server: ApiServer, name: str, namespace: str = "team") -> Any:
    found = server.get("PipelineRun", namespace, name)
    assert found is not None
    return found["spec"]["workflow"]["manifestFrom"]


async def move(client: FakeClient) -> str:
    return await move_manifests(client, lambda: NOW, lambda _: None)


async def test_runs_name_the_pipeline_manifest_and_the_config_map_goes(server: ApiServer, client: FakeClient):
    for namespace in ("team", "other"):
        add_config_map(server, namespace)
        for number in range(3):
            add_run(server, f"run-{number}", namespace)
    said = await move(client)
    assert said == "manifests: 6 runs name a PipelineManifest now, 2 ConfigMaps were deleted"
    for namespace in ("team", "other"):
        assert server.get("ConfigMap", namespace, CONFIG_MAP) is None
        stored = server.get("PipelineManifest", namespace, manifest_name(DIGEST))
        assert stored is not None and stored["manifest"] == TEXT
        assert stored["metadata"]["labels"] == {MANIFEST_LABEL: LABEL}
        for number in range(3):
            source = source_of(server, f"run-{number}", namespace)
            assert source == {"pipelineManifestRef": {"name": manifest_name(DIGEST)}, "digest": DIGEST}
    assert await move(client) == "manifests: none is in a ConfigMap of the run service"


async def test_a_config_map_without_runs_is_deleted(server: ApiServer, client: FakeClient):
    add_config_map(server)
    assert "0 runs" in await move(client) and server.get("ConfigMap", "team", CONFIG_MAP) is None
    assert server.get("PipelineManifest", "team", manifest_name(DIGEST)) is None


async def test_what_users_made_stays(server: ApiServer, client: FakeClient):
    add_config_map(server, name="mine")
    add_config_map(server, name=CONFIG_MAP, labels={MANIFEST_LABEL: "true"})
    add_run(server, "run", config_map="mine")
    before = str(server.objects)
    await move(client)
    assert str(server.objects) == before


@pytest.mark.parametrize("ref", [{"digest": None}, {"digest": "sha256:" + "0" * 64}, {"key": "other"}])
async def test_a_config_map_that_a_run_still_needs_stays(server: ApiServer, client: FakeClient, ref: dict[str, Any]):
    add_config_map(server)
    add_run(server, "moves")
    add_run(server, "stays", **ref)
    said = await move(client)
    assert said == "manifests: 1 runs name a PipelineManifest now, 0 ConfigMaps were deleted, 1 are still in use: migrate again in an hour"  # fmt: skip
    assert "configMapKeyRef" in source_of(server, "stays") and server.get("ConfigMap", "team", CONFIG_MAP)
    assert "pipelineManifestRef" in source_of(server, "moves")


async def test_a_config_map_that_was_used_lately_stays_since_a_run_may_follow(server: ApiServer, client: FakeClient):
    add_config_map(server, annotations={USED_AT: (NOW - STILL_USED + timedelta(seconds=1)).isoformat()})
    add_run(server, "run")
    assert "1 are still in use" in await move(client)
    assert "pipelineManifestRef" in source_of(server, "run") and server.get("ConfigMap", "team", CONFIG_MAP)


@pytest.mark.parametrize("change", ["run", "renewal"])
async def test_a_use_during_the_move_keeps_the_config_map(server: ApiServer, client: FakeClient, change: str):
    add_config_map(server)

    def use(call: str) -> None:
        if change == "run" and call == "get configmaps":
            client.before = lambda call: None
            add_run(server, "new")
        elif change == "renewal" and call == "delete configmaps":
            client.before = lambda call: None
            server.patch("ConfigMap", "team", CONFIG_MAP, {"metadata": {"annotations": {USED_AT: NOW.isoformat()}}})

    client.before = use
    await move(client)
    assert (server.get("ConfigMap", "team", CONFIG_MAP) is None) == (change == "run")
    if change == "run":
        assert "pipelineManifestRef" in source_of(server, "new")


async def test_an_interrupted_move_is_finished_by_the_next(server: ApiServer, client: FakeClient):
    add_config_map(server)
    for number in range(3):
        add_run(server, f"run-{number}")
    for call in ("create pipelinemanifests", "patch pipelineruns", "delete configmaps"):
        client.fail(call, ApiError(500, "InternalError", "etcd"))
        with pytest.raises(ApiError):
            await move(client)
        assert server.get("ConfigMap", "team", CONFIG_MAP)
        named = [source_of(server, f"run-{number}") for number in range(3)]
        if any("pipelineManifestRef" in one for one in named):
            assert server.get("PipelineManifest", "team", manifest_name(DIGEST))
    await move(client)
    assert server.get("ConfigMap", "team", CONFIG_MAP) is None
