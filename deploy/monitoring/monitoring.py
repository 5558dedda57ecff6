"""Writes dashboard.json for Grafana and prometheusrule.yaml for the Prometheus operator. `make generate` runs it.

The panels and their queries are in this module; the alerts are in rules.yaml.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
RULES = HERE / "rules.yaml"
RULE_OBJECT = HERE / "prometheusrule.yaml"
DASHBOARD = HERE / "dashboard.json"

COLUMNS = 24
"""Width of Grafana's grid."""

SOURCE = {"type": "prometheus", "uid": "${source}"}
OPERATOR = 'job="$job"'
RUNS = f'{OPERATOR}, namespace=~"$namespace"'
RATE = "[$__rate_interval]"


@dataclass(frozen=True)
class Panel:
    """One panel: a number (`stat`), or lines over time."""

    title: str
    unit: str
    """Grafana's name: `s`, `bytes`, `percentunit`, `short`, `reqps` …"""
    queries: tuple[tuple[str, str], ...]
    """PromQL, and the legend of its series."""
    kind: str = "timeseries"
    width: int = 8
    help: str = ""
    stacked: bool = False


@dataclass(frozen=True)
class Row:
    """Panels under one heading, side by side."""

    title: str
    panels: tuple[Panel, ...]
    height: int = 8


def quantiles(metric: str, selector: str, *shares: float) -> tuple[tuple[str, str], ...]:
    """Queries and legends of quantiles of a histogram."""
    return tuple(
        (f"histogram_quantile({share}, sum by (le) (rate({metric}_bucket{{{selector}}}{RATE})))", f"p{share * 100:g}")
        for share in shares
    )


ROWS = (
    Row(
        "Now",
        (
            Panel(
                "Operators",
                "short",
                ((f"sum(up{{{OPERATOR}}})", "up"), (f"sum(runwright_leader{{{OPERATOR}}})", "leader")),
                "stat",
                4,
                "Each shard needs exactly one leader.",
            ),
            Panel("Pending", "short", ((f'sum(runwright_runs{{{RUNS}, phase="Pending"}})', ""),), "stat", 4),
            Panel("Running", "short", ((f'sum(runwright_runs{{{RUNS}, phase="Running"}})', ""),), "stat", 4),
            Panel(
                "Finished in an hour",
                "short",
                ((f"sum(increase(runwright_runs_finished_total{{{RUNS}}}[1h]))", ""),),
                "stat",
                4,
            ),
            Panel(
                "Failed of these",
                "percentunit",
                (
                    (
                        f'sum(increase(runwright_runs_finished_total{{{RUNS}, phase=~"Failed|Error"}}[1h]))'
                        f" / sum(increase(runwright_runs_finished_total{{{RUNS}}}[1h]))",
                        "",
                    ),
                ),
                "stat",
                4,
            ),
            Panel(
                "Longest wait for a worker",
                "s",
                ((f"max(runwright_workqueue_oldest_seconds{{{OPERATOR}}})", ""),),
                "stat",
                4,
            ),
        ),
        height=4,
    ),
    Row(
        "Runs",
        (
            Panel(
                "Runs, by phase",
                "short",
                ((f"sum by (phase) (runwright_runs{{{RUNS}}})", "{{phase}}"),),
                stacked=True,
                help="Runs that are not archived.",
            ),
            Panel(
                "Running, by namespace",
                "short",
                ((f'topk(10, sum by (namespace) (runwright_runs{{{RUNS}, phase="Running"}}))', "{{namespace}}"),),
                stacked=True,
            ),
            Panel(
                "Finished, by phase and reason",
                "short",
                (
                    (
                        f"sum by (phase, reason) (increase(runwright_runs_finished_total{{{RUNS}}}{RATE}))",
                        "{{phase}}: {{reason}}",
                    ),
                ),
                stacked=True,
            ),
            Panel(
                "Duration of runs",
                "s",
                quantiles("runwright_run_duration_seconds", OPERATOR, 0.5, 0.95),
                width=12,
                help="From the start of the Workflow to the end of the run. All namespaces.",
            ),
            Panel(
                "Time in queue",
                "s",
                (
                    *quantiles("runwright_run_queue_seconds", OPERATOR, 0.5, 0.95),
                    (f"max(runwright_argo_oldest_seconds{{{OPERATOR}}})", "not yet reconciled by Argo"),
                ),
                width=12,
                help="From the creation of a run to the start of its Workflow. All namespaces.",
            ),
        ),
    ),
    Row(
        "Operator",
        (
            Panel(
                "Mirror lag",
                "s",
                quantiles("runwright_mirror_lag_seconds", OPERATOR, 0.5, 0.9, 0.99),
                help="From the watch event of a Workflow's phase change to the status of its run.",
            ),
            Panel(
                "Reconciling a run",
                "s",
                quantiles("runwright_reconcile_duration_seconds", OPERATOR, 0.5, 0.9, 0.99),
            ),
            Panel(
                "Reconciles, by result",
                "ops",
                (
                    (
                        f"sum by (result) (rate(runwright_reconcile_duration_seconds_count{{{OPERATOR}}}{RATE}))",
                        "{{result}}",
                    ),
                ),
            ),
            Panel(
                "Reconcile errors, by reason",
                "ops",
                ((f"sum by (reason) (rate(runwright_reconcile_errors_total{{{OPERATOR}}}{RATE}))", "{{reason}}"),),
                help="The operator retries each. Conflict is normal.",
            ),
            Panel(
                "Queue",
                "short",
                (
                    (f"sum(runwright_workqueue_depth{{{OPERATOR}}})", "waiting for a worker"),
                    (f"sum(runwright_workqueue_delayed{{{OPERATOR}}})", "delayed"),
                    (f"sum(increase(runwright_workqueue_retries_total{{{OPERATOR}}}{RATE}))", "retries"),
                ),
            ),
            Panel(
                "Restarts of loops, loops that are down, refused objects",
                "short",
                (
                    (
                        f"sum by (loop) (increase(runwright_loop_restarts_total{{{OPERATOR}}}[1h]))",
                        "{{loop}}: restarts in an hour",
                    ),
                    (f"runwright_loop_up{{{OPERATOR}}} == 0", "{{loop}}: down"),
                    (
                        f"sum by (reason) (increase(runwright_objects_refused_total{{{OPERATOR}}}[1h]))",
                        "{{reason}} in an hour",
                    ),
                ),
                help="Refused objects are beyond a bound. The condition Stalled of the run says which.",
            ),
            Panel(
                "Memory",
                "bytes",
                ((f"process_resident_memory_bytes{{{OPERATOR}}}", "{{instance}}"),),
                width=12,
            ),
            Panel(
                "CPU",
                "percentunit",
                ((f"rate(process_cpu_seconds_total{{{OPERATOR}}}{RATE})", "{{instance}}"),),
                width=12,
                help="Share of one core. The operator has one event loop.",
            ),
        ),
    ),
    Row(
        "API server",
        (
            Panel(
                "Requests, by verb and code",
                "reqps",
                (
                    (
                        f"sum by (verb, code) (rate(runwright_api_request_duration_seconds_count{{{OPERATOR}}}{RATE}))",
                        "{{verb}} {{code}}",
                    ),
                ),
                stacked=True,
                help="Without the watches. 0: no reply.",
            ),
            Panel(
                "Requests, by verb and resource",
                "reqps",
                (
                    (
                        "topk(10, sum by (verb, resource) "
                        f"(rate(runwright_api_request_duration_seconds_count{{{OPERATOR}}}{RATE})))",
                        "{{verb}} {{resource}}",
                    ),
                ),
            ),
            Panel(
                "Response time, 99th percentile",
                "s",
                (
                    (
                        "histogram_quantile(0.99, sum by (le, verb) "
                        f"(rate(runwright_api_request_duration_seconds_bucket{{{OPERATOR}}}{RATE})))",
                        "{{verb}}",
                    ),
                ),
            ),
        ),
    ),
    Row(
        "Archive",
        (
            Panel(
                "Snapshots of Workflows",
                "short",
                ((f"sum(increase(runwright_snapshot_size_bytes_count{{{OPERATOR}}}[1h]))", "in an hour"),),
                width=12,
            ),
            Panel(
                "Size of a snapshot",
                "bytes",
                quantiles("runwright_snapshot_size_bytes", OPERATOR, 0.5, 0.99),
                width=12,
                help="Compressed. A Workflow stays if its snapshot is too large for etcd.",
            ),
        ),
    ),
    Row(
        "Run metrics",
        (
            Panel(
                "Metrics of runs",
                "short",
                ((f"topk(20, runwright_run_metric{{{OPERATOR}}})", "{{metric}} {{run}} {{node}}"),),
                width=16,
                help="Needs the operator's option --run-metrics-limit.",
            ),
            Panel(
                "Series left out",
                "short",
                ((f"runwright_run_metrics_left_out{{{OPERATOR}}}", "beyond the limit"),),
                width=8,
            ),
        ),
    ),
)


def variable(name: str, label: str, values: str, several: bool) -> dict[str, Any]:
    """A variable of the dashboard: the values of a label."""
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": values, "refId": name},
        "definition": values,
        "refresh": 2,
        "sort": 1,
        "multi": several,
        "includeAll": several,
        **({"allValue": ".*"} if several else {}),
    }


VARIABLES = (
    {"name": "source", "label": "Data source", "type": "datasource", "query": "prometheus"},
    variable("job", "Job", "label_values(runwright_build_info, job)", several=False),
    variable("namespace", "Namespace of runs", 'label_values(runwright_runs{job="$job"}, namespace)', several=True),
)


def panel_json(panel: Panel, number: int, x: int, y: int, height: int) -> dict[str, Any]:
    """The panel in Grafana's JSON."""
    custom = {"fillOpacity": 20, "stacking": {"mode": "normal"}} if panel.stacked else {"fillOpacity": 0}
    lines = {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}
    number_only = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "none"}
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        **({"description": panel.help} if panel.help else {}),
        "datasource": SOURCE,
        "gridPos": {"x": x, "y": y, "w": panel.width, "h": height},
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "min": 0, **({"custom": custom} if panel.kind == "timeseries" else {})},
            "overrides": [],
        },
        "options": lines if panel.kind == "timeseries" else number_only,
        "targets": [
            {"refId": chr(ord("A") + at), "datasource": SOURCE, "expr": query, "legendFormat": legend}
            for at, (query, legend) in enumerate(panel.queries)
        ],
    }


def panels(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """All panels with their positions."""
    found: list[dict[str, Any]] = []
    y = 0
    for row in rows:
        place = {"x": 0, "y": y, "w": COLUMNS, "h": 1}
        found.append({"id": len(found) + 1, "type": "row", "title": row.title, "gridPos": place, "panels": []})
        x, y = 0, y + 1
        for panel in row.panels:
            if x + panel.width > COLUMNS:
                x, y = 0, y + row.height
            found.append(panel_json(panel, len(found) + 1, x, y, row.height))
            x += panel.width
        y += row.height
    return found


def dashboard() -> str:
    """The text of dashboard.json."""
    document = {
        "uid": "runwright",
        "title": "Runwright",
        "description": "PipelineRuns and their operator. Generated by deploy/monitoring/monitoring.py.",
        "tags": ["runwright", "argo-workflows"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": list(VARIABLES)},
        "panels": panels(ROWS),
    }
    return json.dumps(document, indent=2) + "\n"


def rule_object() -> str:
    """The text of prometheusrule.yaml: the rules as a PrometheusRule."""
    document = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "runwright-operator", "namespace": "runwright-system"},
        "spec": yaml.safe_load(RULES.read_text()),
    }
    header = "# Generated from rules.yaml by `make generate`. Edit that file.\n"
    return header + yaml.safe_dump(document, sort_keys=False, width=120)


if __name__ == "__main__":
    for path, text in ((DASHBOARD, dashboard()), (RULE_OBJECT, rule_object())):
        path.write_text(text)
        print(path.relative_to(HERE.parents[1]))
