"""`terminate`, `retry`, `archive`, `unarchive`, `delete`: edit or delete each of the chosen runs, with one line for each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import click

from runwright.api.resources import PIPELINE_RUNS
from runwright.api.states import Shutdown
from runwright.core.edits import Editor, archive_edit, retry_edit, shutdown_edit, unarchive_edit
from runwright.kube.edit import edit_until_accepted
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, Key, metadata_of, uid_of, version_of
from runwright.kubectl.options import chosen_options, pop_chosen
from runwright.kubectl.output import run_reference, write_text
from runwright.kubectl.selecting import Chosen, chosen_keys
from runwright.kubectl.session import (
    FAILED,
    CommandError,
    Exit,
    Session,
    connect_to,
    no_run,
    print_error,
    run_command,
)

CONCURRENT_EDITS = 8
"""Runs that are edited at a time."""


@click.command("terminate")
@chosen_options
@click.option("--stop", is_flag=True, help="Run exit handlers.")
def terminate_command(stop: bool, **given: Any) -> None:
    """End runs early. Exit handlers do not run, unless you add --stop."""
    run_command(edit_runs(pop_chosen(given), shutdown_edit(Shutdown.STOP if stop else Shutdown.TERMINATE)))


@click.command("retry")
@chosen_options
def retry_command(**given: Any) -> None:
    """Run the failed steps of runs again; results of succeeded steps are kept. An archived run is restored first."""
    run_command(edit_runs(pop_chosen(given), retry_edit))


@click.command("archive")
@chosen_options
def archive_command(**given: Any) -> None:
    """Archive runs: keep them and their snapshots, and delete their Workflows and pods."""
    run_command(edit_runs(pop_chosen(given), archive_edit))


@click.command("unarchive")
@chosen_options
def unarchive_command(**given: Any) -> None:
    """Restore archived runs and their Workflows."""
    run_command(edit_runs(pop_chosen(given), unarchive_edit))


@click.command("delete")
@chosen_options
@click.option("--ignore-not-found", is_flag=True, help="Succeed where a run does not exist.")
def delete_command(ignore_not_found: bool, **given: Any) -> None:
    """Delete runs, with their Workflows, pods and snapshots."""
    run_command(delete_runs(pop_chosen(given), ignore_missing=ignore_not_found))


# ------------------------------------------------------------------------------------------------------------- editing
async def edit_runs(chosen: Chosen, decide: Editor) -> None:
    """Edit each run. Raises Exit (1) after all were tried, where one could not be edited."""

    async def edit_and_print(here: Session, key: Key) -> None:
        write_text(f"{run_reference(key.name)} {await edit_run(here, key, decide)}\n")

    await for_each_run(chosen, edit_and_print)


async def delete_runs(chosen: Chosen, *, ignore_missing: bool) -> None:
    """Delete each run. Raises Exit (1) after all were tried, where one could not be deleted."""

    async def delete_and_print(here: Session, key: Key) -> None:
        try:
            run = await here.read_run(key)
        except ApiError as error:
            if error.reason == "NotFound" and ignore_missing:
                return
            raise
        if await here.client.delete(PIPELINE_RUNS, key, uid=uid_of(run)):
            write_text(f"{run_reference(key.name)} deleted\n")
        elif not ignore_missing:
            raise no_run(key)

    await for_each_run(chosen, delete_and_print)


async def for_each_run(chosen: Chosen, act: Callable[[Session, Key], Awaitable[None]]) -> None:
    """Call `act` for each run, CONCURRENT_EDITS at a time, and print the errors."""
    async with connect_to(chosen.target) as here:
        keys = await chosen_keys(here, chosen)
        turns = asyncio.Semaphore(CONCURRENT_EDITS)
        failed: list[Key] = []

        async def act_on(key: Key) -> None:
            async with turns:
                try:
                    await act(here, key)
                except (ApiError, CommandError) as error:
                    failed.append(key)
                    print_error(error)

        async with asyncio.TaskGroup() as group:
            for key in keys:
                group.create_task(act_on(key))
        if failed:
            raise Exit(FAILED)


async def edit_run(here: Session, key: Key, decide: Editor) -> str:
    """Edit a run in one write, which is refused, and decided again, if another client wrote the run meanwhile.

    Returns the message about the edit. Raises ApiError, and CommandError where the edit is refused.
    """

    async def write(run: Json) -> str:
        edit = decide(run)
        if edit.refused:
            raise CommandError(f"{run_reference(key.name)}: {edit.message}")
        if edit.patch is not None:
            metadata = {**metadata_of(edit.patch), "resourceVersion": version_of(run)}
            if await here.client.patch(PIPELINE_RUNS, key, {**edit.patch, "metadata": metadata}) is None:
                raise no_run(key)
        return edit.message

    return await edit_until_accepted(lambda: here.read_run(key), write)
