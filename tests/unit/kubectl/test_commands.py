"""The table of commands: each row leads to a command with that name, whose usage errors have exit code 2."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from runwright import cli
from runwright.kubectl.commands import COMMANDS, kubectl


@pytest.mark.parametrize("group", [cli.main, kubectl], ids=["runwright", "kubectl"])
@pytest.mark.parametrize("name", COMMANDS)
def test_both_groups_have_each_command_with_help(group: click.Group, name: str):
    entry = COMMANDS[name]
    listed = CliRunner().invoke(group, ["--help"]).output
    assert (f"  {name} " in listed) is not entry.hidden
    command = group.get_command(click.Context(group), name)
    assert command is not None
    assert (command.name, command.hidden) == (name, entry.hidden)
    done = CliRunner().invoke(group, [name, "--help"])
    assert entry.hidden or (done.exit_code == 0 and "Usage: " in done.output)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["submit"], "expected a FILE, or --from KIND/NAME"),
        (["submit", "/dev/null", "--from", "workflowtemplate/a"], "not both"),
        (["submit", "/nonexistent"], "'/nonexistent' does not exist"),
        (["retry"], "To select all runs, use --all"),
        (["delete", "a", "--all"], "not both"),
        (["wait", "a", "--for", "done"], "'done' is not one of"),
        (["wait", "a", "--timeout", "soon"], "duration: expected numbers with units"),
        (["list", "--phase", "Done"], "'Done' is not one of"),
        (["list", "-w", "-o", "json"], "--watch prints columns"),
        (["get", "a", "-w", "-o", "yaml"], "--watch draws a tree"),
        (["get", "a", "-o", "xml"], "'xml' is not one of"),
        (["logs", "a", "--tail", "-1"], "-1 is not in the range"),
    ],
)
def test_a_wrong_command_line_is_a_usage_error(arguments: list[str], message: str):
    done = CliRunner().invoke(kubectl, arguments)
    assert done.exit_code == 2
    assert message in done.output
