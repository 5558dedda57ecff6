"""The description of a run, as lines."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from runwright.api.pipelinerun import NodeStatus
from runwright.kubectl import describe
from runwright.kubectl.describe import describe_run, tree_lines
from runwright.kubectl.tree import Tree, tree_of_status

NOW = datetime(2026, 11, 26, 12, 0, 30, tzinfo=UTC)


def test_a_run_without_a_status_has_a_summary_and_no_nodes():
    assert describe_run({"metadata": {"name": "train", "namespace": "team"}}, Tree({}, []), NOW) == [
        "Name:        train",
        "Namespace:   team",
        "Phase:       none yet",
        "",
        "CONDITION   STATUS   REASON   MESSAGE",
        "",
        "No nodes yet.",
    ]


def test_parameters_outputs_and_metrics_are_tables():
    run = {
        "metadata": {"name": "train", "namespace": "team"},
        "spec": {"parameters": [{"name": "rows", "value": "10"}]},
        "status": {
            "conditions": [{"type": "Succeeded", "status": "True", "reason": "Succeeded"}],
            "outputs": {"parameters": [{"name": "best", "value": "a\tb"}]},
            "metrics": [{"name": "auc", "value": 0.973, "format": "PERCENTAGE", "nodeID": "train-1"}],
        },
    }
    lines = describe_run(run, Tree({}, []), NOW)
    for line in (
        "Succeeded   True     Succeeded",
        "PARAMETER   VALUE",
        "rows        10",
        "OUTPUT   VALUE",
        "best     a b",
        "METRIC   VALUE   NODE",
        "auc      97.3%   train-1",
    ):
        assert line in lines


def test_wide_has_types_and_ids_of_nodes():
    node = NodeStatus(id="train-1", name="fit", type="Pod", phase="Running")
    assert tree_lines(tree_of_status("a", [node], 0), NOW, wide=True) == [
        "NODE   PHASE     DURATION   TYPE   ID        MESSAGE",
        "fit    Running              Pod    train-1",
    ]


def test_nodes_above_the_limit_are_counted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(describe, "MAX_PRINTED", 2)
    nodes = [NodeStatus(id=str(number), name="a", type="Pod", phase="Running") for number in range(5)]
    assert tree_lines(tree_of_status("0", nodes, 4), NOW)[-1] == "… and 7 more nodes"
