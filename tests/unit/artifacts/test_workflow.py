"""The Workflow of a run is read from the cluster, or else from its snapshot, and only if the run controls it."""

from __future__ import annotations

from typing import Any, cast

import pytest

from runwright.api.resources import WORKFLOW_SNAPSHOTS, WORKFLOWS
from runwright.artifacts.workflow import kept_workflow, owner_uid
from runwright.core.retry.reset import pack_json
from runwright.kube.client import Client
from runwright.kube.objects import Json, Key
from runwright.kube.resource import Resource

KEY = Key("team", "train")


def owned(uid: str) -> dict[str, Any]:
    owner = {"kind": "PipelineRun", "controller": True, "name": "train", "uid": uid}
    return {"metadata": {"namespace": "team", "name": "train", "ownerReferences": [owner]}}


def snapshot(uid: str) -> Json:
    return {**owned(uid), "data": pack_json({"metadata": {"name": "from-snapshot"}})}


class Objects:
    """The objects of a cluster."""

    def __init__(self, workflow: Json | None, kept: Json | None) -> None:
        self._found = {WORKFLOWS: workflow, WORKFLOW_SNAPSHOTS: kept}

    async def get(self, resource: Resource, key: Key) -> Json | None:
        assert key == KEY
        return self._found[resource]


@pytest.mark.parametrize(
    ("workflow", "kept", "name"),
    [
        (owned("u"), None, "train"),
        (owned("u"), snapshot("u"), "train"),
        (owned("other"), snapshot("u"), "from-snapshot"),
        (None, snapshot("u"), "from-snapshot"),
        (None, snapshot("other"), None),
        (owned("other"), None, None),
        (None, None, None),
    ],
)
async def test_the_workflow_of_the_run_is_found(workflow: Json | None, kept: Json | None, name: str | None):
    found = await kept_workflow(cast(Client, Objects(workflow, kept)), KEY, "u")
    assert (found["metadata"]["name"] if found else None) == name


def test_an_object_without_a_controlling_run_has_no_owner():
    assert owner_uid(owned("u")) == "u"
    assert owner_uid({"metadata": {"ownerReferences": [{"kind": "Job", "controller": True, "uid": "u"}]}}) == ""
