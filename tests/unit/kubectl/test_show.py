"""`get`: formats, the description of a run, and its changes with `-w`."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import yaml

from runwright.kube.errors import ApiError
from runwright.kubectl.session import Target
from runwright.kubectl.show import GetOptions, follow_until_end, get_run
from tests.unit.fake.apiserver import ApiServer
from tests.unit.fake.client import FakeClient
from tests.unit.kubectl.conftest import event_at

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def run(server: ApiServer) -> dict[str, Any]:
    server.create(
        "PipelineRun",
        {"metadata": {"namespace": "team", "name": "train", "managedFields": [1]}, "spec": {"displayName": "Nightly"}},
    )
    nodes = [{"id": "train", "name": "train", "type": "Pod", "phase": "Running"}]
    return dict(server.patch_status("PipelineRun", "team", "train", {"phase": "Running", "nodes": nodes}))


@pytest.mark.parametrize("output", ["json", "yaml", "name"])
async def test_a_run_is_printed_in_the_format_without_managed_fields(
    output: str, run: dict[str, Any], connected: FakeClient, capsys: Captured
):
    await get_run(GetOptions(Target(), "train", output))
    printed = capsys.readouterr().out
    if output == "name":
        assert printed == "pipelinerun.runwright.dev/train\n"
        return
    body = json.loads(printed) if output == "json" else yaml.safe_load(printed)
    assert body["spec"] == {"displayName": "Nightly"}
    assert "managedFields" not in body["metadata"]


async def test_a_brief_description_makes_one_request(run: dict[str, Any], connected: FakeClient, capsys: Captured):
    await get_run(GetOptions(Target(), "train", brief=True))
    printed = capsys.readouterr().out
    assert "Display name:   Nightly" in printed
    assert "train   Running" in printed
    assert connected.calls == ["get pipelineruns"]


async def test_a_run_in_another_namespace_is_named_with_it(run: dict[str, Any], connected: FakeClient):
    with pytest.raises(ApiError, match="not found in namespace other"):
        await get_run(GetOptions(Target(), "other/train"))


async def test_watching_into_a_pipe_prints_each_change_until_the_end(
    run: dict[str, Any], server: ApiServer, connected: FakeClient, capsys: Captured
):
    watched = event_at(connected, "watch pipelineruns")
    watching = asyncio.create_task(follow_until_end(GetOptions(Target(), "train", watch=True, brief=True)))
    await watched.wait()
    await asyncio.sleep(0.01)
    server.patch_status("PipelineRun", "team", "train", {"phase": "Succeeded", "progress": "1/1"})
    async with asyncio.timeout(5):
        await watching
    assert capsys.readouterr().out.splitlines() == [
        "pipelinerun.runwright.dev/train  Running",
        "  train  Running",
        "pipelinerun.runwright.dev/train  Succeeded  1/1",
    ]


async def test_watching_a_run_that_is_deleted_ends_with_an_error(
    run: dict[str, Any], server: ApiServer, connected: FakeClient
):
    watched = event_at(connected, "watch pipelineruns")
    watching = asyncio.create_task(follow_until_end(GetOptions(Target(), "train", watch=True, brief=True)))
    await watched.wait()
    server.remove("PipelineRun", "team", "train")
    with pytest.raises(ApiError, match="not found in namespace team"):
        await watching
