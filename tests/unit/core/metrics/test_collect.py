"""Collected metrics are added to the run's status, once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from runwright.api.pipelinerun import Metric, PipelineRunStatus, WorkflowReference
from runwright.api.states import Phase
from runwright.core.decision import CollectMetrics, Decision, Memory
from runwright.core.metrics.collect import STILL_READING, Collected, uncollected_nodes
from runwright.core.metrics.reports import Report
from runwright.core.reconcile import reconcile
from runwright.core.records import RunRecord, WorkflowRecord
from runwright.core.status.conditions import METRICS_COLLECTED, find_condition
from runwright.core.workflow.record import workflow_record
from runwright.kube.objects import Key
from tests.unit.core.strategies import NOW

KEY = Key("team", "train")
STATUS = PipelineRunStatus(
    observed_generation=1, phase=Phase.RUNNING, retries=0, workflow=WorkflowReference(name="train", uid="wf-1")
)
RUN = RunRecord(KEY, "run-uid", "7", 1, NOW, STATUS)
WORKFLOW = WorkflowRecord(KEY, "wf-1", "9", owner_uid="run-uid", phase="Running", metric_nodes=("a",))
READ = Collected(frozenset({"a"}), (Report("a", "loss", 0.5),))


def node(kind: str = "Pod", phase: str = "Succeeded", **outputs: Any) -> dict[str, Any]:
    return {"type": kind, "phase": phase, "outputs": outputs}


def test_finished_pods_with_metrics_are_found() -> None:
    left = [{"name": "other"}, {"name": "mlpipeline-metrics"}]
    nodes = {
        "artifact": node(artifacts=left),
        "parameter": node(phase="Failed", parameters=left),
        "running": node(phase="Running", artifacts=left),
        "repeats-its-child": node("Retry", artifacts=left),
        "dag": node("DAG", parameters=left),
        "other": node(artifacts=left[:1]),
        "odd": node(artifacts="mlpipeline-metrics"),
        "junk": 7,
    }
    body = {"metadata": {"namespace": "team", "name": "train"}, "status": {"nodes": nodes}}
    assert workflow_record(body).metric_nodes == ("artifact", "parameter")


def test_metrics_are_collected_once() -> None:
    nodes = frozenset({"a"})
    assert reconcile(RUN, WORKFLOW, NOW) == Decision(action=CollectMetrics(WORKFLOW, nodes))
    assert uncollected_nodes(WORKFLOW, READ) == frozenset()
    decision = reconcile(RUN, WORKFLOW, NOW, Memory(collected=READ))
    assert decision.status is not None
    assert decision.status.metrics == [Metric(name="loss", node_id="a", value=0.5)]


def test_the_end_of_a_run_waits_for_them_and_what_goes_on_does_not() -> None:
    ended = replace(WORKFLOW, phase="Succeeded")
    assert reconcile(RUN, ended, NOW, Memory(collecting=True)) == Decision(requeue_after=STILL_READING)
    decision = reconcile(RUN, ended, NOW, Memory(collected=READ))
    assert decision.status is not None and decision.status.phase is Phase.SUCCEEDED
    assert decision.status.metrics == [Metric(name="loss", node_id="a", value=0.5)]
    going_on = reconcile(RUN, replace(WORKFLOW, progress="1/2"), NOW, Memory(collecting=True))
    assert going_on.status is not None and going_on.status.progress == "1/2"


@pytest.mark.parametrize(
    ("collected", "said"),
    [
        (Collected(frozenset({"a"}), problems=("node a: there is no such key",)), "node a: there is no such key"),
        (
            Collected(frozenset({"a"}), (Report("a", "loss", float("nan")),)),
            "number_value of loss: expected a finite number",
        ),
    ],
)
def test_refused_metrics_set_a_condition_and_cause_an_event(collected: Collected, said: str) -> None:
    decision = reconcile(RUN, WORKFLOW, NOW, Memory(collected=collected))
    reported = find_condition(decision.status.conditions if decision.status else (), METRICS_COLLECTED)
    assert reported is not None and (reported.status, reported.reason) == ("False", "MetricsRefused")
    assert said in reported.message
    assert [notice.reason for notice in decision.notices] == ["MetricsRefused"]


def test_a_metric_that_is_collected_again_keeps_its_value() -> None:
    held = Metric(name="loss", node_id="a", value=0.7)
    run = replace(RUN, status=STATUS.model_copy(update={"metrics": [held]}))
    decision = reconcile(run, replace(WORKFLOW, phase="Succeeded"), NOW, Memory(collected=READ))
    assert decision.status is not None and decision.status.metrics == [held]
    assert find_condition(decision.status.conditions, METRICS_COLLECTED) is None
