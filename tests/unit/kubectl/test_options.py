"""Options that commands share, and the values that they become."""

from __future__ import annotations

from typing import Any

import click
import pytest
from click.testing import CliRunner

from runwright.kubectl.options import chosen_options, output_option, pop_chosen, pop_target, target_options
from runwright.kubectl.selecting import Chosen
from runwright.kubectl.session import Target


def invoke(arguments: list[str]) -> Any:
    """The value of a command that chooses runs, or click's result where it fails."""
    found: list[Chosen] = []

    @click.command()
    @chosen_options
    def command(**given: Any) -> None:
        found.append(pop_chosen(given))
        assert not given

    done = CliRunner().invoke(command, arguments)
    return found[0] if found else done


def test_runs_are_chosen_by_name_in_a_namespace():
    assert invoke(["a", "b", "-n", "team"]) == Chosen(Target(namespace="team"), ("a", "b"))


@pytest.mark.parametrize(
    ("arguments", "chosen"),
    [
        (["-l", "a=b"], Chosen(Target(), selector="a=b")),
        (["--phase", "Failed", "--phase", "Error"], Chosen(Target(), phases=("Failed", "Error"))),
        (["--archived"], Chosen(Target(), archived=True)),
        (["--all"], Chosen(Target())),
    ],
)
def test_runs_are_chosen_by_what_they_match(arguments: list[str], chosen: Chosen):
    assert invoke(arguments) == chosen


@pytest.mark.parametrize("arguments", [[], ["a", "--all"], ["a", "-l", "b=c"]])
def test_names_or_selectors_are_required_and_not_both(arguments: list[str]):
    done = invoke(arguments)
    assert done.exit_code == 2
    assert "name runs, or select them with --selector, --phase, --archived or --all" in done.output


def test_a_target_and_an_output_format_are_empty_by_default():
    found: list[Any] = []

    @click.command()
    @target_options
    @output_option("json", "yaml")
    def command(output: str, **given: Any) -> None:
        found.extend([pop_target(given), output])

    assert CliRunner().invoke(command, []).exit_code == 0
    assert found == [Target(), ""]
