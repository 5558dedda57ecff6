"""`submit`: a run of what a file holds, or of a template in the cluster."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from runwright.api.pipelinerun import KIND, MAX_MANIFEST, MAX_NAME, PipelineRun
from runwright.api.resources import API_VERSION
from runwright.core.records import Refusal
from runwright.core.workflow.build import BuildOptions, Needs, ObjectRef, build_workflow
from runwright.core.workflow.expect import Refused
from runwright.core.workflow.kube_yaml import UnreadableTextError, load_yaml
from runwright.core.workflow.manifest import read_manifest
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, as_mapping, as_text, key_of, metadata_of, spec_of
from runwright.kubectl.live import watch_run
from runwright.kubectl.output import printed_object, reference, say
from runwright.kubectl.session import CommandError, Exit, Session, Target, session
from runwright.kubectl.waiting import END, code_of, outcome, until

TEMPLATES = {
    "workflowtemplate": False,
    "wftmpl": False,
    "clusterworkflowtemplate": True,
    "cwftmpl": True,
}
"""What `--from KIND/NAME` takes, and whether the template is of the whole cluster."""

MAX_FILE = 4 * MAX_MANIFEST
"""Bytes that are read of a file: no object of that size can be in etcd."""


@dataclass(frozen=True, slots=True)
class SubmitOptions:
    """What a person asked for."""

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


# --------------------------------------------------------------------------------------------------- what is submitted
def run_of_text(given: str, where: str) -> dict[str, Any]:
    """The run that the text describes: itself, or a run of the Workflow that it is.

    Raises CommandError: which file, which field, what was expected.
    """
    if not given.strip():
        raise CommandError(f"{where}: it is empty; expected a PipelineRun, or a Workflow of Argo or the KFP SDK 1.8")
    head = document_of(given)
    if head is not None and head.get("kind") == KIND and head.get("apiVersion") == API_VERSION:
        return dict(head)
    try:
        workflow = read_manifest(given, where)
    except Refused as refused:
        raise CommandError(refused.refusal.message) from refused
    metadata = metadata_of(workflow)
    base = as_text(metadata.get("generateName")) or as_text(metadata.get("name"))
    return {"metadata": naming(base or Path(where).stem), "spec": {"workflow": {"manifest": given}}}


def document_of(given: str) -> Json | None:
    """The one object in the text; None where it cannot be read so, which `read_manifest` tells more of."""
    try:
        documents = load_yaml(given)
    except UnreadableTextError:
        return None
    return as_mapping(documents[0]) if len(documents) == 1 else None


def run_of_template(given: str) -> dict[str, Any]:
    """A run of a template in the cluster. Raises CommandError."""
    kind, _, name = given.partition("/")
    if kind.lower() not in TEMPLATES or not name:
        raise CommandError(f"--from: {given!r}: expected workflowtemplate/NAME or clusterworkflowtemplate/NAME")
    ref: dict[str, Any] = {"name": name}
    if TEMPLATES[kind.lower()]:
        ref["clusterScope"] = True
    return {"metadata": naming(name), "spec": {"workflow": {"templateRef": ref}}}


def naming(base: str) -> dict[str, Any]:
    """Have the API server put something of its own after this name."""
    stem = re.sub(r"[^a-z0-9]+", "-", base.lower()).strip("-")[: MAX_NAME - 6].strip("-")
    return {"generateName": f"{stem or 'run'}-"}


def submitted(run: Mapping[str, Any], options: SubmitOptions, namespace: str) -> dict[str, Any]:
    """The run with what the command line says of it, which comes before what the file says. Raises CommandError."""
    metadata, spec = dict(metadata_of(run)), dict(spec_of(run))
    named = as_text(metadata.get("namespace"))
    if options.target.namespace and named and named != options.target.namespace:
        raise CommandError(f"metadata.namespace is {named!r}, and --namespace {options.target.namespace!r}")
    metadata["namespace"] = options.target.namespace or named or namespace
    if options.name:
        metadata.pop("generateName", None)
        metadata["name"] = options.name
    if not metadata.get("name") and not metadata.get("generateName"):
        metadata |= naming(as_text(spec.get("displayName")) or "run")
    if options.labels:
        metadata["labels"] = {**as_mapping(metadata.get("labels")), **pairs(options.labels, "--label")}
    if options.display_name:
        spec["displayName"] = options.display_name
    if options.service_account:
        spec["serviceAccountName"] = options.service_account
    if options.parameters:
        spec["parameters"] = with_parameters(spec.get("parameters"), pairs(options.parameters, "--parameter"))
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec}


def with_parameters(there: object, given: dict[str, str]) -> list[dict[str, Any]]:
    """Parameters of the file, and those of the command line in their place or after them."""
    kept = [
        dict(as_mapping(one)) for one in cast(list[object], there or []) if as_mapping(one).get("name") not in given
    ]
    return kept + [{"name": name, "value": value} for name, value in given.items()]


def pairs(given: tuple[str, ...], option: str) -> dict[str, str]:
    """NAME=VALUE of each; the last one of a name counts. Raises CommandError."""
    found: dict[str, str] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals or not name:
            raise CommandError(f"{option}: {one!r}: expected NAME=VALUE")
        found[name] = value
    return found


# ----------------------------------------------------------------------------------------------------------- submitting
async def submit(options: SubmitOptions) -> None:
    """Create the run. Raises CommandError, ApiError; Exit (3) where it was waited for and ended badly."""
    body = run_of_template(options.template) if options.template else run_of_text(*read_file(options.file))
    async with session(options.target) as here:
        run = submitted(body, options, here.namespace)
        await check(here, run)
        made = await here.requests.create(run, dry_run=options.dry_run)
        key = key_of(made)
        if options.output:
            say(printed_object(made, options.output))
        else:
            say(f"{reference(key.name)} created{' (server dry run)' if options.dry_run else ''}\n")
        if options.dry_run or not (options.wait or options.watch):
            return
        at = replace(here, namespace=key.namespace)
        if options.watch:
            ended = await watch_run(at, key)
        else:
            ended = await until(at, key, END)
            say(f"{reference(key.name)}: {outcome(ended)}\n")
        if code_of(ended):
            raise Exit(code_of(ended))


def read_file(path: str) -> tuple[str, str]:
    """The text, and how to call it. Raises CommandError, OSError."""
    where = "standard input" if path == "-" else path
    if path == "-":
        raw = sys.stdin.buffer.read(MAX_FILE + 1)
    else:
        with Path(path).open("rb") as file:
            raw = file.read(MAX_FILE + 1)
    if len(raw) > MAX_FILE:
        raise CommandError(
            f"{where}: more than {MAX_FILE} bytes, and {MAX_MANIFEST} characters of a manifest fit into a run: move scripts "
            "and data out of it, or its templates into WorkflowTemplates"
        )
    try:
        return raw.decode(), where
    except UnicodeDecodeError as error:
        raise CommandError(f"{where}: it is no UTF-8 text: byte {error.start}") from error


async def check(here: Session, run: dict[str, Any]) -> None:
    """See what the operator will make of the run, so that a fault is told now. Raises CommandError.

    What the person may not read is not checked; nor are service accounts, which may be made later.
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
                objects[ref] = {} if ref.kind == "ServiceAccount" else await here.cluster.get_object(ref)
            except ApiError as error:
                if error.code != 403:
                    raise
                return
    if isinstance(built, Refusal):
        raise CommandError(f"{built.reason}: {built.message}")
