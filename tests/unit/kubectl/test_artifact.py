"""`artifact`: which Workflow is read, what the command accepts, and that a failure keeps the former file."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from runwright import cli
from runwright.artifacts import locate, reader
from runwright.artifacts.places import ArtifactError
from runwright.core.archive.snapshot import pack_snapshot
from runwright.core.records import RunRecord
from runwright.kube.objects import Json, Key
from runwright.kubectl import artifact
from runwright.kubectl.artifact import DownloadError, DownloadOptions, download, read_workflow
from runwright.kubectl.session import Session, Target
from tests.unit.core.strategies import NOW
from tests.unit.fake.apiserver import ApiServer
from tests.unit.fake.client import FakeClient

KEY = Key("team", "train")


def add_run(server: ApiServer) -> str:
    """Create the run; returns its uid."""
    return server.create("PipelineRun", {"metadata": {"name": "train", "namespace": "team"}, "spec": {}})["metadata"][
        "uid"
    ]


def owned(uid: str, **more: Any) -> dict[str, Any]:
    owner = {"kind": "PipelineRun", "controller": True, "uid": uid, "name": "train"}
    return {
        "metadata": {"name": "train", "namespace": "team", "ownerReferences": [owner]},
        "status": {"phase": "Failed"},
        **more,
    }


def snapshot(uid: str) -> Json:
    run = RunRecord(KEY, uid, "7", generation=1, created_at=NOW)
    packed = pack_snapshot(run, owned(uid, spec={"of": "the snapshot"}))
    assert packed is not None
    return packed


async def test_the_workflow_of_the_run_comes_first(server: ApiServer, here: Session):
    uid = add_run(server)
    server.create("Workflow", owned(uid, spec={"of": "the cluster"}))
    server.create("WorkflowSnapshot", snapshot(uid))
    assert (await read_workflow(here, KEY))["spec"] == {"of": "the cluster"}


@pytest.mark.parametrize("workflow", [None, owned("earlier"), {"metadata": {"name": "train", "namespace": "team"}}])
async def test_the_snapshot_is_read_where_no_workflow_belongs_to_the_run(
    workflow: Json | None, server: ApiServer, here: Session
):
    if workflow is not None:
        server.create("Workflow", workflow)
    server.create("WorkflowSnapshot", snapshot(add_run(server)))
    assert (await read_workflow(here, KEY))["spec"] == {"of": "the snapshot"}


@pytest.mark.parametrize("kept", [None, "earlier", "damaged"])
async def test_a_run_without_workflow_and_snapshot_is_an_error(kept: str | None, server: ApiServer, here: Session):
    uid = add_run(server)
    server.create("Workflow", owned("earlier"))
    if kept is not None:
        body = snapshot("earlier" if kept == "earlier" else uid)
        server.create("WorkflowSnapshot", {**body, "data": "damaged"} if kept == "damaged" else body)
    with pytest.raises(DownloadError, match="team/train has no Workflow and no WorkflowSnapshot"):
        await read_workflow(here, KEY)


async def test_a_run_that_does_not_exist_is_an_error(here: Session):
    with pytest.raises(DownloadError, match="PipelineRun train does not exist in namespace team"):
        await read_workflow(here, KEY)


# ------------------------------------------------------------------------------------------------------------ the file
class Broken:
    """Artifacts that give some bytes and then fail, if there is an error."""

    error: ArtifactError | None = None

    def __init__(self, client: object, allowed: None) -> None:
        pass

    async def read(self, workflow: Json, node: str, name: str, *, raw: bool) -> AsyncGenerator[bytes]:
        yield b"half "
        if self.error is not None:
            raise self.error
        yield b"and half"


@pytest.fixture
def broken(server: ApiServer, connected: FakeClient, monkeypatch: pytest.MonkeyPatch) -> type[Broken]:
    server.create("Workflow", owned(add_run(server)))
    monkeypatch.setattr(reader, "Artifacts", Broken)
    monkeypatch.setattr(locate, "find_node_id", lambda workflow, node: node)
    monkeypatch.setattr(Broken, "error", None)
    return Broken


async def test_an_artifact_is_written_into_the_file(broken: type[Broken], tmp_path: Path):
    file = tmp_path / "model"
    await download(DownloadOptions(Target(), KEY, "fit", "model", file))
    assert file.read_bytes() == b"half and half"


async def test_a_failure_in_the_middle_keeps_the_former_file(broken: type[Broken], tmp_path: Path):
    file = tmp_path / "model"
    file.write_bytes(b"former")
    broken.error = ArtifactError("Unreachable", "reset")
    with pytest.raises(ArtifactError):
        await download(DownloadOptions(Target(), KEY, "fit", "model", file))
    assert file.read_bytes() == b"former"
    assert os.listdir(tmp_path) == ["model"]


# --------------------------------------------------------------------------------------------------------- the command
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
def test_a_wrong_command_line_is_a_usage_error(arguments: list[str], message: str):
    done = CliRunner().invoke(cli.main, ["artifact", *arguments])
    assert done.exit_code == 2
    assert message in done.output


def test_the_command_line_becomes_the_options_and_an_error_one_line(monkeypatch: pytest.MonkeyPatch):
    asked: list[DownloadOptions] = []

    async def fake(options: DownloadOptions) -> None:
        asked.append(options)
        raise ArtifactError("NodeNotFound", "the run\nhas none")

    monkeypatch.setattr(artifact, "download", fake)
    done = CliRunner().invoke(cli.main, ["artifact", "team/train", "fit", "model", "--raw", "--context", "c"])
    assert asked == [DownloadOptions(Target(context="c"), KEY, "fit", "model", raw=True)]
    assert str(done.exception) == "runwright: NodeNotFound: the run has none"
