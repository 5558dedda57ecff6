"""`list`: runs of a namespace or of all, newest first, in the columns of kubectl; `-w` adds a line at each change."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from runwright.api.resources import PIPELINE_RUNS
from runwright.kube.client import Form
from runwright.kube.objects import Json, as_mapping, key_of, uid_of, version_of
from runwright.kube.resource import Selection
from runwright.kubectl.options import FORMATS, output_option, phase_option, pop_target, selector_option, target_options
from runwright.kubectl.output import format_runs, write_text
from runwright.kubectl.selecting import list_selected, run_selection
from runwright.kubectl.session import Session, Target, connect_to, run_command
from runwright.kubectl.tables import cells_of, column_widths, columns, header_of, newest_first

if TYPE_CHECKING:
    from runwright.kube.informer import Known


@dataclass(frozen=True, slots=True)
class ListOptions:
    """Options of `list`."""

    target: Target
    selector: str = ""
    fields: str = ""
    phases: tuple[str, ...] = ()
    archived: bool = False
    every: bool = False
    """Archived runs and all others."""
    limit: int = 0
    output: str = ""
    watch: bool = False


@click.command("list")
@click.option("--all-namespaces", "-A", is_flag=True, help="List runs of all namespaces.")
@selector_option
@click.option(
    "--field-selector",
    "fields",
    default="",
    show_default=False,
    help="Field selector, such as spec.displayName=Nightly.",
)
@phase_option
@click.option("--archived", is_flag=True, help="Show archived runs only.")
@click.option("--all", "every", is_flag=True, help="Show archived runs too.")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=0,
    help="Show at most N runs, newest first (0: no limit).",
    metavar="N",
)
@click.option("--watch", "-w", is_flag=True, help="Print a line at each change, until Ctrl-C.")
@output_option(*FORMATS)
@target_options
def list_command(all_namespaces: bool, **given: Any) -> None:
    """List runs, newest first. Archived runs are not shown. The API server applies the selectors."""
    if given["watch"] and given["output"] in ("json", "yaml", "name"):
        raise click.UsageError("--watch prints columns: omit -o, or use -o wide")
    where = pop_target(given, all_namespaces=all_namespaces)
    run_command(list_runs(ListOptions(where, **given)))


async def list_runs(options: ListOptions) -> None:
    """Print the runs. Raises ApiError, ConfigError."""
    async with connect_to(options.target) as here:
        selection = run_selection(
            here.scope,
            options.selector,
            options.fields,
            options.phases,
            archived=options.archived,
            every=options.every,
        )
        if options.output in ("json", "yaml", "name"):
            form = Form.METADATA if options.output == "name" else Form.OBJECTS
            _, items = await list_selected(here, selection, form)
            write_text(format_runs(newest_first(items)[: options.limit or None], options.output))
            return
        first, listed = await list_selected(here, selection, Form.TABLE)
        rows = newest_first(listed)[: options.limit or None]
        if not rows and not options.watch:
            where = f" in namespace {here.namespace}" if here.scope else ""
            sys.stderr.write(f"No runs found{where}.\n")
            return
        header = header_of(first.body, wide=options.output == "wide")
        if options.target.all_namespaces:
            header = ["NAMESPACE", *header]
        cells = [row_cells(first.body, row, options) for row in rows]
        write_text("\n".join(columns([header, *cells])) + "\n")
        if options.watch:
            known = KnownRows(listed)
            widths = column_widths([header, *cells])
            await print_changes(here, options, selection, first.body, known, first.version, widths)


def row_cells(table: Json, row: Json, options: ListOptions) -> list[str]:
    """The printed cells of a row; `table` has the columns."""
    lead = [key_of(as_mapping(row.get("object"))).namespace] if options.target.all_namespaces else []
    return lead + cells_of(table, row, wide=options.output == "wide")


class KnownRows:
    """The rows that were printed, for the informer (`kube.informer.Known`)."""

    def __init__(self, rows: Iterable[Json]) -> None:
        self._rows = {uid_of(as_mapping(row.get("object"))): row for row in rows}

    def version(self, uid: str) -> str | None:
        """See Known."""
        row = self._rows.get(uid)
        return version_of(as_mapping(row.get("object"))) if row is not None else None

    def missing(self, listed: Collection[str], version: str) -> Iterable[Json]:
        """See Known."""
        return [
            as_mapping(as_mapping(row.get("object")).get("metadata"))
            for uid, row in self._rows.items()
            if uid not in listed
        ]

    def apply(self, row: Json, *, deleted: bool) -> Json:
        """Take a change over; returns the row to print: the last one where the run was deleted unseen."""
        uid = uid_of(as_mapping(row.get("object")))
        shown = row if row.get("cells") else self._rows.get(uid, row)
        if deleted:
            self._rows.pop(uid, None)
        else:
            self._rows[uid] = row
        return shown


async def print_changes(
    here: Session,
    options: ListOptions,
    selection: Selection,
    table: Json,
    known: KnownRows,
    since: str,
    widths: Sequence[int],
) -> None:
    """Print a line for each run that changes after version `since`. Never ends by itself. Raises ApiError."""
    from runwright.kube.informer import ADDED, DELETED, MODIFIED, Informer
    from runwright.kubectl.following import ATTEMPTS

    held: Known = known
    informer = Informer(
        here.client, PIPELINE_RUNS, selection, form=Form.TABLE, known=held, since=since, attempts=ATTEMPTS
    )
    async with aclosing(informer.events()) as events:
        async for event in events:
            if event.type in (ADDED, MODIFIED, DELETED):
                row = known.apply(event.body, deleted=event.type == DELETED)
                write_text(columns([row_cells(table, row, options)], widths)[0] + "\n")
