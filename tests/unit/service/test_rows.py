"""Rows of runs: their fields, scopes and metrics, and the memory that they share."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.kube.objects import Key
from runwright.service import rows
from runwright.service.present import run_message
from runwright.service.rows import RowFactory, Shared, experiment_scope_id, numeric_version
from tests.unit.service.bodies import run_body


def body(name: str = "train", **spec: Any) -> dict[str, Any]:
    references = [
        {"type": "EXPERIMENT", "id": "e", "name": "Nightly"},
        {"type": "PIPELINE_VERSION", "id": "v", "relationship": "CREATOR"},
    ]
    metrics = [
        {"name": "accuracy", "nodeID": "n1", "value": 0.5},
        {"name": "loss", "nodeID": "n1", "value": 2},
        {"name": "accuracy", "nodeID": "n2", "value": 0.7},
    ]
    return run_body(name, spec={"references": references, "pipeline": {"id": "p"}, **spec}, status={"metrics": metrics})


def test_a_row_has_the_fields_and_scopes_of_the_run():
    row = RowFactory().row(body())
    assert (row.id, row.key, row.version, row.name, row.status) == (
        "uid-train",
        Key("team", "train"),
        7,
        "Train",
        "Pending",
    )
    assert (row.pipeline_id, row.experiment_id, row.value("created_at")) == ("p", "e", 1795687200)
    assert set(row.scopes) == {("", ""), ("NAMESPACE", "team"), ("EXPERIMENT", "team/e"), ("PIPELINE_VERSION", "v")}


def test_a_run_is_in_its_own_namespace_whichever_its_spec_names():
    references = [{"type": "NAMESPACE", "id": id} for id in ("other", "team", "a/b", "..")]
    row = RowFactory().row(run_body(spec={"references": references}))
    assert row.scopes == (("", ""), ("NAMESPACE", "team"))
    assert [one.key.id for one in row.run().resource_references] == ["team"]


@pytest.mark.parametrize(
    "ref",
    [{"name": name, "key": "k"} for name in ("a/b", "..", "", None, 1, "A")]
    + [{"name": "m", "key": key} for key in ("..", "a/b", "", None)],
)
def test_a_manifest_that_no_object_can_have_is_not_read(ref: dict[str, Any]):
    row = RowFactory().row(run_body(spec={"workflow": {"manifestFrom": {"configMapKeyRef": ref}}}))
    assert row.manifest is None and not row.inline


def test_an_experiment_of_another_namespace_is_another_scope():
    assert experiment_scope_id("team", "e") != experiment_scope_id("other", "e")


def test_a_metric_is_the_first_report_of_its_name():
    row = RowFactory().row(body())
    assert (row.value("metric:accuracy"), row.value("metric:loss"), row.value("metric:none")) == (0.5, 2.0, None)
    assert RowFactory().row(run_body()).metric("accuracy") is None


def test_the_message_is_decoded_with_its_manifest():
    row = RowFactory().row(body())
    run = row.run("the manifest")
    assert (run.id, run.pipeline_spec.workflow_manifest) == ("uid-train", "the manifest")
    assert row.inline and row.manifest is None


def large_body(size: int, references: int = 0, metrics: int = 0) -> dict[str, Any]:
    """A run with texts of this many characters in every field that has texts."""
    text = "😀" * size
    refs = [{"type": "JOB", "id": f"{number}{text}", "name": text} for number in range(references)]
    pipeline = {"id": text, "name": text, "manifest": text}
    parameters = [{"name": text, "value": text}]
    found = [{"name": f"m{number}", "nodeID": text, "value": number} for number in range(metrics)]
    spec = {"displayName": text, "description": text, "pipeline": pipeline, "parameters": parameters}
    return run_body(spec={**spec, "references": refs}, status={"phase": text, "metrics": found})


def test_the_row_of_a_large_run_is_small_and_says_so():
    row = RowFactory().row(large_body(300_000, references=64, metrics=512))
    assert row.partial and len(row.message) < 5 * rows.MAX_TEXT
    for text in (row.name, row.description, row.status, row.pipeline_id):
        assert len(text) == rows.MAX_TEXT
    assert len(row.metric_names) == rows.MAX_METRICS and row.metric("m255") == 255
    assert row.scopes == (("", ""), ("NAMESPACE", "team")), "no list can name such an id"
    many = RowFactory().row(large_body(10, references=64))
    assert len(many.scopes) == 2 + rows.MAX_SCOPES


@given(st.integers(0, 6000), st.integers(0, 20))
def test_a_row_that_is_not_partial_has_the_whole_message(size: int, references: int):
    body = large_body(size, references)
    row = RowFactory().row(body)
    assert len(row.message) <= rows.MAX_MESSAGE + 4 * rows.MAX_TEXT
    whole = run_message(body)
    if not row.partial:
        assert row.run() == whole
    assert row.completed(run_message(body)).pipeline_spec == whole.pipeline_spec


def test_values_that_are_shared_are_given_back(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rows, "MAX_SHARED", 10)
    shared = Shared[tuple[str, ...]]()
    first = ("0",)
    assert shared.one(first) is first and shared.one(tuple(["0"])) is first
    for number in range(1000):
        shared.one((str(number),))
        assert shared.one(tuple(["0"])) is first, "what is used stays"
    assert len(shared) <= 10 + 1
    factory = RowFactory()
    for number in range(1000):
        factory.row(body(references=[{"type": "JOB", "id": f"job-{number}"}]))
    assert max(len(one) for one in (factory._names, factory._scopes, factory._refs)) <= 11


def test_equal_scopes_names_and_manifests_are_one_object():
    factory = RowFactory()
    source = {"manifestFrom": {"configMapKeyRef": {"name": "m", "key": "k"}, "digest": "sha256:x"}}
    one, other = (factory.row(body(name, workflow=source)) for name in ("a", "b"))
    assert one.scopes is other.scopes and one.metric_names is other.metric_names
    assert one.manifest is other.manifest is not None and not one.inline


@pytest.mark.parametrize(("version", "number"), [("7", 7), ("0", 0), ("", 0), ("x7", 0), (7, 0)])
def test_a_version_that_is_not_a_number_is_zero(version: object, number: int):
    assert numeric_version({"metadata": {"resourceVersion": version}}) == number
