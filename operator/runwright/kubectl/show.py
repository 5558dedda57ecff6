"""`get`: one run with the tree of its nodes; with `-w`, followed until it has ended (`live.py`)."""

from __future__ import annotations

from dataclasses import dataclass

from runwright.kubectl.describe import describe_run
from runwright.kubectl.live import watch_run
from runwright.kubectl.nodes import read_tree, utc_now
from runwright.kubectl.output import printed_object, say
from runwright.kubectl.session import Target, session


@dataclass(frozen=True, slots=True)
class GetOptions:
    """Options of `get`."""

    target: Target
    name: str
    output: str = ""
    watch: bool = False
    brief: bool = False
    """Nodes from the run's status only: one request, and no tree."""


async def get_run(options: GetOptions) -> None:
    """Print the run. Raises ApiError, ConfigError."""
    async with session(options.target) as here:
        run = await here.run(here.key(options.name))
        if options.output in ("json", "yaml", "name"):
            say(printed_object(run, options.output))
            return
        tree = await read_tree(here, run, brief=options.brief)
        say("\n".join(describe_run(run, tree, utc_now(), wide=options.output == "wide")) + "\n")


async def watch_run_command(options: GetOptions) -> None:
    """Show the run until it has ended. Raises as `get_run`."""
    async with session(options.target) as here:
        await watch_run(here, here.key(options.name), options.brief)
