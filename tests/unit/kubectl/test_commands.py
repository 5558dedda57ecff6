"""The commands at a shell: what they do not take, how they end, and what kubectl is told to complete."""

from __future__ import annotations

import asyncio
from typing import Any

import click
import pytest
from click.testing import CliRunner

from runwright import cli
from runwright.kube.errors import ApiError
from runwright.kubectl import completion, session
from runwright.kubectl.commands import COMMANDS, kubectl
from runwright.kubectl.session import CommandError, Exit, run_command


@pytest.mark.parametrize("group", [cli.main, kubectl], ids=["runwright", "kubectl"])
def test_both_have_every_command_with_help(group: click.Group):
    listed = CliRunner().invoke(group, ["--help"]).output
    for command in COMMANDS:
        assert command.name is not None
        assert (f"  {command.name} " in listed) is not command.hidden
        done = CliRunner().invoke(group, [command.name, "--help"])
        assert command.hidden or (done.exit_code == 0 and "Usage: " in done.output)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["submit"], "expected a FILE, or --from KIND/NAME"),
        (["submit", "/dev/null", "--from", "workflowtemplate/a"], "not both"),
        (["submit", "/nonexistent"], "'/nonexistent' does not exist"),
        (["retry"], "nothing is done to all without --all"),
        (["delete", "a", "--all"], "not both"),
        (["wait", "a", "--for", "done"], "'done' is not one of"),
        (["wait", "a", "--timeout", "soon"], "'soon' is not a duration"),
        (["list", "--phase", "Done"], "'Done' is not one of"),
        (["list", "-w", "-o", "json"], "--watch shows columns"),
        (["get", "a", "-w", "-o", "yaml"], "--watch draws a tree"),
        (["get", "a", "-o", "xml"], "'xml' is not one of"),
        (["logs", "a", "--tail", "-1"], "-1 is not in the range"),
    ],
)
def test_what_is_not_taken(arguments: list[str], message: str):
    done = CliRunner().invoke(kubectl, arguments)
    assert done.exit_code == 2
    assert message in done.output


async def ends_with(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Exit(3), 3),
        (KeyboardInterrupt(), 130),
        (ApiError(404, "NotFound", "no\nsuch"), "runwright: 404 NotFound: no such"),
        (CommandError("a.yaml: it is\nempty"), "runwright: a.yaml: it is empty"),
        (OSError("disk"), "runwright: OSError: disk"),
    ],
)
def test_how_it_ends(error: BaseException, code: int | str, monkeypatch: pytest.MonkeyPatch):
    def run(command: Any) -> None:
        command.close()
        raise error

    monkeypatch.setattr(session, "run_interruptible", run)
    with pytest.raises(SystemExit) as ended:
        run_command(ends_with(error))
    assert ended.value.code == code


# ---------------------------------------------------------------------------------------------------------- completion
def told(*words: str) -> list[str]:
    """What kubectl is told, without the meanings."""
    done = CliRunner().invoke(kubectl, ["__complete", *words])
    assert done.exit_code == 0, done.output
    return [line.partition("\t")[0] for line in done.output.splitlines()]


def test_commands_are_completed_and_no_files():
    assert told("un") == ["unarchive", ":4"]
    assert told("") == [*sorted(str(one.name) for one in COMMANDS if not one.hidden), ":4"]


def test_options_and_their_values_are_completed():
    assert told("list", "--ph") == ["--phase", ":4"]
    assert told("list", "--phase", "Su") == ["Succeeded", ":4"]
    assert told("get", "-o", "") == ["json", "yaml", "name", "wide", ":4"]
    assert told("submit", "") == [":0"]


def test_runs_are_completed(monkeypatch: pytest.MonkeyPatch):
    async def names(target: session.Target) -> list[str]:
        assert target.namespace == "team"
        return ["train-1", "train-2", "fit"]

    monkeypatch.setattr(completion, "names", names)
    assert told("retry", "-n", "team", "tr") == ["train-1", "train-2", ":4"]
    assert told("get", "-n", "team", "train-2") == ["train-2", ":4"]
    assert told("artifact", "-n", "team", "f") == ["fit", ":4"]


def test_a_cluster_that_does_not_answer_holds_nobody_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Any):
    (tmp_path / "config").write_text("{")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    assert told("get", "") == [":4"]

    async def silent(target: session.Target) -> list[str]:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(60)
        return []

    monkeypatch.setattr(completion, "names", silent)
    assert told("get", "") == [":4"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "kubectl"])
def test_scripts(shell: str):
    done = CliRunner().invoke(kubectl, ["completion", shell], prog_name="kubectl-runwright")
    assert done.exit_code == 0
    assert "kubectl-runwright" in done.output
    assert ("__complete" in done.output) is (shell == "kubectl")
