"""`get`: one run with the tree of its nodes; with `-w`, followed until it has ended (`live.py`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click

from runwright.kubectl.options import FORMATS, output_option, pop_target, run_argument, target_options
from runwright.kubectl.output import format_run, write_text
from runwright.kubectl.session import Target, connect_to, run_command


@dataclass(frozen=True, slots=True)
class GetOptions:
    """Options of `get`."""

    target: Target
    name: str
    output: str = ""
    watch: bool = False
    brief: bool = False
    """Nodes from the run's status only: one request, and no tree."""


@click.command("get")
@run_argument
@click.option("--watch", "-w", is_flag=True, help="Redraw at each change, until the run has ended.")
@click.option("--brief", is_flag=True, help="Read only the run: one request, and nodes without a tree.")
@output_option(*FORMATS)
@target_options
def get_command(**given: Any) -> None:
    """Show a run and the tree of its nodes."""
    if given["watch"] and given["output"]:
        raise click.UsageError("--watch draws a tree: omit -o")
    where = pop_target(given)
    options = GetOptions(where, **given)
    run_command(follow_until_end(options) if options.watch else get_run(options))


async def get_run(options: GetOptions) -> None:
    """Print the run. Raises ApiError, ConfigError."""
    async with connect_to(options.target) as here:
        run = await here.read_run(here.key(options.name))
        if options.output in ("json", "yaml", "name"):
            write_text(format_run(run, options.output))
            return
        # Models and the reading of Workflows are not needed for the formats above.
        from runwright.kubectl.describe import describe_run
        from runwright.kubectl.nodes import read_tree, utc_now

        tree = await read_tree(here, run, brief=options.brief)
        write_text("\n".join(describe_run(run, tree, utc_now(), wide=options.output == "wide")) + "\n")


async def follow_until_end(options: GetOptions) -> None:
    """Show the run until it has ended. Raises as `get_run`."""
    from runwright.kubectl.live import watch_run

    async with connect_to(options.target) as here:
        await watch_run(here, here.key(options.name), options.brief)
