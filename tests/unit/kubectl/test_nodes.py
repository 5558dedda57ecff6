"""Where the nodes of a run are read from."""

from __future__ import annotations

from typing import Any

import pytest

from runwright.kube.errors import ApiError
from runwright.kubectl.nodes import read_tree
from runwright.kubectl.session import Session
from tests.unit.fake.apiserver import ApiServer
from tests.unit.fake.client import FakeClient


@pytest.fixture
def run(server: ApiServer) -> dict[str, Any]:
    server.create("PipelineRun", {"metadata": {"namespace": "team", "name": "train"}, "spec": {}})
    nodes = [{"id": "train", "name": "of the status", "type": "Pod", "phase": "Failed"}]
    run = server.patch_status("PipelineRun", "team", "train", {"phase": "Failed", "nodes": nodes, "nodesOmitted": 2})
    owner = {"kind": "PipelineRun", "controller": True, "uid": run["metadata"]["uid"], "name": "train"}
    node = {"id": "train", "name": "train", "displayName": "of the Workflow", "type": "Pod", "phase": "Failed"}
    metadata = {"namespace": "team", "name": "train", "ownerReferences": [owner]}
    server.create("Workflow", {"metadata": metadata, "status": {"nodes": {"train": node}}})
    return dict(run)


async def test_nodes_are_read_from_the_workflow(run: dict[str, Any], here: Session):
    tree = await read_tree(here, run, brief=False)
    assert (tree.nodes["train"].name, tree.omitted) == ("of the Workflow", 0)


async def test_brief_reads_the_status_without_a_request(run: dict[str, Any], client: FakeClient, here: Session):
    tree = await read_tree(here, run, brief=True)
    assert (tree.nodes["train"].name, tree.omitted) == ("of the status", 2)
    assert client.calls == []


async def test_nodes_are_read_from_the_status_without_a_workflow(run: dict[str, Any], server: ApiServer, here: Session):
    server.remove("Workflow", "team", "train")
    assert (await read_tree(here, run, brief=False)).nodes["train"].name == "of the status"


async def test_nodes_are_read_from_the_status_without_the_right_to_read_workflows(
    run: dict[str, Any], client: FakeClient, here: Session
):
    client.fail("get workflows", ApiError(403, "Forbidden", "no"))
    assert (await read_tree(here, run, brief=False)).nodes["train"].name == "of the status"


async def test_another_error_is_not_hidden(run: dict[str, Any], client: FakeClient, here: Session):
    client.fail("get workflows", ApiError(500, "InternalError", "no"))
    with pytest.raises(ApiError, match="InternalError"):
        await read_tree(here, run, brief=False)
