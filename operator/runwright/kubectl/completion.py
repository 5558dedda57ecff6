"""Completion: for a shell by click's own scripts, for `kubectl runwright` by the executable that kubectl asks (1.26 on)."""

from __future__ import annotations

import asyncio
import contextlib

import click
from click.shell_completion import CompletionItem, ShellComplete, get_completion_class

from runwright.kubectl.session import Target, session

SECONDS = 2.0
"""How long a person who pressed TAB is kept waiting for the cluster."""

MAX_NAMES = 500

NO_FILES, FILES = ":4", ":0"
"""The last line of an answer to kubectl: whether the shell may offer files where nothing else fits."""

FOR_KUBECTL = """#!/bin/sh
# kubectl (1.26 on) asks this for what can follow `kubectl runwright`. Put it on PATH as kubectl_complete-runwright.
exec kubectl-runwright __complete "$@"
"""


def script(shell: str, group: click.Command, name: str) -> str:
    """What makes a shell, or kubectl, complete the command."""
    if shell == "kubectl":
        return FOR_KUBECTL
    found = get_completion_class(shell)
    assert found is not None, shell
    return found(group, {}, name, f"_{name.replace('-', '_').upper()}_COMPLETE").source()


def answer(group: click.Command, words: tuple[str, ...]) -> str:
    """What kubectl is told: a completion a line, with its meaning after a tab, and at last what the shell may do."""
    *before, incomplete = words or ("",)
    items = ShellComplete(group, {}, "kubectl-runwright", "_UNUSED").get_completions(list(before), incomplete)
    lines = [f"{item.value}\t{item.help}" if item.help else item.value for item in items if item.type == "plain"]
    return "\n".join([*lines, FILES if any(item.type != "plain" for item in items) else NO_FILES]) + "\n"


def run_names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The runs of the namespace; none where the cluster does not say in time, whatever the reason."""
    given = context.params
    target = Target(given.get("kubeconfig"), given.get("context"), given.get("namespace") or "")
    with contextlib.suppress(Exception):
        return [CompletionItem(name) for name in asyncio.run(names(target)) if name.startswith(incomplete)]
    return []


async def names(target: Target) -> list[str]:
    """Names of runs. Raises TimeoutError, ApiError, and kubernetes' ConfigException."""
    async with asyncio.timeout(SECONDS), session(target) as here:
        return await here.requests.names(here.namespace, MAX_NAMES)
