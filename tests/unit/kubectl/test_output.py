"""Runs as JSON, YAML and names."""

from __future__ import annotations

import json

import pytest
import yaml

from runwright.kubectl.output import dump_document, format_run, format_runs, write_text

RUN = {"metadata": {"name": "größer", "managedFields": [1]}, "spec": {"a": "1"}}


@pytest.mark.parametrize("output", ["json", "yaml"])
def test_a_list_has_the_kind_of_each_run(output: str):
    text = format_runs([RUN], output)
    body = json.loads(text) if output == "json" else yaml.safe_load(text)
    assert body["kind"] == "List"
    assert body["items"] == [
        {
            "apiVersion": "runwright.dev/v1alpha1",
            "kind": "PipelineRun",
            "metadata": {"name": "größer"},
            "spec": {"a": "1"},
        }
    ]
    assert "größer" in text


def test_names_are_those_of_kubectl():
    assert format_runs([RUN, RUN], "name") == "pipelinerun.runwright.dev/größer\n" * 2
    assert format_run(RUN, "name") == "pipelinerun.runwright.dev/größer\n"


def test_yaml_keeps_the_order_of_fields():
    assert dump_document({"b": 1, "a": [2]}, "yaml") == "b: 1\na:\n- 2\n"


def test_text_is_written_at_once(capsys: pytest.CaptureFixture[str]):
    write_text("a\n")
    assert capsys.readouterr().out == "a\n"
