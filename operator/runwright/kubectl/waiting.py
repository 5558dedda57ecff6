"""`wait`: wait until runs have ended or reached a phase, by a watch."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import timedelta
from typing import Any

import click
from typing_extensions import override

from runwright.api.duration import duration_of
from runwright.api.states import Phase
from runwright.core.edits import ENDED_PHASES, FAILED_PHASES, has_ended, is_labeled_archived, run_phase
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, Key, as_text, status_of
from runwright.kubectl.following import follow_run
from runwright.kubectl.options import chosen_options, pop_chosen
from runwright.kubectl.output import run_reference, write_text
from runwright.kubectl.selecting import Chosen, chosen_keys
from runwright.kubectl.session import (
    ENDED_BADLY,
    FAILED,
    TIMED_OUT,
    CommandError,
    Exit,
    Session,
    connect_to,
    print_error,
    run_command,
)

END, ARCHIVED = "end", "archived"
GOALS = (END, *(phase.value.lower() for phase in Phase), ARCHIVED)


class TimeoutType(click.ParamType[timedelta]):
    """A duration as kubectl and `spec.retention` write it."""

    name = "duration"

    @override
    def convert(self, value: str | timedelta, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        try:
            return duration_of(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command("wait")
@chosen_options
@click.option("--for", "goal", type=click.Choice(GOALS, case_sensitive=False), default="end", help="State to wait for.")
@click.option("--timeout", type=TimeoutType(), help="Longest time to wait, such as 10m. Default: no limit.")
def wait_command(goal: str, timeout: timedelta | None, **given: Any) -> None:
    """Wait until runs have ended.

    Exit code 0: all runs succeeded, or reached the state of --for. 3: a run ended as Failed or Error, or can no longer
    reach the state. 4: the timeout was reached.
    """
    run_command(wait_runs(pop_chosen(given), goal.lower(), timeout))


def has_reached(run: Json, goal: str) -> bool:
    """Whether the run is in the state. While a requested retry has not started, the run counts as not ended."""
    if goal == END:
        return has_ended(run)
    if goal == ARCHIVED:
        return is_labeled_archived(run) and status_of(run).get("storageState") == "Archived"
    phase = run_phase(run)
    return phase.lower() == goal and (phase not in ENDED_PHASES or has_ended(run))


def is_out_of_reach(run: Json, goal: str) -> bool:
    """True if the run ended without reaching the goal."""
    return goal not in (END, ARCHIVED) and has_ended(run) and not has_reached(run, goal)


async def wait_for_run(here: Session, key: Key, goal: str) -> Json:
    """Return the run once it has reached the goal.

    Raises ApiError where it does not exist or is deleted; CommandError where it ended without reaching the goal.
    """
    async with aclosing(follow_run(here, key)) as runs:
        async for run in runs:
            if has_reached(run, goal):
                return run
            if is_out_of_reach(run, goal):
                raise CommandError(f"{run_reference(key.name)}: {describe_state(run)}, and not {goal}")
    raise AssertionError("unreachable")


def describe_state(run: Json) -> str:
    """Phase and message of a run, in one sentence."""
    message = as_text(status_of(run).get("message"))
    state = f"it has ended as {run_phase(run)}" if has_ended(run) else f"it is {run_phase(run) or 'not started'}"
    return f"{state}: {' '.join(message.split())}" if message else state


def exit_code_of(run: Json) -> int:
    """The exit code for a run that has ended."""
    return ENDED_BADLY if run_phase(run) in FAILED_PHASES else 0


async def wait_runs(chosen: Chosen, goal: str, limit: timedelta | None) -> None:
    """Wait for all runs, with one line for each. Raises Exit with the highest exit code."""
    async with connect_to(chosen.target) as here:
        keys = await chosen_keys(here, chosen)
        codes: dict[Key, int] = {}

        async def wait_and_print(key: Key) -> None:
            try:
                run = await wait_for_run(here, key, goal)
            except (ApiError, CommandError) as error:
                codes[key] = ENDED_BADLY if isinstance(error, CommandError) else FAILED
                print_error(error)
                return
            codes[key] = exit_code_of(run) if goal == END else 0
            write_text(f"{run_reference(key.name)} {run_phase(run) if goal != ARCHIVED else 'archived'}\n")

        try:
            async with asyncio.timeout(limit.total_seconds() if limit is not None else None):
                async with asyncio.TaskGroup() as group:
                    for key in keys:
                        group.create_task(wait_and_print(key))
        except TimeoutError:
            for key in keys:
                if key not in codes:
                    print_error(CommandError(f"{run_reference(key.name)}: timed out before it reached {goal}"))
            raise Exit(TIMED_OUT) from None
        worst = max(codes.values(), default=0)
        if worst:
            raise Exit(worst)
