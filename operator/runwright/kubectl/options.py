"""Options that several commands have, with the names that kubectl gives them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from runwright.api.states import Phase
from runwright.kubectl.completion import complete_run
from runwright.kubectl.selecting import Chosen
from runwright.kubectl.session import Target

FORMATS = ("json", "yaml", "name", "wide")

Command = TypeVar("Command", bound=Callable[..., Any])


def cluster_options(command: Command) -> Command:
    """Add --kubeconfig and --context."""
    for option in (
        click.option("--context", help="Context of the kubeconfig. Default: its current context."),
        click.option(
            "--kubeconfig",
            type=click.Path(exists=True, dir_okay=False),
            help="Path of a kubeconfig. Default: KUBECONFIG, then ~/.kube/config.",
        ),
    ):
        command = option(command)
    return command


def target_options(command: Command) -> Command:
    """Add --namespace, --kubeconfig and --context."""
    option = click.option(
        "--namespace", "-n", default="", show_default=False, help="Namespace. Default: the namespace of the context."
    )
    return option(cluster_options(command))


def pop_target(given: dict[str, Any], *, all_namespaces: bool = False) -> Target:
    """Take the values of `target_options` out of `given`."""
    return Target(given.pop("kubeconfig"), given.pop("context"), given.pop("namespace"), all_namespaces)


def output_option(*formats: str) -> Callable[[Command], Command]:
    """Add -o with these formats; its value is empty where it is not given."""

    def empty_for_none(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str:
        return value or ""

    def add(command: Command) -> Command:
        return click.option(
            "--output", "-o", type=click.Choice(formats), callback=empty_for_none, help="Output format."
        )(command)

    return add


def run_argument(command: Command) -> Command:
    """Add the argument RUN."""
    return click.argument("name", metavar="RUN", shell_complete=complete_run)(command)


def phase_option(command: Command) -> Command:
    """Add --phase."""
    return click.option(
        "--phase",
        "phases",
        multiple=True,
        type=click.Choice([phase.value for phase in Phase]),
        help="Runs in this phase; repeatable.",
    )(command)


def selector_option(command: Command) -> Command:
    """Add -l."""
    return click.option(
        "--selector", "-l", default="", show_default=False, help="Label selector, such as experiment=churn."
    )(command)


def chosen_options(command: Command) -> Command:
    """Add the arguments and options that choose runs, by name or by selector."""
    for option in (
        click.option("--all", "every", is_flag=True, help="All runs of the namespace."),
        click.option("--archived", is_flag=True, help="Archived runs."),
        phase_option,
        selector_option,
        target_options,
        click.argument("names", nargs=-1, metavar="[RUN]...", shell_complete=complete_run),
    ):
        command = option(command)
    return command


def pop_chosen(given: dict[str, Any]) -> Chosen:
    """Take the values of `chosen_options` out of `given`. Raises click's UsageError."""
    names, selector, phases = given.pop("names"), given.pop("selector"), given.pop("phases")
    archived, every = given.pop("archived"), given.pop("every")
    by_match = bool(selector or phases or archived or every)
    if bool(names) == by_match:
        raise click.UsageError(
            "name runs, or select them with --selector, --phase, --archived or --all"
            + ("; not both" if names else ". To select all runs, use --all")
        )
    return Chosen(pop_target(given), names, selector, phases, archived)
