"""`runwright export`: what it writes, and that a failure keeps the former backup."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from runwright import cli
from runwright.kube.errors import ApiError
from runwright.kubectl.export import export_runs
from runwright.kubectl.session import Target
from tests.unit.fake.apiserver import ApiServer
from tests.unit.fake.client import FakeClient


def add(server: ApiServer, kind: str, name: str, namespace: str = "team", **labels: str) -> None:
    server.create(kind, {"metadata": {"namespace": namespace, "name": name, "labels": labels}, "spec": {}})


@pytest.fixture
def filled(server: ApiServer) -> ApiServer:
    add(server, "WorkflowSnapshot", "first")
    add(server, "PipelineRun", "first")
    add(server, "PipelineRun", "second", "other")
    add(server, "ConfigMap", "shared", **{"runwright.dev/manifest": "abc"})
    add(server, "ConfigMap", "unrelated")
    return server


def exported(file: Path) -> list[tuple[str, str]]:
    bodies = [json.loads(line) for line in file.read_text().splitlines()]
    return [(body["kind"], body["metadata"]["name"]) for body in bodies]


async def test_all_objects_are_written_in_the_order_of_an_import(
    filled: ApiServer, connected: FakeClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    file = tmp_path / "runs.jsonl"
    await export_runs(Target(), file)
    assert exported(file) == [
        ("ConfigMap", "shared"),
        ("PipelineRun", "second"),
        ("PipelineRun", "first"),
        ("WorkflowSnapshot", "first"),
    ]
    assert capsys.readouterr().err.splitlines()[-1] == "1 ConfigMap, 2 PipelineRun, 1 WorkflowSnapshot"


async def test_one_namespace_is_exported_alone(filled: ApiServer, connected: FakeClient, tmp_path: Path):
    file = tmp_path / "runs.jsonl"
    await export_runs(Target(namespace="other"), file)
    assert exported(file) == [("PipelineRun", "second")]


async def test_a_failure_in_the_middle_keeps_the_former_file(filled: ApiServer, connected: FakeClient, tmp_path: Path):
    file = tmp_path / "runs.jsonl"
    file.write_text("the former backup")
    connected.fail("list workflowsnapshots", ApiError(410, "Expired", "too old"))
    with pytest.raises(ApiError):
        await export_runs(Target(), file)
    assert file.read_text() == "the former backup"
    assert os.listdir(tmp_path) == ["runs.jsonl"]


def test_the_command_ends_with_1_and_keeps_the_former_file(filled: ApiServer, connected: FakeClient, tmp_path: Path):
    file = tmp_path / "runs.jsonl"
    file.write_text("the former backup")
    connected.fail("list pipelineruns", ApiError(403, "Forbidden", "no"))
    done = CliRunner().invoke(cli.main, ["export", str(file)])
    assert (done.exit_code, file.read_text()) == (1, "the former backup")


def test_a_folder_that_does_not_exist_is_a_usage_error():
    done = CliRunner().invoke(cli.main, ["export", "/nonexistent/runs.jsonl"])
    assert done.exit_code == 2
    assert "folder '/nonexistent' does not exist" in done.output


def test_the_standard_output_is_the_default(filled: ApiServer, connected: FakeClient):
    done = CliRunner().invoke(cli.main, ["export"])
    assert done.exit_code == 0
    assert json.loads(done.stdout.splitlines()[0])["kind"] == "ConfigMap"
