"""Completion: for shells by click's own scripts, for `kubectl runwright` by the executable that kubectl runs (1.26 and later)."""

from __future__ import annotations

import asyncio
import contextlib

import click
from click.shell_completion import CompletionItem, ShellComplete, get_completion_class

from runwright.api.resources import PIPELINE_RUNS
from runwright.kube.client import Form
from runwright.kube.objects import name_of
from runwright.kube.resource import Selection
from runwright.kubectl.session import Target, connect_to

COMPLETION_SECONDS = 2.0
"""How long completion waits for the cluster."""

MAX_NAMES = 500

NO_FILES, FILES = ":4", ":0"
"""Last line of a reply to kubectl: whether the shell may complete file names."""

KUBECTL_SCRIPT = """#!/bin/sh
# kubectl (1.26 and later) runs this to complete `kubectl runwright`. Put it on PATH as kubectl_complete-runwright.
exec kubectl-runwright __complete "$@"
"""


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish", "kubectl"]))
@click.pass_context
def completion_command(context: click.Context, shell: str) -> None:
    """Print a completion script for a shell: source <(runwright completion bash).

    For kubectl (1.26 and later), save it on PATH as the executable kubectl_complete-runwright.
    """
    root = context.find_root()
    name = (root.info_name or "runwright").replace(" ", "-")
    click.echo(completion_script(shell, root.command, name), nl=False)


@click.command("__complete", hidden=True, context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def complete_command(context: click.Context, words: tuple[str, ...]) -> None:
    """Complete a command line for kubectl."""
    click.echo(kubectl_reply(context.find_root().command, words), nl=False)


def completion_script(shell: str, group: click.Command, name: str) -> str:
    """The script that makes a shell, or kubectl, complete the command."""
    if shell == "kubectl":
        return KUBECTL_SCRIPT
    found = get_completion_class(shell)
    if found is None:
        raise ValueError(f"{shell}: expected bash, zsh, fish or kubectl")
    return found(group, {}, name, f"_{name.replace('-', '_').upper()}_COMPLETE").source()


def kubectl_reply(group: click.Command, words: tuple[str, ...]) -> str:
    """The reply to kubectl: one completion per line, with its description after a tab, and a directive at the end."""
    *before, incomplete = words or ("",)
    items = ShellComplete(group, {}, "kubectl-runwright", "_UNUSED").get_completions(list(before), incomplete)
    lines = [f"{item.value}\t{item.help}" if item.help else item.value for item in items if item.type == "plain"]
    return "\n".join([*lines, FILES if any(item.type != "plain" for item in items) else NO_FILES]) + "\n"


def complete_run(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a run; empty after any error, and where the cluster does not reply in time."""
    given = context.params
    target = Target(given.get("kubeconfig"), given.get("context"), given.get("namespace") or "")
    with contextlib.suppress(Exception):
        return [CompletionItem(name) for name in asyncio.run(list_names(target)) if name.startswith(incomplete)]
    return []


async def list_names(target: Target) -> list[str]:
    """The names of the first MAX_NAMES runs. Raises TimeoutError, ApiError, ConfigError."""
    async with asyncio.timeout(COMPLETION_SECONDS), connect_to(target) as here:
        selection = Selection(here.namespace)
        async for page in here.client.pages(PIPELINE_RUNS, selection, form=Form.METADATA, limit=MAX_NAMES):
            return [name_of(item) for item in page.items]
    return []
