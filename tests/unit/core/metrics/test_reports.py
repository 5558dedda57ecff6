"""The rules of ReportRunMetrics, and reading a metrics file."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.api.pipelinerun import Metric
from runwright.core.metrics.reports import (
    MAX_OF_A_FILE,
    MAX_OF_A_RUN,
    NAME,
    Report,
    ReportStatus,
    add_reports,
    read_metrics_file,
)
from tests.unit.core.strategies import JSON

OK, INVALID, DUPLICATE = ReportStatus.OK, ReportStatus.INVALID_ARGUMENT, ReportStatus.DUPLICATE_REPORTING


def status_of(*reports: Report, held: tuple[Metric, ...] = ()) -> list[ReportStatus]:
    return [result.status for result in add_reports(held, reports)[1]]


@pytest.mark.parametrize("name", ["a", "accuracy", "a-1", "Val_Loss", "A" * 64, "x-_-9"])
def test_names_that_kfps_server_takes(name: str) -> None:
    metrics, results = add_reports((), [Report("node", name, 0.5, "RAW")])
    assert [result.status for result in results] == [OK]
    assert metrics == [Metric(name=name, node_id="node", value=0.5, format="RAW")]


@pytest.mark.parametrize("name", ["", "1a", "a-", "a_", "-a", "a b", "é", "A" * 65, None, 7, ["a"]])
def test_other_names_are_refused(name: object) -> None:
    _, (result,) = add_reports((), [Report("node", name)])
    assert result.status is INVALID
    assert result.message.startswith("name: expected")


@pytest.mark.parametrize(
    ("node", "status"), [("n", OK), ("n" * 128, OK), ("n" * 129, INVALID), ("é" * 65, INVALID), ("", INVALID)]
)
def test_a_node_id_has_at_most_128_bytes(node: str, status: ReportStatus) -> None:
    assert status_of(Report(node, "a")) == [status]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "NaN", "Infinity", "-inf", 10**400])
def test_a_value_that_is_not_finite_is_refused_with_its_name(value: object) -> None:
    _, (result,) = add_reports((), [Report("node", "loss", value)])
    assert result.status is INVALID
    assert result.message.startswith("number_value of loss:") and "finite" in result.message


@pytest.mark.parametrize(("value", "held"), [(0, 0.0), (7, 7.0), ("0.25", 0.25), (1e300, 1e300)])
def test_numbers_may_stand_as_text(value: object, held: float) -> None:
    metrics, _ = add_reports((), [Report("node", "loss", value)])
    assert [metric.value for metric in metrics] == [held]


@pytest.mark.parametrize("value", [None, True, [], {}, "much"])
def test_other_values_are_refused(value: object) -> None:
    assert status_of(Report("node", "loss", value)) == [INVALID]


@pytest.mark.parametrize(
    ("given_format", "held"),
    [("RAW", "RAW"), (1, "RAW"), (2, "PERCENTAGE"), (0, "UNSPECIFIED"), ("UNSPECIFIED", "UNSPECIFIED")],
)
def test_formats_by_name_and_number(given_format: object, held: str) -> None:
    metrics, _ = add_reports((), [Report("node", "a", 1, given_format)])
    assert [metric.format for metric in metrics] == [held]


@pytest.mark.parametrize("given_format", ["raw", 3, -1, True, None, []])
def test_other_formats_are_refused(given_format: object) -> None:
    assert status_of(Report("node", "a", 1, given_format)) == [INVALID]


def test_the_first_report_counts_and_results_keep_their_order() -> None:
    held = (Metric(name="a", node_id="n1", value=1),)
    reports = [
        Report("n1", "a", 2),
        Report("n2", "a", 3),
        Report("n1", "!", 4),
        Report("n2", "a", 5),
        Report("n1", "b", 6),
    ]
    metrics, results = add_reports(held, reports)
    assert [result.status for result in results] == [DUPLICATE, OK, INVALID, DUPLICATE, OK]
    assert [(metric.node_id, metric.name, metric.value) for metric in metrics] == [
        ("n1", "a", 1),
        ("n2", "a", 3),
        ("n1", "b", 6),
    ]
    assert results[0].message == "same metric has been reported before: n1/a"


def test_metrics_beyond_the_maximum_are_refused() -> None:
    metrics, results = add_reports((), [Report("n", f"m{number}", number) for number in range(MAX_OF_A_RUN + 3)])
    assert len(metrics) == MAX_OF_A_RUN
    assert [result.status for result in results[-4:]] == [OK, INVALID, INVALID, INVALID]


REPORTS = st.lists(
    st.builds(
        Report,
        node_id=st.sampled_from(["n1", "n2"]) | JSON,
        name=st.sampled_from(["a", "b"]) | st.from_regex(NAME, fullmatch=True) | JSON,
        value=st.floats() | st.integers() | JSON,
        format=st.sampled_from(["RAW", 2]) | JSON,
    ),
    max_size=8,
)


@given(REPORTS, REPORTS)
def test_reported_again_nothing_is_doubled_or_changed(first: list[Report], second: list[Report]) -> None:
    held, results = add_reports((), first)
    assert len(results) == len(first)
    again, repeated = add_reports(held, first)
    assert again == held
    assert OK not in [result.status for result in repeated]
    more, _ = add_reports(held, second)
    assert more[: len(held)] == held
    assert len({(metric.node_id, metric.name) for metric in more}) == len(more)


def file_of(*metrics: Any) -> str:
    return json.dumps({"metrics": list(metrics)})


def test_a_node_id_in_the_file_is_ignored() -> None:
    reports, problem = read_metrics_file(
        file_of({"name": "a", "numberValue": 0.9, "format": "PERCENTAGE", "nodeId": "x"}), "n1"
    )
    assert problem == ""
    assert reports == [Report("n1", "a", 0.9, "PERCENTAGE")]


def test_an_invalid_metric_does_not_affect_others() -> None:
    reports, _ = read_metrics_file(file_of({"name": "a"}, "junk", {"name": "b", "number_value": 2}), "n1")
    assert status_of(*reports) == [OK, INVALID, OK]


def test_nan_is_refused_by_name_and_does_not_spoil_the_file() -> None:
    reports, problem = read_metrics_file(
        '{"metrics": [{"name": "loss", "numberValue": NaN}, {"name": "a", "numberValue": 1}]}', "n"
    )
    assert problem == ""
    assert status_of(*reports) == [INVALID, OK]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "no list"),
        ('{"metrics": {}}', "no list"),
        ("[" * 9999, "nested deeper than 100 levels"),
    ],
)
def test_an_invalid_metrics_file_gives_a_message(text: str, said: str) -> None:
    reports, problem = read_metrics_file(text, "n")
    assert reports == [] and said in problem


def test_metrics_beyond_the_limit_of_a_file_are_reported() -> None:
    reports, problem = read_metrics_file(file_of(*({"name": f"m{number}"} for number in range(MAX_OF_A_FILE + 2))), "n")
    assert len(reports) == MAX_OF_A_FILE
    assert problem == f"has {MAX_OF_A_FILE + 2} metrics; the last 2 were left out"


@given(JSON.map(json.dumps) | st.text())
def test_any_metrics_file_gives_reports_or_a_message(text: str) -> None:
    reports, _ = read_metrics_file(text, "n")
    add_reports((), reports)


@pytest.mark.parametrize(
    "value", ["x" * 1_000_000, "1" + " " * 200 + "0", [1] * 100_000, {"a": "b" * 100_000}, 10**4000, -(10**4000)]
)
@pytest.mark.parametrize("field", ["name", "numberValue", "format"])
def test_a_report_keeps_no_large_value(field: str, value: object) -> None:
    (report,), problem = read_metrics_file(file_of({"name": "a", field: value}), "n")
    assert problem == ""
    assert all(len(str(one)) <= 130 for one in (report.name, report.value, report.format))
    (result,) = add_reports((), [report])[1]
    assert result.status is ReportStatus.INVALID_ARGUMENT
    assert len(result.message) < 400
