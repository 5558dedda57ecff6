"""The `runwright` command: each command is in its table, and imports what it needs and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from runwright import __version__, cli

OPERATOR = Path(__file__).parents[2] / "operator"

CLI_MODULES = {
    "runwright.kubectl",
    "runwright.kubectl.commands",
    "runwright.kubectl.exit",
    "runwright.kubectl.lazy",
}
"""Modules of the room `kubectl` that every process loads."""

HEAVY = {"aiohttp", "kopf", "kubernetes", "obstore", "pydantic", "rich", "grpc", "yaml"}


def modules_after(statement: str) -> set[str]:
    """Names of the modules that a new interpreter has loaded after the statement."""
    program = f"import sys\nsys.path.insert(0, {str(OPERATOR)!r})\n{statement}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def command_module(name: str) -> str:
    return cli.ENTRIES[name].path.partition(":")[0]


def heavy_after(statement: str) -> set[str]:
    return {name.partition(".")[0] for name in modules_after(statement)} & HEAVY


# ----------------------------------------------------------------------------------------------------------- the table
@pytest.mark.parametrize("name", cli.ENTRIES)
def test_each_row_of_the_table_leads_to_its_command(name: str):
    command = cli.main.get_command(click.Context(cli.main), name)
    assert command is not None
    assert command.name == name


@pytest.mark.parametrize("name", ["operator", "serve", "migrate", "export", "import"])
def test_help_of_a_command_is_printed(name: str):
    done = CliRunner().invoke(cli.main, [name, "-h"], prog_name="runwright")
    assert done.exit_code == 0
    assert done.output.startswith(f"Usage: runwright {name} ")


def test_the_version_is_printed():
    assert (
        CliRunner().invoke(cli.main, ["--version"], prog_name="runwright").output
        == f"runwright, version {__version__}\n"
    )


def test_options_can_be_set_by_environment_variables():
    done = CliRunner().invoke(cli.main, ["operator"], env={"RUNWRIGHT_OPERATOR_WORKERS": "many"})
    assert done.exit_code == 2
    assert "Invalid value for '--workers': 'many' is not a valid integer" in done.output


def test_a_misspelled_command_is_a_usage_error_with_a_suggestion():
    done = CliRunner().invoke(cli.main, ["lst"])
    assert done.exit_code == 2
    assert "Did you mean 'list'?" in done.output


# --------------------------------------------------------------------------------------------------------- the imports
def test_help_of_the_group_imports_no_command():
    run = "from click.testing import CliRunner; from runwright import cli; CliRunner().invoke(cli.main, ['--help'])"
    loaded = modules_after(run)
    assert {name for name in loaded if name.startswith("runwright.kubectl")} == CLI_MODULES
    assert not {name.partition(".")[0] for name in loaded} & HEAVY


def test_the_operator_loads_neither_the_service_nor_the_commands_of_kubectl():
    loaded = modules_after(f"import runwright.cli, {command_module('operator')}")
    assert not {name for name in loaded if name.startswith("runwright.service")}
    assert {name for name in loaded if name.startswith("runwright.kubectl")} == CLI_MODULES


def test_the_service_loads_neither_the_controller_nor_the_commands_of_kubectl():
    loaded = modules_after(f"import runwright.cli, {command_module('serve')}")
    assert not {name for name in loaded if name.startswith(("runwright.controller", "kopf"))}
    assert {name for name in loaded if name.startswith("runwright.kubectl")} == CLI_MODULES


def test_list_loads_no_models_and_no_client_library():
    connected = "import runwright.kube.http_client, runwright.kube.login"
    assert heavy_after(f"import {command_module('list')}") == set()
    assert heavy_after(f"import {command_module('list')}\n{connected}") == {"aiohttp", "yaml"}


@pytest.mark.parametrize("name", ["retry", "wait", "migrate", "metrics", "get"])
def test_commands_without_models_do_not_load_them(name: str):
    assert not heavy_after(f"import {command_module(name)}") & {"kubernetes", "kopf", "obstore", "pydantic", "rich"}
