"""Follow one run until it has ended: as a tree that is redrawn on a terminal, or as lines into a pipe or a file."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import AbstractContextManager, aclosing
from datetime import datetime
from types import TracebackType
from typing import Protocol

from typing_extensions import override

from runwright.core.edits import has_ended
from runwright.kube.objects import Json, Key, as_text, status_of
from runwright.kubectl.describe import MAX_PRINTED, describe_run
from runwright.kubectl.following import cancel_tasks, follow_run
from runwright.kubectl.nodes import read_tree, utc_now
from runwright.kubectl.output import run_reference, write_text
from runwright.kubectl.session import Session
from runwright.kubectl.tables import printable_text
from runwright.kubectl.tree import Tree, changed_lines, lines_of, run_tree

REDRAW_SECONDS = 1.0
"""How often a live tree is drawn for its durations alone. That makes no request."""


async def watch_run(here: Session, key: Key, brief: bool = False) -> Json:
    """Show a run until it has ended; returns it. Raises ApiError (NotFound) where it does not exist or is deleted."""
    newest: asyncio.Queue[Json] = asyncio.Queue()
    reading = asyncio.create_task(read_changes(here, key, newest))
    showing = asyncio.create_task(show_changes(here, key, newest, brief=brief))
    try:
        await asyncio.wait((reading, showing), return_when=asyncio.FIRST_EXCEPTION)
        if not showing.done():
            await reading
        return await showing
    finally:
        await cancel_tasks(reading, showing)


async def read_changes(here: Session, key: Key, newest: asyncio.Queue[Json]) -> None:
    """Put the run into the queue at each change, until it has ended."""
    async with aclosing(follow_run(here, key)) as runs:
        async for run in runs:
            newest.put_nowait(run)
            if has_ended(run):
                return


async def show_changes(here: Session, key: Key, newest: asyncio.Queue[Json], *, brief: bool) -> Json:
    """Show the newest run, at least every REDRAW_SECONDS; returns it once it has ended."""
    with open_view(key) as view:
        run, tree, fresh = await newest.get(), Tree({}, []), True
        while True:
            while not newest.empty():
                run, fresh = newest.get_nowait(), True
            if fresh:
                tree = await read_tree(here, run, brief=brief)
            view.show(run, tree, utc_now())
            if has_ended(run):
                return run
            try:
                async with asyncio.timeout(REDRAW_SECONDS):
                    run, fresh = await newest.get(), True
            except TimeoutError:
                fresh = False


# --------------------------------------------------------------------------------------------------------------- views
class View(AbstractContextManager["View"], Protocol):
    """Where a run is shown while it changes."""

    def show(self, run: Json, tree: Tree, now: datetime) -> None:
        """Show the run as it is now."""
        ...


def open_view(key: Key) -> View:
    """The view for the standard output: a terminal that can move its cursor, or anything else."""
    terminal = sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")
    return Screen() if terminal else Journal(key)


class Screen(View):
    """A terminal: one tree that is redrawn, replaced by the description of the run at its end."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(file=sys.stdout, highlight=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True, redirect_stderr=False)

    @override
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    @override
    def show(self, run: Json, tree: Tree, now: datetime) -> None:
        if has_ended(run):
            self._live.stop()
            write_text("\n".join(describe_run(run, tree, now)) + "\n")
            return
        self._live.start()
        self._live.update(run_tree(run, tree, now, height=self._console.height), refresh=True)


class Journal(View):
    """A pipe or a file: a line for each change."""

    def __init__(self, key: Key) -> None:
        self._name = run_reference(key.name)
        self._last = ""
        self._phases: dict[str, str] = {}

    @override
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    @override
    def show(self, run: Json, tree: Tree, now: datetime) -> None:
        status = status_of(run)
        line = f"{self._name}  {as_text(status.get('phase')) or 'none yet'}  {as_text(status.get('progress'))}".rstrip()
        lines = [line] if line != self._last else []
        self._last = line
        shown, _ = lines_of(tree, MAX_PRINTED)
        lines += [
            f"  {printable_text(each.node.name)}  {each.node.phase}  {printable_text(each.node.message or '')}".rstrip()
            for each in changed_lines(self._phases, shown)
        ]
        if lines:
            write_text("\n".join(lines) + "\n")
