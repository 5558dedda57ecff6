"""A lazy group: help and completion from its table, a module imported for its own command only."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from runwright.kubectl.lazy import CommandEntry, LazyGroup


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> click.Group:
    """A group whose command `good` can be imported, and `broken` cannot."""
    (tmp_path / "lazy_good.py").write_text(
        "import click\n\n\n@click.command('good')\ndef command():\n    click.echo('done')\n"
    )
    (tmp_path / "lazy_broken.py").write_text("raise RuntimeError('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "lazy_good", raising=False)
    entries = {
        "good": CommandEntry("lazy_good:command", "Say that it is done."),
        "broken": CommandEntry("lazy_broken:command", "Fail."),
        "secret": CommandEntry("lazy_broken:command", "Stay out of help.", hidden=True),
    }
    return LazyGroup("group", entries=entries)


def test_a_command_runs_without_the_module_of_another(group: click.Group):
    done = CliRunner().invoke(group, ["good"])
    assert (done.exit_code, done.output) == (0, "done\n")


def test_help_lists_the_table_without_hidden_commands_and_imports_nothing(group: click.Group):
    done = CliRunner().invoke(group, ["--help"])
    assert done.exit_code == 0
    assert done.output.splitlines()[-3:] == ["Commands:", "  broken  Fail.", "  good    Say that it is done."]
    assert "lazy_good" not in sys.modules


def test_names_are_completed_from_the_table(group: click.Group):
    items = ShellComplete(group, {}, "group", "_UNUSED").get_completions([], "g")
    assert [(item.value, item.help) for item in items] == [("good", "Say that it is done.")]
    assert "lazy_good" not in sys.modules


def test_an_unknown_command_is_a_usage_error_that_suggests_shown_commands(group: click.Group):
    done = CliRunner().invoke(group, ["god"])
    assert done.exit_code == 2
    assert "No such command 'god'. Did you mean 'good'?" in done.output
    assert "secret" not in CliRunner().invoke(group, ["secrt"]).output.replace("secrt", "")
