"""Alerts, dashboard and docs/metrics.md use exactly the metrics that the operator exports."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from monitoring.monitoring import COLUMNS, DASHBOARD, ROWS, RULE_OBJECT, RULES, dashboard, rule_object
from runwright.api.states import Phase
from runwright.controller.cache import RunCache
from runwright.controller.finished import FinishedRuns
from runwright.controller.measures import Measures
from runwright.controller.queue import WorkQueue
from runwright.controller.series import RunSeries
from runwright.core.metrics.series import RUN_LABELS
from runwright.kube.errors import ApiError
from runwright.kube.objects import Key
from runwright.kube.supervise import Backoff, Loop, Supervisor
from tests.unit.controller.records import KEY, run
from tests.unit.controller.test_measures import at, seconds

REPOSITORY = Path(__file__).resolve().parents[4]
PAGE = (REPOSITORY / "docs" / "metrics.md").read_text()
ROW = re.compile(r"^\| `(runwright_\w+)` \| (\w+) \| (.*?) ?\| (.+?) \| (.+) \|$", re.MULTILINE)
ALERTS: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
]
CASES: list[dict[str, Any]] = yaml.safe_load((RULES.parent / "rules_test.yaml").read_text())["tests"]
LABEL = re.compile(r'(\w+) *(?:=~|!=|!~|=) *"')


@dataclass(frozen=True)
class Metric:
    """A metric as Prometheus scrapes it."""

    type: str
    labels: frozenset[str]
    help: str


@pytest.fixture
async def exported() -> dict[str, Metric]:
    """All metrics of an operator after one of each action, without process metrics."""
    measures, cache, queue = Measures(), RunCache(), WorkQueue[Key]()
    of_runs = RunSeries(cache, (), 1)
    of_runs.put(KEY, of_runs.read({"status": {"metrics": [{"name": "accuracy", "value": 1}]}}))
    measures.register(cache, FinishedRuns(cache), queue, of_runs)
    cache.put_run(run())
    measures.written(at(None), at(Phase.FAILED, seconds(1), seconds(2), "Failed"), 0.1)
    measures.request("get", "pipelineruns", 200, 0.1)
    measures.object_refused("TooDeep")

    async def fail(_: Key) -> float | None:
        raise ApiError(409, "Conflict", "")

    with pytest.raises(ApiError):
        await measures.timed(fail)(KEY)
    supervisor, loop = Supervisor(), Loop("watches", Backoff())
    measures.registry.register(supervisor)
    with supervisor.shown(loop):
        supervisor.failed(loop, ApiError(503, "ServiceUnavailable", ""))
        text = generate_latest(measures.registry).decode()
    found: dict[str, Metric] = {}
    for family in text_string_to_metric_families(text):
        if family.name.startswith("process_"):
            continue
        name = f"{family.name}_total" if family.type == "counter" else family.name
        assert family.samples, f"{name}: has no sample, so its labels are unknown"
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        found[name] = Metric(family.type, frozenset(labels), family.documentation)
    return found


def series(exported: dict[str, Metric]) -> dict[str, frozenset[str]]:
    """Labels of each series name that PromQL can use."""
    known: dict[str, frozenset[str]] = {
        "up": frozenset(),
        "process_resident_memory_bytes": frozenset(),
        "process_cpu_seconds_total": frozenset(),
    }
    for name, metric in exported.items():
        if metric.type == "histogram":
            known |= {f"{name}_bucket": metric.labels | {"le"}}
            known |= {f"{name}_{part}": metric.labels for part in ("sum", "count")}
        else:
            known[name] = metric.labels
    known["runwright_run_metric"] |= {"node", *RUN_LABELS}
    return known


def used(query: str) -> Iterator[tuple[str, set[str]]]:
    """Each series in a query, with the labels of its selector."""
    for name, selector in re.findall(r"\b((?:runwright|process)_\w+|up\b)(?:\{([^}]*)\})?", query):
        yield name, set(LABEL.findall(selector))


def targets() -> list[str]:
    return [query for row in ROWS for panel in row.panels for query, _ in panel.queries]


def expressions() -> list[str]:
    return [*(alert["expr"] for alert in ALERTS), *targets()]


# --------------------------------------------------------------------------------------------------------- the page
def test_the_table_of_the_page_lists_every_metric(exported: dict[str, Metric]):
    table = {
        name: Metric(kind, frozenset(re.findall(r"`(\w+)`", labels)), meaning)
        for name, kind, labels, _, meaning in ROW.findall(PAGE)
    }
    assert table == exported


def test_names_end_in_the_unit_of_the_table(exported: dict[str, Metric]):
    """https://prometheus.io/docs/practices/naming: base units, and `_total` for counters."""
    units = {name: unit for name, _, _, unit, _ in ROW.findall(PAGE)}
    for name, metric in exported.items():
        assert name.endswith("_total") == (metric.type == "counter")
        for unit in ("seconds", "bytes"):
            assert name.endswith(f"_{unit}") == (units[name] == unit)


def test_the_page_has_one_heading_per_alert():
    section = PAGE.partition("## When an alert fires")[2]
    assert re.findall(r"^### (\w+)$", section, re.MULTILINE) == [alert["alert"] for alert in ALERTS]


def test_the_queries_of_the_page_use_existing_series(exported: dict[str, Metric]):
    known = series(exported)
    for code in re.findall(r"`([^`]*runwright_[^`]*)`", PAGE):
        for name, labels in used(code):
            assert name in known or name in exported, code
            assert labels <= known.get(name, frozenset()) | {"job"}, code


# ------------------------------------------------------------------------------------------------- alerts and dashboard
def test_every_expression_uses_existing_series(exported: dict[str, Metric]):
    known = series(exported)
    for query in expressions():
        names = list(used(query))
        assert names, query
        for name, labels in names:
            assert name in known, query
            assert labels <= known[name] | {"job"}, query
        grouped = {label.strip() for inside in re.findall(r"by \(([^)]*)\)", query) for label in inside.split(",")}
        # With honor_labels, the operator's own metrics have the labels of the target.
        of_target = {"job", "namespace"}
        assert grouped <= {label for name, _ in names for label in known[name]} | of_target, query


def test_the_dashboard_shows_every_metric(exported: dict[str, Metric]):
    shown = {name for query in targets() for name, _ in used(query)}
    for name, metric in exported.items():
        if name != "runwright_build_info":
            assert name in shown or (metric.type == "histogram" and f"{name}_bucket" in shown), name


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_has_severity_texts_and_runbook(alert: dict[str, Any]):
    assert alert["labels"]["severity"] in ("critical", "warning", "info")
    assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
    assert alert["annotations"]["runbook_url"] == f"docs/metrics.md#{alert['alert'].lower()}"
    assert f"### {alert['alert']}\n" in PAGE


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_has_a_test_that_fires_and_one_that_does_not(alert: dict[str, Any]):
    checks = [check for case in CASES for check in case["alert_rule_test"] if check["alertname"] == alert["alert"]]
    assert {bool(check["exp_alerts"]) for check in checks} == {True, False}


def test_every_tested_alert_exists():
    tested = {check["alertname"] for case in CASES for check in case["alert_rule_test"]}
    assert tested == {alert["alert"] for alert in ALERTS}


def test_generated_files_are_up_to_date():
    assert DASHBOARD.read_text() == dashboard(), "run `make generate`"
    assert RULE_OBJECT.read_text() == rule_object(), "run `make generate`"


def test_the_rule_object_contains_the_rules():
    assert yaml.safe_load(rule_object())["spec"] == yaml.safe_load(RULES.read_text())


def test_panels_do_not_overlap():
    document = json.loads(dashboard())
    panels = document["panels"]
    assert [panel["id"] for panel in panels] == list(range(1, len(panels) + 1))
    cells: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= COLUMNS
        covered = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not covered & cells, panel["title"]
        cells |= covered
    titles = [panel["title"] for panel in panels]
    assert len(titles) == len(set(titles))


def test_the_dashboard_uses_exactly_its_variables():
    document = json.loads(dashboard())
    variables = {variable["name"] for variable in document["templating"]["list"]}
    named = set(re.findall(r"\$\{?(\w+)", json.dumps(document))) - {"__rate_interval"}
    assert named == variables


def test_the_scrape_example_has_the_job_of_the_alerts():
    (job,) = yaml.safe_load((RULES.parent / "scrape.yaml").read_text())
    assert job["job_name"] == "runwright"
    assert job["honor_labels"] is True
    assert set(re.findall(r'job="(\w+)"', RULES.read_text())) == {"runwright"}
