"""Options that the commands share, by the names that kubectl has for them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import click
from typing_extensions import override

from runwright.api.duration import duration_of
from runwright.api.states import Phase
from runwright.kubectl.completion import run_names
from runwright.kubectl.editing import Chosen
from runwright.kubectl.session import Target

Command = TypeVar("Command", bound=Callable[..., Any])


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


def target_options(command: Command) -> Command:
    """Which cluster, and which namespace."""
    for option in (
        click.option("--context", help="Context of the kubeconfig. Default: its current one."),
        click.option(
            "--kubeconfig",
            type=click.Path(exists=True, dir_okay=False),
            help="Default: KUBECONFIG, ~/.kube/config.",
        ),
        click.option("--namespace", "-n", default="", help="Default: the namespace of the context."),
    ):
        command = option(command)
    return command


def target(given: dict[str, Any], *, all_namespaces: bool = False) -> Target:
    """What `target_options` were given; taken out of `given`."""
    return Target(given.pop("kubeconfig"), given.pop("context"), given.pop("namespace"), all_namespaces)


def output_option(*formats: str) -> Callable[[Command], Command]:
    """-o: one of these formats; empty where none is named."""

    def named(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str:
        return value or ""

    def add(command: Command) -> Command:
        return click.option("--output", "-o", type=click.Choice(formats), callback=named, help="Format.")(command)

    return add


def run_argument(command: Command) -> Command:
    """One run by its name."""
    return click.argument("name", metavar="RUN", shell_complete=run_names)(command)


def phase_option(command: Command) -> Command:
    """--phase: repeatable."""
    return click.option(
        "--phase",
        "phases",
        multiple=True,
        type=click.Choice([phase.value for phase in Phase]),
        help="Runs in this phase; repeatable.",
    )(command)


def selector_option(command: Command) -> Command:
    """-l: labels."""
    return click.option("--selector", "-l", default="", help="Labels, such as experiment=churn.")(command)


def chosen_options(command: Command) -> Command:
    """Runs by their names, or by what they match."""
    for option in (
        click.option("--all", "every", is_flag=True, help="All runs of the namespace."),
        click.option("--archived", is_flag=True, help="Archived runs."),
        phase_option,
        selector_option,
        target_options,
        click.argument("names", nargs=-1, metavar="[RUN]...", shell_complete=run_names),
    ):
        command = option(command)
    return command


def chosen(given: dict[str, Any]) -> Chosen:
    """What `chosen_options` were given; taken out of `given`. Raises click's UsageError."""
    names, selector, phases = given.pop("names"), given.pop("selector"), given.pop("phases")
    archived, every = given.pop("archived"), given.pop("every")
    by_match = bool(selector or phases or archived or every)
    if bool(names) == by_match:
        raise click.UsageError(
            "name runs, or say which by --selector, --phase, --archived or --all"
            + ("; not both" if names else ": nothing is done to all without --all")
        )
    return Chosen(target(given), names, selector, phases, archived)
