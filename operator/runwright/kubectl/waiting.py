"""`wait`: until runs have ended, or are in a phase; by a watch."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import timedelta

from runwright.api.states import Phase
from runwright.core.edits import ENDED_PHASES, FAILED_PHASES, has_ended, is_labeled_archived, run_phase
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, Key, as_text, status_of
from runwright.kubectl.editing import Chosen, keys_of
from runwright.kubectl.follow import SYNCED, follow
from runwright.kubectl.output import reference, say
from runwright.kubectl.session import (
    ENDED_BADLY,
    FAILED,
    TIMED_OUT,
    CommandError,
    Exit,
    Session,
    complain,
    no_run,
    session,
)

END, ARCHIVED = "end", "archived"
GOALS = (END, *(phase.value.lower() for phase in Phase), ARCHIVED)


def reached(run: Json, goal: str) -> bool:
    """Whether it has come to it. A retry that is asked for and has not begun counts: the run has not ended."""
    if goal == END:
        return has_ended(run)
    if goal == ARCHIVED:
        return is_labeled_archived(run) and status_of(run).get("storageState") == "Archived"
    phase = run_phase(run)
    return phase.lower() == goal and (phase not in ENDED_PHASES or has_ended(run))


def out_of_reach(run: Json, goal: str) -> bool:
    """Whether it cannot come to it any more, without somebody's doing: it has ended otherwise."""
    return goal not in (END, ARCHIVED) and has_ended(run) and not reached(run, goal)


async def until(here: Session, key: Key, goal: str) -> Json:
    """The run once it has come to it. Raises ApiError where it is not there or goes; CommandError where it cannot."""
    async with aclosing(follow(here.watching(key))) as events:
        there = False
        async for kind, run in events:
            if kind == "DELETED" or (kind == SYNCED and not there):
                raise no_run(key)
            there = True
            if kind == SYNCED:
                continue
            if reached(run, goal):
                return run
            if out_of_reach(run, goal):
                raise CommandError(f"{reference(key.name)}: {outcome(run)}, and not {goal}")
    raise AssertionError("unreachable")


def outcome(run: Json) -> str:
    """What became of the run, in few words."""
    message = as_text(status_of(run).get("message"))
    said = f"it has ended as {run_phase(run)}" if has_ended(run) else f"it is {run_phase(run) or 'not begun'}"
    return f"{said}: {' '.join(message.split())}" if message else said


def code_of(run: Json) -> int:
    """The exit code for a run that has ended."""
    return ENDED_BADLY if run_phase(run) in FAILED_PHASES else 0


async def wait_runs(chosen: Chosen, goal: str, limit: timedelta | None) -> None:
    """Wait for all; tells of each when it comes. Raises Exit with the worst that came."""
    async with session(chosen.target) as here:
        keys = await keys_of(here, chosen)
        codes: dict[Key, int] = {}

        async def one(key: Key) -> None:
            try:
                run = await until(here, key, goal)
            except (ApiError, CommandError) as error:
                codes[key] = ENDED_BADLY if isinstance(error, CommandError) else FAILED
                complain(error)
                return
            codes[key] = code_of(run) if goal == END else 0
            say(f"{reference(key.name)} {run_phase(run) if goal != ARCHIVED else 'archived'}\n")

        try:
            async with asyncio.timeout(limit.total_seconds() if limit is not None else None):
                async with asyncio.TaskGroup() as group:
                    for key in keys:
                        group.create_task(one(key))
        except TimeoutError:
            for key in keys:
                if key not in codes:
                    complain(CommandError(f"{reference(key.name)}: the time is over, and it has not come to {goal}"))
            raise Exit(TIMED_OUT) from None
        worst = max(codes.values(), default=0)
        if worst:
            raise Exit(worst)
