"""`runwright artifact`: whose Workflow it reads, and what becomes of the file that was named."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from click.testing import CliRunner

from runwright import cli
from runwright.api.resources import WORKFLOWS
from runwright.artifacts.reader import ArtifactError
from runwright.core.archive.snapshot import pack_snapshot
from runwright.core.records import RunRecord
from runwright.kube.objects import Json, Key
from runwright.kube.resource import Resource
from runwright.kubectl import commands
from runwright.kubectl.artifact import DownloadError, DownloadOptions, workflow_of
from runwright.ports import Cluster
from tests.unit.core.strategies import NOW

KEY = Key("team", "train")
RUN = {"metadata": {"name": "train", "namespace": "team", "uid": "run-uid"}}


def owned(uid: str) -> dict[str, Any]:
    owner = {"kind": "PipelineRun", "controller": True, "uid": uid, "name": "train"}
    return {
        "metadata": {"name": "train", "namespace": "team", "ownerReferences": [owner]},
        "status": {"phase": "Failed"},
    }


def snapshot(uid: str) -> dict[str, Any]:
    run = RunRecord(KEY, uid, "7", generation=1, created_at=NOW)
    packed = pack_snapshot(run, {**owned(uid), "spec": {"from": "the snapshot"}})
    assert packed is not None
    return packed


class Api:
    def __init__(self, run: Json | None = None, workflow: Json | None = None, kept: Json | None = None) -> None:
        self.objects = {"run": run, "workflow": workflow, "snapshot": kept}

    async def get_run(self, key: Key) -> Json | None:
        assert key == KEY
        return self.objects["run"]

    async def get(self, resource: Resource, key: Key) -> Json | None:
        return self.objects["workflow" if resource is WORKFLOWS else "snapshot"]


def found(*objects: Json | None) -> Json:
    return asyncio.run(workflow_of(cast(Cluster, Api(*objects)), KEY))


def test_the_workflow_of_the_run():
    assert found(RUN, owned("run-uid"), snapshot("run-uid")) == owned("run-uid")


def test_the_snapshot_where_there_is_no_workflow_or_that_of_another_run():
    for workflow in (None, owned("earlier"), {"metadata": {"name": "train"}}):
        assert found(RUN, workflow, snapshot("run-uid"))["spec"] == {"from": "the snapshot"}


@pytest.mark.parametrize("kept", [None, snapshot("earlier"), {**snapshot("run-uid"), "data": "damaged"}])
def test_nothing_is_left(kept: Json | None):
    with pytest.raises(DownloadError, match="team/train has no Workflow and no WorkflowSnapshot"):
        found(RUN, owned("earlier"), kept)


def test_no_run():
    with pytest.raises(DownloadError, match="there is no PipelineRun train in namespace team"):
        found(None, owned("run-uid"))


# -------------------------------------------------------------------------------------------------------- the command
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a/b", "fit", "model", "-n", "c"], "a/b is not in --namespace c"),
        (["a/b/c", "fit", "model"], "expected RUN or NAMESPACE/RUN"),
        (["/b", "fit", "model"], "expected RUN or NAMESPACE/RUN"),
        (["a/b", "fit"], "Missing argument 'NAME'"),
        (["a/b", "fit", "model", "-o", "/nonexistent/x"], "folder '/nonexistent' does not exist"),
        (["a/b", "fit", "model", "-o", "/tmp"], "File '/tmp' is a directory"),
    ],
)
def test_what_it_is_not_asked(arguments: list[str], message: str):
    done = CliRunner().invoke(cli.main, ["artifact", *arguments])
    assert done.exit_code == 2
    assert message in done.output


def test_what_it_is_asked(monkeypatch: pytest.MonkeyPatch):
    asked: list[DownloadOptions] = []

    async def download(options: DownloadOptions) -> None:
        asked.append(options)
        raise ArtifactError("NodeNotFound", "the run\nhas none")

    monkeypatch.setattr(commands, "download", download)
    done = CliRunner().invoke(cli.main, ["artifact", "team/train", "fit", "model", "--raw", "--context", "c"])
    assert asked == [DownloadOptions(KEY, "fit", "model", None, True, None, "c")]
    assert str(done.exception) == "runwright: NodeNotFound: the run has none"
