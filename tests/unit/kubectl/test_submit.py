"""`submit`: from a file or a template and the options to a run, or to an error that names the field."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from runwright.api.pipelinerun import MAX_MANIFEST, MAX_NAME, PipelineRun
from runwright.kube.errors import ApiError
from runwright.kubectl.session import CommandError, Exit, Target
from runwright.kubectl.submit import (
    MAX_FILE,
    SubmitOptions,
    apply_options,
    generated_name,
    merge_parameters,
    read_file,
    run_of_template,
    run_of_text,
    submit_run,
)
from tests.unit.fake.apiserver import ApiServer
from tests.unit.fake.client import FakeClient
from tests.unit.kubectl.conftest import event_at

Captured = pytest.CaptureFixture[str]
WORKFLOW = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: train-}\nspec: {entrypoint: a}\n"
RUN: dict[str, Any] = {
    "apiVersion": "runwright.dev/v1alpha1",
    "kind": "PipelineRun",
    "metadata": {"name": "mine", "labels": {"team": "ml"}},
    "spec": {
        "workflow": {"spec": {}},
        "parameters": [{"name": "rows", "value": "1"}, {"name": "seed", "value": "2"}],
    },
}


def options(namespace: str = "", **more: Any) -> SubmitOptions:
    return SubmitOptions(Target(namespace=namespace), "f.yaml", **more)


def test_a_workflow_becomes_the_manifest_of_a_run_unchanged():
    run = run_of_text(WORKFLOW, "f.yaml")
    assert run == {"metadata": {"generateName": "train-"}, "spec": {"workflow": {"manifest": WORKFLOW}}}
    PipelineRun.model_validate(apply_options(run, options(), "team"))


def test_a_workflow_without_a_name_gets_the_name_of_its_file():
    text = WORKFLOW.replace("{generateName: train-}", "{}")
    assert run_of_text(text, "/a/Nightly Train.yaml")["metadata"] == {"generateName": "nightly-train-"}


def test_a_run_without_options_only_gets_a_namespace():
    run = apply_options(run_of_text(yaml.safe_dump(RUN), "f.yaml"), options(), "team")
    assert run == {**RUN, "metadata": {**RUN["metadata"], "namespace": "team"}}


def test_options_take_precedence_over_the_file():
    given_options = options(
        parameters=("rows=9=9", "new="),
        name="other",
        display_name="Nightly",
        service_account="robot",
        labels=("experiment=churn",),
    )
    run = apply_options(RUN, given_options, "team")
    assert run["metadata"] == {
        "name": "other",
        "namespace": "team",
        "labels": {"team": "ml", "experiment": "churn"},
    }
    assert run["spec"]["parameters"] == [
        {"name": "seed", "value": "2"},
        {"name": "rows", "value": "9=9"},
        {"name": "new", "value": ""},
    ]
    assert (run["spec"]["displayName"], run["spec"]["serviceAccountName"]) == ("Nightly", "robot")


@pytest.mark.parametrize(("kind", "cluster"), [("workflowtemplate", False), ("ClusterWorkflowTemplate", True)])
def test_a_template_becomes_a_reference(kind: str, cluster: bool):
    run = apply_options(run_of_template(f"{kind}/daily"), options(), "team")
    ref = PipelineRun.model_validate(run).spec.workflow.template_ref
    assert ref is not None
    assert (ref.name, ref.cluster_scope, run["metadata"]["generateName"]) == ("daily", cluster, "daily-")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f.yaml: the file is empty; expected a PipelineRun"),
        ("a: b: c", "f.yaml: expected YAML or JSON"),
        ("{}", "f.yaml: it has no kind; expected kind Workflow"),
        ("kind: CronWorkflow\napiVersion: argoproj.io/v1alpha1", 'its kind is "CronWorkflow"; expected Workflow'),
        (WORKFLOW.replace("{entrypoint: a}", "[]"), "f.yaml: spec: expected a mapping"),
        (WORKFLOW + f"# {'x' * MAX_MANIFEST}", f"more than the {MAX_MANIFEST} that fit into a Workflow"),
        ('{"pipelineInfo": {}}', "pipeline spec of the KFP SDK 2"),
        (WORKFLOW + "---\n" + WORKFLOW, "it has 2 documents (Workflow, Workflow)"),
    ],
)
def test_a_file_without_a_runnable_object_is_an_error(text: str, message: str):
    with pytest.raises(CommandError) as error:
        run_of_text(text, "f.yaml")
    assert message in str(error.value)


@pytest.mark.parametrize("given_template", ["daily", "cronworkflow/daily", "workflowtemplate/"])
def test_a_malformed_template_is_an_error(given_template: str):
    with pytest.raises(CommandError, match="expected workflowtemplate/NAME"):
        run_of_template(given_template)


@pytest.mark.parametrize("parameter", ["rows", "=1", ""])
def test_a_malformed_parameter_is_an_error(parameter: str):
    with pytest.raises(CommandError, match=r"--parameter: .*expected NAME=VALUE"):
        apply_options(RUN, options(parameters=(parameter,)), "team")


def test_a_namespace_that_contradicts_the_file_is_an_error():
    run = {**RUN, "metadata": {"name": "mine", "namespace": "theirs"}}
    assert apply_options(run, options(), "team")["metadata"]["namespace"] == "theirs"
    with pytest.raises(CommandError, match=r"metadata.namespace is 'theirs', and --namespace 'mine'"):
        apply_options(run, options("mine"), "team")


@given(st.text())
def test_any_name_becomes_a_valid_generate_name(base: str):
    prefix = generated_name(base)["generateName"]
    assert len(prefix) + 5 <= MAX_NAME
    assert prefix[0].isalnum()
    assert prefix.isascii()
    assert prefix.lower() == prefix


@given(st.dictionaries(st.text(min_size=1), st.text()), st.dictionaries(st.text(min_size=1), st.text()))
def test_merged_parameters_have_each_name_once(there: dict[str, str], given_values: dict[str, str]):
    merged = merge_parameters([{"name": name, "value": value} for name, value in there.items()], given_values)
    assert {one["name"]: one["value"] for one in merged} == {**there, **given_values}
    assert len(merged) == len({**there, **given_values})


# --------------------------------------------------------------------------------------------------------- the command
@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "run.yaml"
    body = {**RUN, "spec": {"workflow": {"spec": {"entrypoint": "a", "templates": [{"name": "a", "container": {}}]}}}}
    path.write_text(yaml.safe_dump(body))
    return str(path)


async def test_a_run_is_created_and_named(file: str, server: ApiServer, connected: FakeClient, capsys: Captured):
    await submit_run(SubmitOptions(Target(), file))
    assert capsys.readouterr().out == "pipelinerun.runwright.dev/mine created\n"
    assert server.objects["PipelineRun", "team", "mine"]["metadata"]["labels"] == {"team": "ml"}


async def test_a_dry_run_stores_nothing(file: str, server: ApiServer, connected: FakeClient, capsys: Captured):
    await submit_run(SubmitOptions(Target(), file, dry_run=True, wait=True))
    assert capsys.readouterr().out == "pipelinerun.runwright.dev/mine created (server dry run)\n"
    assert server.objects == {}


async def test_what_the_operator_would_refuse_is_not_created(file: str, server: ApiServer, connected: FakeClient):
    with pytest.raises(CommandError, match=r'ParameterUnknown: .*"rows"'):
        await submit_run(SubmitOptions(Target(), file, parameters=("rows=1",)))
    assert server.objects == {}


async def test_a_missing_template_is_an_error_before_the_run_is_created(server: ApiServer, connected: FakeClient):
    with pytest.raises(CommandError, match="TemplateNotFound"):
        await submit_run(SubmitOptions(Target(), template="workflowtemplate/absent"))
    assert server.objects == {}


async def test_a_template_that_may_not_be_read_is_left_to_the_operator(
    server: ApiServer, connected: FakeClient, capsys: Captured
):
    connected.fail("get workflowtemplates", ApiError(403, "Forbidden", "no"))
    await submit_run(SubmitOptions(Target(), template="workflowtemplate/shared", name="mine"))
    assert ("PipelineRun", "team", "mine") in server.objects


@pytest.mark.parametrize(("phase", "code"), [("Succeeded", 0), ("Failed", 3)])
async def test_waiting_ends_with_the_code_of_the_run(
    phase: str, code: int, file: str, server: ApiServer, connected: FakeClient, capsys: Captured
):
    watched = event_at(connected, "watch pipelineruns")
    submitting = asyncio.create_task(submit_run(SubmitOptions(Target(), file, wait=True)))
    await watched.wait()
    server.patch_status("PipelineRun", "team", "mine", {"phase": phase, "message": "steps"})
    ended = await asyncio.gather(submitting, return_exceptions=True)
    assert [error.code for error in ended if isinstance(error, Exit)] == ([code] if code else [])
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"pipelinerun.runwright.dev/mine: it has ended as {phase}: steps"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"\xff", "expected UTF-8 text"), (b"#" * (MAX_FILE + 1), f"more than {MAX_FILE} bytes")],
)
def test_a_file_that_is_no_text_or_too_long_is_an_error(content: bytes, message: str, tmp_path: Path):
    path = tmp_path / "run.yaml"
    path.write_bytes(content)
    with pytest.raises(CommandError, match=message):
        read_file(str(path))
