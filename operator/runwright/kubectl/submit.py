"""`submit`: create a run from a file, or from a template in the cluster."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import click
from pydantic import ValidationError

from runwright.api.pipelinerun import KIND, MAX_MANIFEST, MAX_NAME, PipelineRun
from runwright.api.resources import API_VERSION, PIPELINE_RUNS, REFERENCED
from runwright.core.records import Refusal
from runwright.core.workflow.build import BuildOptions, Needs, ObjectRef, build_workflow
from runwright.core.workflow.expect import Refused
from runwright.core.workflow.kube_yaml import UnreadableTextError, load_yaml
from runwright.core.workflow.manifest import read_manifest
from runwright.kube.client import get_if_served
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, Key, as_mapping, as_text, key_of, metadata_of, spec_of
from runwright.kubectl.live import watch_run
from runwright.kubectl.options import output_option, pop_target, target_options
from runwright.kubectl.output import format_run, run_reference, write_text
from runwright.kubectl.session import CommandError, Exit, Session, Target, connect_to, run_command
from runwright.kubectl.waiting import END, describe_state, exit_code_of, wait_for_run

TEMPLATES = {
    "workflowtemplate": False,
    "wftmpl": False,
    "clusterworkflowtemplate": True,
    "cwftmpl": True,
}
"""Kinds of `--from KIND/NAME`, and whether the kind is cluster-scoped."""

MAX_FILE = 4 * MAX_MANIFEST
"""Longest file, in bytes: etcd holds no object of that size."""


@dataclass(frozen=True, slots=True)
class SubmitOptions:
    """Options of `submit`."""

    target: Target
    file: str = ""
    """Path; `-` for the standard input; empty with `template`."""
    template: str = ""
    """KIND/NAME."""
    parameters: tuple[str, ...] = ()
    """NAME=VALUE each."""
    name: str = ""
    display_name: str = ""
    service_account: str = ""
    labels: tuple[str, ...] = ()
    wait: bool = False
    watch: bool = False
    dry_run: bool = False
    output: str = ""


@click.command("submit")
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, allow_dash=True), metavar="[FILE]")
@click.option(
    "--from",
    "template",
    metavar="KIND/NAME",
    default="",
    show_default=False,
    help="Run a template of the cluster: workflowtemplate/NAME or clusterworkflowtemplate/NAME.",
)
@click.option(
    "--parameter", "-p", "parameters", multiple=True, metavar="NAME=VALUE", help="Value of a parameter; repeatable."
)
@click.option(
    "--name",
    default="",
    show_default=False,
    help="Name of the run. Default: the name of the Workflow and a random suffix.",
)
@click.option("--display-name", default="", show_default=False, help="Display name; need not be unique.")
@click.option("--service-account", default="", show_default=False, help="Service account of the pods.")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="Label of the run; repeatable.")
@click.option("--wait", is_flag=True, help="Wait until the run has ended.")
@click.option("--watch", "-w", is_flag=True, help="Show the run until it has ended.")
@click.option(
    "--dry-run", type=click.Choice(["none", "server"]), default="none", help="server: validate the run, create nothing."
)
@output_option("json", "yaml", "name")
@target_options
def submit_command(file: str | None, dry_run: str, template: str, **given: Any) -> None:
    """Create a run from FILE: a PipelineRun, an Argo Workflow, or a pipeline compiled by the KFP SDK 1.8.

    A FILE of - is the standard input. With --wait or --watch, the exit code is 3 if the run ends as Failed or Error.
    """
    if bool(file) == bool(template):
        raise click.UsageError("expected a FILE, or --from KIND/NAME" + ("; not both" if file else ""))
    where = pop_target(given)
    run_command(submit_run(SubmitOptions(where, file or "", template, dry_run=dry_run == "server", **given)))


# ---------------------------------------------------------------------------------------------------------- the object
def run_of_text(given: str, where: str) -> dict[str, Any]:
    """Make a run from the text: the PipelineRun in it, or a run of the Workflow in it.

    Raises CommandError: which file, which field, what was expected.
    """
    if not given.strip():
        raise CommandError(
            f"{where}: the file is empty; expected a PipelineRun, or a Workflow of Argo or the KFP SDK 1.8"
        )
    head = document_of(given)
    if head is not None and head.get("kind") == KIND and head.get("apiVersion") == API_VERSION:
        return dict(head)
    try:
        workflow = read_manifest(given, where)
    except Refused as refused:
        raise CommandError(refused.refusal.message) from refused
    metadata = metadata_of(workflow)
    base = as_text(metadata.get("generateName")) or as_text(metadata.get("name"))
    return {"metadata": generated_name(base or Path(where).stem), "spec": {"workflow": {"manifest": given}}}


def document_of(given: str) -> Json | None:
    """The one object in the text; None where there is no such object, for which `read_manifest` has the error."""
    try:
        documents = load_yaml(given)
    except UnreadableTextError:
        return None
    return as_mapping(documents[0]) if len(documents) == 1 else None


def run_of_template(given: str) -> dict[str, Any]:
    """Make a run of a template in the cluster. Raises CommandError."""
    kind, _, name = given.partition("/")
    if kind.lower() not in TEMPLATES or not name:
        raise CommandError(f"--from: {given!r}: expected workflowtemplate/NAME or clusterworkflowtemplate/NAME")
    ref: dict[str, Any] = {"name": name}
    if TEMPLATES[kind.lower()]:
        ref["clusterScope"] = True
    return {"metadata": generated_name(name), "spec": {"workflow": {"templateRef": ref}}}


def generated_name(base: str) -> dict[str, Any]:
    """Metadata with a `generateName`: this name and a suffix of the API server."""
    stem = re.sub(r"[^a-z0-9]+", "-", base.lower()).strip("-")[: MAX_NAME - 6].strip("-")
    return {"generateName": f"{stem or 'run'}-"}


def apply_options(run: Mapping[str, Any], options: SubmitOptions, namespace: str) -> dict[str, Any]:
    """The run with the options of the command line, which take precedence over the file. Raises CommandError."""
    metadata, spec = dict(metadata_of(run)), dict(spec_of(run))
    named = as_text(metadata.get("namespace"))
    if options.target.namespace and named and named != options.target.namespace:
        raise CommandError(f"metadata.namespace is {named!r}, and --namespace {options.target.namespace!r}")
    metadata["namespace"] = options.target.namespace or named or namespace
    if options.name:
        metadata.pop("generateName", None)
        metadata["name"] = options.name
    if not metadata.get("name") and not metadata.get("generateName"):
        metadata |= generated_name(as_text(spec.get("displayName")) or "run")
    if options.labels:
        metadata["labels"] = {**as_mapping(metadata.get("labels")), **parse_pairs(options.labels, "--label")}
    if options.display_name:
        spec["displayName"] = options.display_name
    if options.service_account:
        spec["serviceAccountName"] = options.service_account
    if options.parameters:
        spec["parameters"] = merge_parameters(spec.get("parameters"), parse_pairs(options.parameters, "--parameter"))
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec}


def merge_parameters(existing: object, given: dict[str, str]) -> list[dict[str, Any]]:
    """Parameters of the file, replaced and followed by those of the command line."""
    kept = [
        dict(as_mapping(one)) for one in cast(list[object], existing or []) if as_mapping(one).get("name") not in given
    ]
    return kept + [{"name": name, "value": value} for name, value in given.items()]


def parse_pairs(given: tuple[str, ...], option: str) -> dict[str, str]:
    """Split NAME=VALUE; the last value of a name counts. Raises CommandError."""
    found: dict[str, str] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals or not name:
            raise CommandError(f"{option}: {one!r}: expected NAME=VALUE")
        found[name] = value
    return found


# ----------------------------------------------------------------------------------------------------------- submitting
async def submit_run(options: SubmitOptions) -> None:
    """Create the run. Raises CommandError, ApiError; Exit (3) where the run was waited for and ended badly."""
    body = run_of_template(options.template) if options.template else run_of_text(*read_file(options.file))
    async with connect_to(options.target) as here:
        run = apply_options(body, options, here.namespace)
        await check_run(here, run)
        # strict: a field that the kind does not have is an error, not a warning.
        created = await here.client.create(PIPELINE_RUNS, run, dry_run=options.dry_run, strict=True)
        key = key_of(created)
        if options.output:
            write_text(format_run(created, options.output))
        else:
            write_text(f"{run_reference(key.name)} created{' (server dry run)' if options.dry_run else ''}\n")
        if options.dry_run or not (options.wait or options.watch):
            return
        at = replace(here, namespace=key.namespace)
        if options.watch:
            ended = await watch_run(at, key)
        else:
            ended = await wait_for_run(at, key, END)
            write_text(f"{run_reference(key.name)}: {describe_state(ended)}\n")
        if exit_code_of(ended):
            raise Exit(exit_code_of(ended))


def read_file(path: str) -> tuple[str, str]:
    """The text, and its name for messages. Raises CommandError, OSError."""
    where = "standard input" if path == "-" else path
    if path == "-":
        raw = sys.stdin.buffer.read(MAX_FILE + 1)
    else:
        with Path(path).open("rb") as file:
            raw = file.read(MAX_FILE + 1)
    if len(raw) > MAX_FILE:
        raise CommandError(
            f"{where}: more than {MAX_FILE} bytes; a manifest may have {MAX_MANIFEST} characters. Move scripts and data out "
            "of it, or its templates into WorkflowTemplates"
        )
    try:
        return raw.decode(), where
    except UnicodeDecodeError as error:
        raise CommandError(f"{where}: expected UTF-8 text, found another encoding at byte {error.start}") from error


async def check_run(here: Session, run: dict[str, Any]) -> None:
    """Build the run's Workflow as the operator will, to find its errors now. Raises CommandError.

    Objects that the user may not read are not checked, nor are service accounts, which can be created later.
    """
    try:
        model = PipelineRun.model_validate(run)
    except ValidationError as error:
        problem = error.errors()[0]
        path = ".".join(str(part) for part in problem["loc"])
        raise CommandError(f"{path}: {problem['msg']}") from error
    model.metadata.setdefault("name", "run")
    objects: dict[ObjectRef, Json | None] = {}
    while isinstance(built := build_workflow(model, objects, BuildOptions()), Needs):
        for ref in built.objects:
            try:
                if ref.kind == "ServiceAccount":
                    objects[ref] = {}
                else:
                    key = Key(ref.namespace, ref.name)
                    objects[ref] = await get_if_served(here.client, REFERENCED[ref.kind], key)
            except ApiError as error:
                if error.code != 403:
                    raise
                return
    if isinstance(built, Refusal):
        raise CommandError(f"{built.reason}: {built.message}")
