"""`get`: one run with the tree of its nodes; `-w` draws it anew at each change, until the run has ended."""

from __future__ import annotations

import asyncio
import shutil
import sys
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from runwright.artifacts.workflow import kept_workflow
from runwright.core.edits import has_ended
from runwright.core.run_record import read_run_status
from runwright.core.status.mirror import format_duration
from runwright.kube.errors import ApiError
from runwright.kube.objects import (
    Json,
    Key,
    as_mapping,
    as_text,
    as_time,
    key_of,
    metadata_of,
    spec_of,
    status_of,
    uid_of,
)
from runwright.kubectl.follow import SYNCED, follow, stop
from runwright.kubectl.metrics import metric_rows
from runwright.kubectl.output import printed_object, reference, say
from runwright.kubectl.session import Session, Target, no_run, session
from runwright.kubectl.tables import columns, one_line
from runwright.kubectl.tree import Tree, changes, lines_of, rows_of, tree_of_status, tree_of_workflow

LIVE_SECONDS = 1.0
"""How often a live tree is drawn for its durations alone; nothing is asked of the cluster for that."""

MAX_PRINTED = 2000
"""Nodes that are printed of a run; a terminal that is drawn anew shows as many as it has lines."""


@dataclass(frozen=True, slots=True)
class GetOptions:
    """What a person asked for."""

    target: Target
    name: str
    output: str = ""
    watch: bool = False
    brief: bool = False
    """Nodes out of the run's status only: one request, and no tree."""


async def get_run(options: GetOptions) -> None:
    """Print the run. Raises ApiError, and kubernetes' ConfigException."""
    async with session(options.target) as here:
        run = await here.run(here.key(options.name))
        if options.output in ("json", "yaml", "name"):
            say(printed_object(run, options.output))
            return
        tree = await tree_of(here, run, brief=options.brief)
        say("\n".join(described(run, tree, now(), wide=options.output == "wide")) + "\n")


async def watch_run_command(options: GetOptions) -> None:
    """Show the run until it has ended. Raises as `get_run`."""
    async with session(options.target) as here:
        await watch_run(here, here.key(options.name), options.brief)


async def tree_of(here: Session, run: Json, *, brief: bool) -> Tree:
    """The run's nodes: out of its Workflow or snapshot, else, where these are not there or may not be read, of its status."""
    key = key_of(run)
    if not brief:
        try:
            workflow = await kept_workflow(here.cluster, key, uid_of(run))
        except ApiError as error:
            if error.code not in (403, 404):
                raise
            workflow = None
        if workflow is not None:
            tree = await asyncio.to_thread(tree_of_workflow, workflow)
            if tree.nodes:
                return tree
    status = read_run_status(run.get("status"))
    return tree_of_status(key.name, status.nodes or (), status.nodes_omitted or 0)


# ------------------------------------------------------------------------------------------------------------ rendering
def described(run: Json, tree: Tree, at: datetime, *, wide: bool = False) -> list[str]:
    """All that is told of a run, as lines."""
    spec, status = spec_of(run), status_of(run)
    lines = [*summary(run, at), ""]
    lines += columns([("CONDITION", "STATUS", "REASON", "MESSAGE"), *condition_rows(status)])
    for title, rows in (
        ("PARAMETER", value_rows(spec.get("parameters"))),
        ("OUTPUT", value_rows(as_mapping(status.get("outputs")).get("parameters"))),
    ):
        if rows:
            lines += ["", *columns([(title, "VALUE"), *rows])]
    metrics = metric_rows(run)
    if metrics:
        lines += ["", *columns(metrics)]
    return lines + ["", *tree_lines(tree, at, MAX_PRINTED, wide=wide)]


def summary(run: Json, at: datetime) -> list[str]:
    """Names, phase and times."""
    spec, status, key = spec_of(run), status_of(run), key_of(run)
    begun, finished = as_time(status.get("startedAt")), as_time(status.get("finishedAt"))
    known = {
        "Name": key.name,
        "Namespace": key.namespace,
        "Display name": as_text(spec.get("displayName")),
        "Phase": as_text(status.get("phase")) or "none yet",
        "Message": as_text(status.get("message")),
        "Progress": as_text(status.get("progress")),
        "Created": as_text(metadata_of(run).get("creationTimestamp")),
        "Started": as_text(status.get("startedAt")),
        "Finished": as_text(status.get("finishedAt")),
        "Duration": as_text(status.get("duration")) or format_duration(begun, finished or at) or "",
        "Retries": str(status.get("retries") or ""),
        "Storage": as_text(status.get("storageState")),
    }
    return columns([(f"{name}:", value) for name, value in known.items() if value])


def condition_rows(status: Json) -> list[tuple[str, ...]]:
    """The run's conditions."""
    found = [as_mapping(one) for one in cast(list[object], status.get("conditions") or [])]
    return [tuple(as_text(one.get(field)) for field in ("type", "status", "reason", "message")) for one in found]


def value_rows(values: object) -> list[tuple[str, str]]:
    """Names and values of parameters."""
    found = [as_mapping(one) for one in cast(list[object], values or [])]
    return [(as_text(one.get("name")), as_text(one.get("value"))) for one in found]


def tree_lines(tree: Tree, at: datetime, limit: int, *, wide: bool = False) -> list[str]:
    """The tree, and how many nodes are not shown."""
    shown, left = lines_of(tree, limit)
    if not shown:
        return ["No nodes yet."]
    return columns(rows_of(shown, at, wide=wide)) + ([f"… and {left} more nodes"] if left else [])


def live_lines(run: Json, tree: Tree, at: datetime, size: tuple[int, int]) -> list[str]:
    """What fits on a terminal of so many columns and lines."""
    width, height = size
    lines = [*summary(run, at), ""]
    lines += tree_lines(tree, at, max(1, height - len(lines) - 3))
    return [one_line(line)[: width - 1] for line in lines[: max(1, height - 1)]]


# ----------------------------------------------------------------------------------------------------------------- live
async def watch_run(here: Session, key: Key, brief: bool = False) -> Json:
    """Show the run until it has ended; gives how it ended. Raises ApiError where it is not there, or goes."""
    newest: asyncio.Queue[Json] = asyncio.Queue()
    reading = asyncio.create_task(read_changes(here, key, newest))
    showing = asyncio.create_task(show_changes(here, key, newest, brief=brief))
    try:
        await asyncio.wait((reading, showing), return_when=asyncio.FIRST_EXCEPTION)
        if not showing.done():
            await reading
        return await showing
    finally:
        await stop(reading, showing)


async def read_changes(here: Session, key: Key, newest: asyncio.Queue[Json]) -> None:
    """Hand on the run at each change, until it has ended."""
    there = False
    async with aclosing(follow(here.watching(key))) as events:
        async for kind, run in events:
            if kind == "DELETED" or (kind == SYNCED and not there):
                raise no_run(key)
            there = True
            if kind != SYNCED:
                newest.put_nowait(run)
                if has_ended(run):
                    return


async def show_changes(here: Session, key: Key, newest: asyncio.Queue[Json], *, brief: bool) -> Json:
    """Show what comes, each second at least; gives the run once it has ended."""
    view = Screen() if sys.stdout.isatty() else Journal(key)
    run, tree, fresh = await newest.get(), Tree({}, []), True
    while True:
        while not newest.empty():
            run, fresh = newest.get_nowait(), True
        if fresh:
            tree = await tree_of(here, run, brief=brief)
        view.show(run, tree, now())
        if has_ended(run):
            return run
        try:
            async with asyncio.timeout(LIVE_SECONDS):
                run, fresh = await newest.get(), True
        except TimeoutError:
            fresh = False


class Screen:
    """A terminal on which the same lines are drawn anew."""

    def __init__(self) -> None:
        self._drawn = 0

    def show(self, run: Json, tree: Tree, at: datetime) -> None:
        """Draw it in place of what was drawn before; all of it, however long, once the run has ended."""
        lines = live_lines(run, tree, at, shutil.get_terminal_size())
        if has_ended(run):
            lines = described(run, tree, at)
        back = f"\x1b[{self._drawn}F\x1b[J" if self._drawn else ""
        say(back + "\n".join(lines) + "\n")
        self._drawn = len(lines)


class Journal:
    """A pipe or a file: a line for each change."""

    def __init__(self, key: Key) -> None:
        self._name = reference(key.name)
        self._run = ""
        self._phases: dict[str, str] = {}

    def show(self, run: Json, tree: Tree, at: datetime) -> None:
        """Print what is new since the last time."""
        status = status_of(run)
        said = f"{self._name}  {as_text(status.get('phase')) or 'none yet'}  {as_text(status.get('progress'))}".rstrip()
        lines = [said] if said != self._run else []
        self._run = said
        shown, _ = lines_of(tree, MAX_PRINTED)
        lines += [
            f"  {one_line(line.node.name)}  {line.node.phase}  {one_line(line.node.message or '')}".rstrip()
            for line in changes(self._phases, shown)
        ]
        if lines:
            say("\n".join(lines) + "\n")


def now() -> datetime:
    """The time in UTC."""
    return datetime.now(UTC)
