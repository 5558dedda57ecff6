"""`metrics`: the table, and the formats for programs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runwright.kubectl.metrics import format_metric, metric_rows, print_metrics
from runwright.kubectl.session import Target
from tests.unit.fake.apiserver import ApiServer
from tests.unit.fake.client import FakeClient

METRICS = [{"name": "auc", "value": 0.5, "format": "PERCENTAGE", "nodeID": "train-1"}]


@pytest.mark.parametrize(
    ("metric", "text"),
    [
        ({"value": 0.973, "format": "PERCENTAGE"}, "97.3%"),
        ({"value": 1234567.891, "format": "RAW"}, "1234567.891"),
        ({"value": 3}, "3"),
        ({"value": "3"}, ""),
    ],
)
def test_a_value_is_formatted_as_its_reporter_says(metric: dict[str, Any], text: str):
    assert format_metric(metric) == text


def test_a_metric_has_the_display_name_of_its_node_or_its_id():
    nodes = [{"id": "train-1", "name": "fit"}]
    assert metric_rows({"status": {"metrics": METRICS, "nodes": nodes}})[1] == ("auc", "50%", "fit")
    assert metric_rows({"status": {"metrics": METRICS}})[1] == ("auc", "50%", "train-1")
    assert metric_rows({}) == []


async def test_metrics_are_printed_as_a_table_or_a_list(
    server: ApiServer, connected: FakeClient, capsys: pytest.CaptureFixture[str]
):
    server.create("PipelineRun", {"metadata": {"namespace": "team", "name": "train"}, "spec": {}})
    await print_metrics(Target(), "train", "")
    assert capsys.readouterr() == ("", "No metrics in run train.\n")
    server.patch_status("PipelineRun", "team", "train", {"metrics": METRICS})
    await print_metrics(Target(), "train", "")
    assert capsys.readouterr().out.splitlines() == ["METRIC   VALUE   NODE", "auc      50%     train-1"]
    await print_metrics(Target(), "train", "json")
    assert json.loads(capsys.readouterr().out) == METRICS
