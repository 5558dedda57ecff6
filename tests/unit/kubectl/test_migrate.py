"""`runwright migrate`: each object is written again, then the CRD no longer lists the older version."""

from __future__ import annotations

from typing import Any

import pytest

from runwright.api.resources import PIPELINE_RUNS, RETENTION_POLICIES
from runwright.kube.errors import ApiError
from runwright.kubectl.migrate import CONCURRENT_WRITES, MIGRATED, migrate, migrate_kind, stored_versions
from runwright.kubectl.session import Target
from tests.unit.fake.apiserver import ApiServer
from tests.unit.fake.client import FakeClient


def add_crd(server: ApiServer, name: str, *stored: str) -> None:
    versions = [{"name": "v1alpha1", "storage": False}, {"name": "v1beta1", "storage": True}]
    body = {"metadata": {"name": name}, "spec": {"versions": versions}, "status": {"storedVersions": list(stored)}}
    server.create("CustomResourceDefinition", body)


def crd(server: ApiServer, name: str) -> Any:
    return server.objects["CustomResourceDefinition", "", name]


def test_the_other_versions_are_those_that_are_not_stored_now():
    versions = [{"name": "v1", "storage": False}, {"name": "v2", "storage": True}]
    body = {"spec": {"versions": versions}, "status": {"storedVersions": ["v1", "v2"]}}
    assert stored_versions(body) == ("v2", ("v1",))


async def test_a_kind_with_an_older_version_is_written_again_and_the_list_is_cleared(
    server: ApiServer, client: FakeClient
):
    add_crd(server, str(PIPELINE_RUNS), "v1alpha1", "v1beta1")
    for number in range(CONCURRENT_WRITES + 2):
        server.create("PipelineRun", {"metadata": {"namespace": "team", "name": f"run-{number}"}, "spec": {}})
    message = await migrate_kind(client, PIPELINE_RUNS)
    assert message == f"pipelineruns: {CONCURRENT_WRITES + 2} objects are stored as v1beta1, and none as v1alpha1"
    assert client.calls.count("patch pipelineruns") == CONCURRENT_WRITES + 2
    assert crd(server, str(PIPELINE_RUNS))["status"]["storedVersions"] == ["v1beta1"]


async def test_a_crd_that_changes_meanwhile_keeps_its_list(server: ApiServer, client: FakeClient):
    name = str(RETENTION_POLICIES)
    add_crd(server, name, "v1alpha1", "v1beta1")

    def change(call: str) -> None:
        if call == "list retentionpolicies":
            server.patch("CustomResourceDefinition", "", name, {"spec": {"scope": "Namespaced"}})

    client.before = change
    with pytest.raises(ApiError, match="Conflict"):
        await migrate_kind(client, RETENTION_POLICIES)
    assert crd(server, name)["status"]["storedVersions"] == ["v1alpha1", "v1beta1"]


async def test_migrated_kinds_cost_one_request_each(
    server: ApiServer, connected: FakeClient, capsys: pytest.CaptureFixture[str]
):
    for resource in MIGRATED:
        add_crd(server, str(resource), "v1beta1")
    await migrate(Target())
    assert connected.calls == [*["get customresourcedefinitions"] * 5, "list configmaps"]
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "pipelineruns: all objects are stored as v1beta1"
    assert said[-1] == "manifests: none is in a ConfigMap of the run service"


async def test_a_missing_crd_is_an_error_with_its_name(client: FakeClient):
    with pytest.raises(ApiError, match=r"the CRD pipelineruns\.runwright\.dev is not installed"):
        await migrate_kind(client, PIPELINE_RUNS)
