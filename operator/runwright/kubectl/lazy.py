"""A group of commands that imports the module of a command when the command runs.

Help of the group and completion of command names come from a table and import nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast

import click
from click.exceptions import NoSuchCommand
from click.shell_completion import CompletionItem
from typing_extensions import override

CONTEXT = {"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "RUNWRIGHT", "show_default": True}


@dataclass(frozen=True, slots=True)
class CommandEntry:
    """One row of a group's table."""

    path: str
    """`package.module:name` of the click command."""
    help: str
    """One line for the group's help."""
    hidden: bool = False


class LazyGroup(click.Group):
    """A click group over a table of commands by name."""

    def __init__(self, *given: Any, entries: Mapping[str, CommandEntry], **more: Any) -> None:
        super().__init__(*given, **more)
        self.entries = entries

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self.entries)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = self.entries.get(cmd_name)
        if entry is None:
            return None
        module, _, name = entry.path.partition(":")
        return cast(click.Command, getattr(import_module(module), name))

    @override
    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except NoSuchCommand as error:
            raise NoSuchCommand(error.command_name, possibilities=self._shown(), ctx=ctx) from error

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.entries[name].help) for name in self._shown()])

    @override
    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        names = [name for name in self._shown() if name.startswith(incomplete)]
        items = [CompletionItem(name, help=self.entries[name].help) for name in names]
        return items + click.Command.shell_complete(self, ctx, incomplete)

    def _shown(self) -> list[str]:
        return [name for name, entry in sorted(self.entries.items()) if not entry.hidden]
