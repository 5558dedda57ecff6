"""The commands of `kubectl runwright`; `runwright` has them too. Each command is defined in the module of its name."""

from __future__ import annotations

from typing import NoReturn

import click

from runwright import __version__
from runwright.kubectl.exit import run_to_exit
from runwright.kubectl.lazy import CONTEXT, CommandEntry, LazyGroup

ROOM = "runwright.kubectl"

COMMANDS = {
    "submit": CommandEntry(f"{ROOM}.submit:submit_command", "Create a run from a file or a template."),
    "list": CommandEntry(f"{ROOM}.listing:list_command", "List runs, newest first."),
    "get": CommandEntry(f"{ROOM}.show:get_command", "Show a run and the tree of its nodes."),
    "logs": CommandEntry(f"{ROOM}.logs:logs_command", "Print the logs of a run's pods."),
    "wait": CommandEntry(f"{ROOM}.waiting:wait_command", "Wait until runs have ended or reached a phase."),
    "terminate": CommandEntry(f"{ROOM}.editing:terminate_command", "End runs early."),
    "retry": CommandEntry(f"{ROOM}.editing:retry_command", "Run the failed steps of runs again."),
    "archive": CommandEntry(f"{ROOM}.editing:archive_command", "Archive runs and delete their Workflows and pods."),
    "unarchive": CommandEntry(f"{ROOM}.editing:unarchive_command", "Restore archived runs and their Workflows."),
    "delete": CommandEntry(f"{ROOM}.editing:delete_command", "Delete runs, Workflows, pods and snapshots."),
    "artifact": CommandEntry(f"{ROOM}.artifact:artifact_command", "Read an output artifact of a run."),
    "metrics": CommandEntry(f"{ROOM}.metrics:metrics_command", "Print the metrics that a run's steps reported."),
    "completion": CommandEntry(f"{ROOM}.completion:completion_command", "Print a shell completion script."),
    "__complete": CommandEntry(
        f"{ROOM}.completion:complete_command", "Complete a command line for kubectl.", hidden=True
    ),
}


@click.group("kubectl runwright", cls=LazyGroup, entries=COMMANDS, context_settings=CONTEXT)
@click.version_option(__version__, prog_name="kubectl runwright")
def kubectl() -> None:
    """Submit, list, show, follow, terminate, retry, archive and delete pipeline runs."""


def run_kubectl() -> NoReturn:
    """The entry point of the process `kubectl-runwright`."""
    run_to_exit(kubectl, "kubectl runwright")
