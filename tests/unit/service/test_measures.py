"""Metrics of the run service."""

from __future__ import annotations

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from runwright.service.experiment_rows import ExperimentRow
from runwright.service.index import Index
from runwright.service.measures import ServiceMeasures
from runwright.service.rows import RowFactory, RunRow
from tests.unit.service.bodies import run_body


def test_calls_and_requests_are_counted_by_their_labels():
    measures = ServiceMeasures()
    measures.call("RunService/GetRun", "OK", 0.2)
    measures.request("get", "pipelineruns", 200, 0.01)
    measures.request("get", "pipelineruns", 0, 20)
    value = measures.registry.get_sample_value
    assert value("runwright_serve_call_duration_seconds_sum", {"method": "RunService/GetRun", "code": "OK"}) == 0.2
    for code in ("200", "0"):
        labels = {"verb": "get", "resource": "pipelineruns", "code": code}
        assert value("runwright_api_request_duration_seconds_count", labels) == 1


def test_refused_objects_are_counted_by_reason():
    measures = ServiceMeasures()
    measures.object_refused("TooDeep")
    assert measures.registry.get_sample_value("runwright_objects_refused_total", {"reason": "TooDeep"}) == 1


def test_the_indexes_are_read_at_each_scrape():
    measures, runs, experiments = ServiceMeasures(), Index[RunRow](), Index[ExperimentRow]()
    measures.register(runs, experiments)
    value = measures.registry.get_sample_value
    kind = {"kind": "pipelineruns"}
    assert (value("runwright_serve_index_rows", kind), value("runwright_serve_index_synced", kind)) == (0, 0)
    runs.apply(RowFactory().row(run_body()))
    runs.synced = True
    assert (value("runwright_serve_index_rows", kind), value("runwright_serve_index_synced", kind)) == (1, 1)
    assert value("runwright_serve_index_synced", {"kind": "pipelineexperiments"}) == 0


def test_two_processes_have_registries_of_their_own():
    first, second = ServiceMeasures(), ServiceMeasures()
    first.call("RunService/GetRun", "OK", 0.2)
    names = {family.name for family in text_string_to_metric_families(generate_latest(second.registry).decode())}
    assert "runwright_build_info" in names
    assert "runwright_serve_call_duration_seconds_count" not in generate_latest(second.registry).decode()
