"""Completion of commands, options and names of runs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from click.testing import CliRunner

from runwright.kubectl import completion
from runwright.kubectl.commands import COMMANDS, kubectl
from runwright.kubectl.session import Target
from tests.unit.fake.apiserver import ApiServer
from tests.unit.fake.client import FakeClient


def completions(*words: str) -> list[str]:
    """The reply to kubectl, without descriptions."""
    done = CliRunner().invoke(kubectl, ["__complete", *words])
    assert done.exit_code == 0, done.output
    return [line.partition("\t")[0] for line in done.output.splitlines()]


def test_commands_are_completed_and_files_are_not():
    assert completions("un") == ["unarchive", ":4"]
    assert completions("") == [*sorted(name for name, entry in COMMANDS.items() if not entry.hidden), ":4"]


def test_options_and_their_values_are_completed():
    assert completions("list", "--ph") == ["--phase", ":4"]
    assert completions("list", "--phase", "Su") == ["Succeeded", ":4"]
    assert completions("get", "-o", "") == ["json", "yaml", "name", "wide", ":4"]
    assert completions("submit", "") == [":0"]


def test_runs_of_the_namespace_are_completed(server: ApiServer, connected: FakeClient):
    for namespace, name in (("team", "train-1"), ("team", "train-2"), ("team", "fit"), ("other", "train-3")):
        server.create("PipelineRun", {"metadata": {"namespace": namespace, "name": name}, "spec": {}})
    assert completions("retry", "tr") == ["train-1", "train-2", ":4"]
    assert completions("get", "-n", "other", "") == ["train-3", ":4"]
    assert completions("artifact", "f") == ["fit", ":4"]


def test_an_unusable_kubeconfig_completes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Any):
    (tmp_path / "config").write_text("{")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    assert completions("get", "") == [":4"]


def test_a_cluster_that_does_not_answer_completes_nothing(monkeypatch: pytest.MonkeyPatch):
    async def silent(target: Target) -> list[str]:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(60)
        return []

    monkeypatch.setattr(completion, "list_names", silent)
    assert completions("get", "") == [":4"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "kubectl"])
def test_a_script_names_the_program(shell: str):
    done = CliRunner().invoke(kubectl, ["completion", shell], prog_name="kubectl-runwright")
    assert done.exit_code == 0
    assert "kubectl-runwright" in done.output
    assert ("__complete" in done.output) is (shell == "kubectl")
