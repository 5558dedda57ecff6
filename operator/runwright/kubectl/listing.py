"""`list`: runs of a namespace or of all, newest first, in the columns of kubectl; `-w` goes on with what changes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import cast

from runwright.adapters.requests import METADATA_ONLY
from runwright.adapters.shell_requests import TABLE
from runwright.adapters.watching import Watching
from runwright.api.labels import ARCHIVED_RUNS, AVAILABLE_RUNS
from runwright.api.pipelinerun import PLURAL
from runwright.api.states import Phase
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, as_mapping, as_text, key_of, version_of
from runwright.kubectl.output import printed_list, say
from runwright.kubectl.session import Session, Target, session
from runwright.kubectl.tables import cells_of, column_widths, columns, header_of, newest_first

TRIES = 3
"""How often a list is begun whose pages have grown too old meanwhile."""


@dataclass(frozen=True, slots=True)
class ListOptions:
    """What a person asked for."""

    target: Target
    selector: str = ""
    fields: str = ""
    phases: tuple[str, ...] = ()
    archived: bool = False
    every: bool = False
    """Archived ones and others."""
    limit: int = 0
    output: str = ""
    watch: bool = False


def selectors(
    labels: str, fields: str = "", phases: Sequence[str] = (), *, archived: bool = False, every: bool = False
) -> dict[str, str]:
    """What the API server is to select by.

    It knows no `in` for fields: of several phases, all others are excluded.
    """
    wanted = [labels] if labels else []
    if archived or not every:
        wanted.append(ARCHIVED_RUNS if archived else AVAILABLE_RUNS)
    chosen = [fields] if fields else []
    if len(phases) == 1:
        chosen.append(f"status.phase={phases[0]}")
    elif phases:
        chosen += [f"status.phase!={phase}" for phase in ("", *Phase) if phase not in phases]
    found = {"label_selector": ",".join(wanted), "field_selector": ",".join(chosen)}
    return {name: value for name, value in found.items() if value}


async def read_all(here: Session, accept: str, chosen: dict[str, str]) -> tuple[Json, list[Json]]:
    """The first page, and the items or rows of all; begun again where the pages expire."""
    for last in range(TRIES):
        first: Json = {}
        found: list[Json] = []
        try:
            async for page in here.requests.pages(here.scope, accept, **chosen):
                first = first or page
                found += cast(list[Json], page.get("items") or page.get("rows") or [])
        except ApiError as error:
            if error.code != 410 or last == TRIES - 1:
                raise
            continue
        return first, found
    raise AssertionError("unreachable")


async def list_runs(options: ListOptions) -> None:
    """Print the runs. Raises ApiError, and kubernetes' ConfigException."""
    chosen = selectors(options.selector, options.fields, options.phases, archived=options.archived, every=options.every)
    async with session(options.target) as here:
        if options.output in ("json", "yaml", "name"):
            accept = METADATA_ONLY if options.output == "name" else "application/json"
            _, items = await read_all(here, accept, chosen)
            say(printed_list(newest_first(items)[: options.limit or None], options.output))
            return
        wide = options.output == "wide"
        table, rows = await read_all(here, TABLE, chosen)
        rows = newest_first(rows)[: options.limit or None]
        if not rows and not options.watch:
            where = f" in namespace {here.namespace}" if here.scope else ""
            sys.stderr.write(f"No runs found{where}.\n")
            return
        header = (["NAMESPACE"] if options.target.all_namespaces else []) + header_of(table, wide=wide)
        cells = [row_cells(table, row, options) for row in rows]
        say("\n".join(columns([header, *cells])) + "\n")
        if options.watch:
            version = version_of(table)
            await watch(here, options, chosen, table, version, column_widths([header, *cells]))


def row_cells(table: Json, row: Json, options: ListOptions) -> list[str]:
    """What is printed of a row."""
    lead = [key_of(as_mapping(row.get("object"))).namespace] if options.target.all_namespaces else []
    return lead + cells_of(table, row, wide=options.output == "wide")


async def watch(
    here: Session, options: ListOptions, chosen: dict[str, str], table: Json, since: str, widths: Sequence[int]
) -> None:
    """Print each run that changes, as a line, until it is interrupted."""
    watched = Watching(here.api, PLURAL, here.scope, **chosen, _headers={"Accept": TABLE})
    while True:
        async with aclosing(watched.events(since)) as events:
            async for kind, body in events:
                # The API server sends the columns with the first Table only.
                definitions = body if body.get("columnDefinitions") else table
                for row in cast(list[Json], body.get("rows") or []):
                    since = (
                        as_text(as_mapping(as_mapping(row.get("object")).get("metadata")).get("resourceVersion"))
                        or since
                    )
                    if kind in ("ADDED", "MODIFIED", "DELETED"):
                        say(columns([row_cells(definitions, row, options)], widths)[0] + "\n")
