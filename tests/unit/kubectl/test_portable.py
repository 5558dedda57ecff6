"""The lines of an export."""

from __future__ import annotations

import json

import pytest

from runwright.kubectl.portable import EXPORTED, ImportFileError, export_line, parse_line


def test_a_line_holds_the_object_without_managed_fields():
    body = {"kind": "PipelineRun", "metadata": {"name": "größer", "managedFields": [1]}, "spec": {"a": "b\nc"}}
    line = export_line(body)
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    assert parse_line(1, line.decode()) == {**body, "metadata": {"name": "größer"}}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 7: expected JSON"),
        ("[" * 100_000, "line 7: expected JSON"),
        ("[]", "line 7: expected an object of `runwright export`, found kind None"),
        (json.dumps({"kind": "Pod"}), "line 7: expected an object of `runwright export`, found kind 'Pod'"),
    ],
)
def test_another_line_is_an_error_with_its_number(line: str, message: str):
    with pytest.raises(ImportFileError) as error:
        parse_line(7, line)
    assert str(error.value).startswith(message)


def test_snapshots_follow_their_runs_and_manifests_come_first():
    kinds = list(EXPORTED)
    assert kinds[0] == "ConfigMap"
    assert kinds.index("PipelineRun") < kinds.index("WorkflowSnapshot")
