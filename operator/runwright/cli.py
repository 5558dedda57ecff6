"""The `runwright` command: a table of commands, each imported when it runs."""

from __future__ import annotations

from typing import NoReturn

import click

from runwright import __version__
from runwright.kubectl.commands import COMMANDS, ROOM
from runwright.kubectl.exit import run_to_exit
from runwright.kubectl.lazy import CONTEXT, CommandEntry, LazyGroup

ENTRIES = {
    "operator": CommandEntry(
        "runwright.controller.command:operator_command", "Run the operator: reconcile PipelineRuns."
    ),
    "serve": CommandEntry("runwright.service.command:serve_command", "Serve the KFP v1beta1 API over PipelineRuns."),
    "migrate": CommandEntry(f"{ROOM}.migrate:migrate_command", "Write stored objects in the current API version."),
    "export": CommandEntry(f"{ROOM}.export:export_command", "Write runs into a file."),
    "import": CommandEntry(f"{ROOM}.importing:import_command", "Create runs from a file of `runwright export`."),
    **COMMANDS,
}


@click.group(cls=LazyGroup, entries=ENTRIES, context_settings=CONTEXT)
@click.version_option(__version__, prog_name="runwright")
def main() -> None:
    """Run Kubeflow Pipelines' run service as a Kubernetes operator over Argo Workflows.

    Every option can also be set by an environment variable, such as RUNWRIGHT_OPERATOR_LOG_FORMAT.
    """


def run() -> NoReturn:
    """The entry point of the process `runwright`."""
    run_to_exit(main, "runwright")
