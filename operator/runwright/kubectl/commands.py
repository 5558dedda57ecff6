"""The commands of `kubectl runwright`, which `runwright` has too: what each takes, and where it is carried out."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
from typing_extensions import override

from runwright import __version__
from runwright.api.states import Shutdown
from runwright.core import edits
from runwright.kube.objects import Key
from runwright.kubectl.artifact import DownloadOptions, download
from runwright.kubectl.completion import answer, run_names, script
from runwright.kubectl.editing import delete_runs, edit_runs
from runwright.kubectl.listing import ListOptions, list_runs
from runwright.kubectl.logs import LogOptions, logs
from runwright.kubectl.metrics import print_metrics
from runwright.kubectl.options import (
    TimeoutType,
    chosen,
    chosen_options,
    output_option,
    phase_option,
    run_argument,
    selector_option,
    target,
    target_options,
)
from runwright.kubectl.output import FORMATS
from runwright.kubectl.session import run_command
from runwright.kubectl.show import GetOptions, get_run, watch_run_command
from runwright.kubectl.submit import SubmitOptions, submit
from runwright.kubectl.waiting import GOALS, wait_runs

CONTEXT = {"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "RUNWRIGHT", "show_default": True}


@click.command("submit")
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, allow_dash=True), metavar="[FILE]")
@click.option(
    "--from",
    "template",
    metavar="KIND/NAME",
    default="",
    help="Run workflowtemplate/NAME or clusterworkflowtemplate/NAME.",
)
@click.option("--parameter", "-p", "parameters", multiple=True, metavar="NAME=VALUE", help="Repeatable.")
@click.option("--name", default="", help="Name of the run. Default: the Workflow's, with something after it.")
@click.option("--display-name", default="", help="What people call the run; need not be unique.")
@click.option("--service-account", default="", help="Who its pods run as.")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="Label of the run; repeatable.")
@click.option("--wait", is_flag=True, help="Until it has ended.")
@click.option("--watch", "-w", is_flag=True, help="Show it until it has ended.")
@click.option(
    "--dry-run", type=click.Choice(["none", "server"]), default="none", help="server: check it, and create nothing."
)
@output_option("json", "yaml", "name")
@target_options
def submit_command(file: str | None, dry_run: str, template: str, **given: Any) -> None:
    """Run what FILE holds: a PipelineRun, a Workflow of Argo, or what the KFP SDK 1.8 compiled. - is the standard input.

    With --wait or --watch, the exit code is 3 where the run ends as Failed or Error.
    """
    if bool(file) == bool(template):
        raise click.UsageError("expected a FILE, or --from KIND/NAME" + ("; not both" if file else ""))
    where = target(given)
    run_command(submit(SubmitOptions(where, file or "", template, dry_run=dry_run == "server", **given)))


@click.command("list")
@click.option("--all-namespaces", "-A", is_flag=True, help="Of all namespaces.")
@selector_option
@click.option("--field-selector", "fields", default="", help="Fields, such as spec.displayName=Nightly.")
@phase_option
@click.option("--archived", is_flag=True, help="Archived runs instead of those that are not.")
@click.option("--all", "every", is_flag=True, help="Archived runs too.")
@click.option("--limit", type=click.IntRange(min=0), default=0, help="The newest so many. 0: all.")
@click.option("--watch", "-w", is_flag=True, help="Go on with what changes, until Ctrl-C.")
@output_option(*FORMATS)
@target_options
def list_command(all_namespaces: bool, **given: Any) -> None:
    """List runs, the newest first. The API server selects; archived runs are left out."""
    if given["watch"] and given["output"] in ("json", "yaml", "name"):
        raise click.UsageError("--watch shows columns: leave out -o, or say -o wide")
    where = target(given, all_namespaces=all_namespaces)
    run_command(list_runs(ListOptions(where, **given)))


@click.command("get")
@run_argument
@click.option("--watch", "-w", is_flag=True, help="Draw it anew at each change, until it has ended.")
@click.option("--brief", is_flag=True, help="Only what stands in the run itself: one request, and no tree.")
@output_option(*FORMATS)
@target_options
def get_command(**given: Any) -> None:
    """Show a run and the tree of its nodes."""
    if given["watch"] and given["output"]:
        raise click.UsageError("--watch draws a tree: leave out -o")
    where = target(given)
    options = GetOptions(where, **given)
    run_command(watch_run_command(options) if options.watch else get_run(options))


@click.command("logs")
@run_argument
@click.option("--node", default="", help="Of this node only: its name or id.")
@click.option("--container", "-c", default="main", help="Container of the pods.")
@click.option("--follow", "-f", is_flag=True, help="Go on as they are written, until the run has ended.")
@click.option("--timestamps", is_flag=True, help="The time before each line.")
@click.option("--tail", type=click.IntRange(min=0), help="The last so many lines of each pod. Default: all.")
@click.option("--prefix/--no-prefix", default=True, help="The node before each line.")
@target_options
def logs_command(**given: Any) -> None:
    """Print the logs of a run's pods; of pods that have gone, those that Argo has archived."""
    where = target(given)
    run_command(logs(LogOptions(where, **given)))


@click.command("wait")
@chosen_options
@click.option("--for", "goal", type=click.Choice(GOALS, case_sensitive=False), default="end", help="What to wait for.")
@click.option("--timeout", type=TimeoutType(), help="How long, such as 10m. Default: for ever.")
def wait_command(goal: str, timeout: timedelta | None, **given: Any) -> None:
    """Wait until runs have ended.

    Exit code 0: all succeeded (or came to what --for says). 3: one ended as Failed or Error. 4: the time was over.
    """
    run_command(wait_runs(chosen(given), goal.lower(), timeout))


@click.command("terminate")
@chosen_options
@click.option("--stop", is_flag=True, help="Let exit handlers run.")
def terminate_command(stop: bool, **given: Any) -> None:
    """End runs early."""
    run_command(edit_runs(chosen(given), edits.shutdown_edit(Shutdown.STOP if stop else Shutdown.TERMINATE)))


@click.command("retry")
@chosen_options
def retry_command(**given: Any) -> None:
    """Run again what failed, and keep what succeeded. A run that is archived comes back first, in the same edit."""
    run_command(edit_runs(chosen(given), edits.retry_edit))


@click.command("archive")
@chosen_options
def archive_command(**given: Any) -> None:
    """Archive runs: they stay, their Workflows and pods go."""
    run_command(edit_runs(chosen(given), edits.archive_edit))


@click.command("unarchive")
@chosen_options
def unarchive_command(**given: Any) -> None:
    """Bring archived runs back, with their Workflows."""
    run_command(edit_runs(chosen(given), edits.unarchive_edit))


@click.command("delete")
@chosen_options
@click.option("--ignore-not-found", is_flag=True, help="A run that is not there is no failure.")
def delete_command(ignore_not_found: bool, **given: Any) -> None:
    """Delete runs, with their Workflows, pods and snapshots."""
    run_command(delete_runs(chosen(given), ignore_missing=ignore_not_found))


@click.command("metrics")
@run_argument
@output_option("json", "yaml")
@target_options
def metrics_command(name: str, output: str, **given: Any) -> None:
    """Print the metrics that a run's steps reported."""
    run_command(print_metrics(target(given), name, output))


class RunType(click.ParamType[Key]):
    """A run, by its name, or by namespace and name."""

    name = "run"

    @override
    def convert(self, value: str | Key, param: click.Parameter | None, ctx: click.Context | None) -> Key:
        if isinstance(value, Key):
            return value
        namespace, slash, name = value.partition("/")
        if not slash:
            namespace, name = "", namespace
        if not name or "/" in name or (slash and not namespace):
            self.fail(f"{value!r}: expected RUN or NAMESPACE/RUN", param, ctx)
        return Key(namespace, name)


@click.command("artifact")
@click.argument("run", type=RunType(), metavar="[NAMESPACE/]RUN", shell_complete=run_names)
@click.argument("node")
@click.argument("name")
@click.option(
    "--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="File to write. Default: standard output."
)
@click.option("--raw", is_flag=True, help="The object as it is in the bucket, tar.gz or zip included.")
@target_options
def artifact_command(run: Key, node: str, name: str, output: Path | None, raw: bool, **given: Any) -> None:
    """Read an output artifact of a run: the file that its step wrote, or a tar of the directory.

    NODE is a node's id, or what the UI shows for it; NAME is the artifact's. Reads where Argo put it, with the Secrets
    that Argo names, by your own right to them, or with your own identity in the cloud. Runs that are archived are read
    just the same.
    """
    if output is None and sys.stdout.isatty():
        raise click.UsageError("the artifact would be written to the terminal; name a file with -o, or pipe it")
    if output is not None and not output.parent.is_dir():
        raise click.BadParameter(f"folder {str(output.parent)!r} does not exist", param_hint="'--output'")
    where = target(given)
    if run.namespace and where.namespace not in ("", run.namespace):
        raise click.UsageError(f"{run.namespace}/{run.name} is not in --namespace {where.namespace}")
    key = Key(run.namespace or where.namespace, run.name)
    run_command(download(DownloadOptions(key, node, name, output, raw, where.kubeconfig, where.context)))


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish", "kubectl"]))
@click.pass_context
def completion_command(context: click.Context, shell: str) -> None:
    """Print what makes a shell complete the command: source <(runwright completion bash).

    For kubectl (1.26 on) it is an executable, to be put on PATH as kubectl_complete-runwright.
    """
    root = context.find_root()
    click.echo(script(shell, root.command, (root.info_name or "runwright").replace(" ", "-")), nl=False)


@click.command("__complete", hidden=True, context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def complete_command(context: click.Context, words: tuple[str, ...]) -> None:
    """Answer kubectl what can follow these words."""
    click.echo(answer(context.find_root().command, words), nl=False)


COMMANDS: tuple[click.Command, ...] = (
    submit_command,
    list_command,
    get_command,
    logs_command,
    wait_command,
    terminate_command,
    retry_command,
    archive_command,
    unarchive_command,
    delete_command,
    artifact_command,
    metrics_command,
    completion_command,
    complete_command,
)


@click.group("kubectl runwright", context_settings=CONTEXT)
@click.version_option(__version__, prog_name="kubectl runwright")
def kubectl() -> None:
    """Runs of pipelines: submit them, look at them, end them, try them again, archive and delete them."""


for command in COMMANDS:
    kubectl.add_command(command)
