"""`terminate`, `retry`, `archive`, `unarchive`, `delete`: an edit of each run that was named, told of run by run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from runwright.adapters.requests import METADATA_ONLY
from runwright.core.edits import Editor
from runwright.kube.errors import ApiError
from runwright.kube.objects import Key, key_of, uid_of, version_of
from runwright.kubectl.listing import read_all, selectors
from runwright.kubectl.output import reference, say
from runwright.kubectl.session import FAILED, CommandError, Exit, Session, Target, complain, no_run, session

AT_ONCE = 8
"""Runs that are edited at a time."""

TRIES = 10
"""How often an edit is decided anew because somebody else, such as the operator, wrote the run meanwhile."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which runs: those that are named, or those that match."""

    target: Target
    names: tuple[str, ...] = ()
    selector: str = ""
    phases: tuple[str, ...] = ()
    archived: bool = False


async def edit_runs(chosen: Chosen, decide: Editor) -> None:
    """Edit each run. Raises Exit (1) where one of them could not be, after all were tried."""

    async def one(here: Session, key: Key) -> None:
        said = await edit(here, key, decide)
        say(f"{reference(key.name)} {said}\n")

    await each(chosen, one)


async def delete_runs(chosen: Chosen, *, ignore_missing: bool) -> None:
    """Delete each run. Raises Exit (1) where one of them could not be, after all were tried."""

    async def one(here: Session, key: Key) -> None:
        run = await here.cluster.get_run(key)
        gone = run is not None and await here.requests.delete(key, uid_of(run))
        if gone:
            say(f"{reference(key.name)} deleted\n")
        elif not ignore_missing:
            raise no_run(key)

    await each(chosen, one)


async def each(chosen: Chosen, act: Callable[[Session, Key], Awaitable[None]]) -> None:
    """Do it to each run, some at a time."""
    async with session(chosen.target) as here:
        keys = await keys_of(here, chosen)
        turns = asyncio.Semaphore(AT_ONCE)
        failed: list[Key] = []

        async def one(key: Key) -> None:
            async with turns:
                try:
                    await act(here, key)
                except (ApiError, CommandError) as error:
                    failed.append(key)
                    complain(error)

        async with asyncio.TaskGroup() as group:
            for key in keys:
                group.create_task(one(key))
        if failed:
            raise Exit(FAILED)


async def keys_of(here: Session, chosen: Chosen) -> list[Key]:
    """The runs that are meant, each once. Raises CommandError where none match."""
    if chosen.names:
        return list(dict.fromkeys(here.key(name) for name in chosen.names))
    found = selectors(chosen.selector, "", chosen.phases, archived=chosen.archived, every=True)
    _, items = await read_all(here, METADATA_ONLY, found)
    if not items:
        raise CommandError(f"no runs match in namespace {here.namespace}")
    return [key_of(item) for item in items]


async def edit(here: Session, key: Key, decide: Editor) -> str:
    """Carry out what was decided of the run as it is now, in one write that fails if anybody else wrote it meanwhile.

    Gives what to tell of it. Raises ApiError, and CommandError where it is refused.
    """
    for left in reversed(range(TRIES)):
        run = await here.run(key)
        edit = decide(run)
        if edit.refused:
            raise CommandError(f"{reference(key.name)}: {edit.said}")
        if edit.patch is None:
            return edit.said
        try:
            await here.requests.patch(key, version_of(run), edit.patch)
            return edit.said
        except ApiError as error:
            if error.reason != "Conflict" or not left:
                raise
    raise AssertionError("unreachable")
