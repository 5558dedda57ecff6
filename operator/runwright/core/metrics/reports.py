"""Metrics that a run reports: ReportRunMetrics of run.proto.

A metric is known by its node and its name, and its first report holds for good. Each one stands alone: a bad one hides no
other. The rules are KFP 1.8.22's, which are wider than the words of the contract (docs/run-metrics.md has both).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, cast

from runwright.api.pipelinerun import Metric

METRICS_OUTPUT = "mlpipeline-metrics"
"""Name of the output artifact or parameter in which a KFP step leaves its metrics."""

NAME = re.compile(r"[a-zA-Z]([-_a-zA-Z0-9]{0,62}[a-zA-Z0-9])?")
"""What KFP's server takes; run.proto's comment has 63 characters, and neither capitals nor underscores."""

MAX_NODE_ID = 128
"""Bytes of a node's id (run.proto)."""

MAX_OF_A_FILE = 50
"""Metrics that are taken from one file, as many as KFP's agent takes."""

MAX_OF_A_RUN = 256
"""Metrics that a run holds: with them, its status stays some 20 KB in etcd."""

MAX_FILE = 1024 * 1024
"""Bytes of a metrics file, unpacked."""

FORMATS: tuple[Literal["UNSPECIFIED", "RAW", "PERCENTAGE"], ...] = ("UNSPECIFIED", "RAW", "PERCENTAGE")
"""In the order of their numbers in run.proto."""


class ReportStatus(StrEnum):
    """What became of a reported metric (`ReportRunMetricResult.Status`)."""

    OK = "OK"
    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    DUPLICATE_REPORTING = "DUPLICATE_REPORTING"
    INTERNAL_ERROR = "INTERNAL_ERROR"


@dataclass(frozen=True, slots=True)
class Report:
    """A metric as somebody reports it: anything may stand in it."""

    node_id: object
    name: object
    value: object = 0.0
    format: object = "UNSPECIFIED"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one report, in the words of the contract."""

    name: str
    node_id: str
    status: ReportStatus
    message: str = ""


def add_reports(held: Sequence[Metric], reports: Iterable[Report]) -> tuple[list[Metric], list[Result]]:
    """The metrics of a run once these were reported, and a result for each report, in their order."""
    metrics = list(held)
    known = {(metric.node_id, metric.name) for metric in metrics}
    results: list[Result] = []
    for one in reports:
        name, node_id = text_or_empty(one.name), text_or_empty(one.node_id)
        accepted = check_report(one)
        if isinstance(accepted, str):
            results.append(Result(name, node_id, ReportStatus.INVALID_ARGUMENT, accepted))
        elif (accepted.node_id, accepted.name) in known:
            message = f"same metric has been reported before: {accepted.node_id}/{accepted.name}"
            results.append(Result(name, node_id, ReportStatus.DUPLICATE_REPORTING, message))
        elif len(metrics) >= MAX_OF_A_RUN:
            message = f"the run holds {MAX_OF_A_RUN} metrics already, which is as many as it may"
            results.append(Result(name, node_id, ReportStatus.INVALID_ARGUMENT, message))
        else:
            metrics.append(accepted)
            known.add((accepted.node_id, accepted.name))
            results.append(Result(name, node_id, ReportStatus.OK))
    return metrics, results


def check_report(one: Report) -> Metric | str:
    """The metric, or what is wrong with the report: which field, and what was expected."""
    if not isinstance(one.name, str) or NAME.fullmatch(one.name) is None:
        return f"name: expected up to 64 letters, digits, - and _, from a letter to a letter or digit; found {quote_json(one.name)}"
    if not isinstance(one.node_id, str) or not 1 <= len(one.node_id.encode("utf-8", "replace")) <= MAX_NODE_ID:
        return f"node_id: expected 1 to {MAX_NODE_ID} bytes, found {quote_json(one.node_id)}"
    value = parse_number(one.value)
    if value is None:
        return f"number_value of {one.name}: expected a number, found {quote_json(one.value)}"
    if not math.isfinite(value):
        return f"number_value of {one.name}: {value} is no finite number"
    kind = parse_format(one.format)
    if kind is None:
        return f"format of {one.name}: expected {', '.join(FORMATS)}, found {quote_json(one.format)}"
    return Metric(name=one.name, node_id=one.node_id, value=value, format=kind)


def parse_number(value: object) -> float | None:
    """A number as JSON or protobuf's JSON has it, where it may stand as text; not finite for NaN and the infinities."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None if isinstance(value, str) else math.inf


def parse_format(value: object) -> Literal["UNSPECIFIED", "RAW", "PERCENTAGE"] | None:
    """A format by its name or its number in run.proto."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(FORMATS):
        return FORMATS[value]
    return next((one for one in FORMATS if one == value), None)


def read_metrics_file(text: str, node_id: str) -> tuple[list[Report], str]:
    """The reports in a metrics file of a node, and what is wrong with the file as a whole; empty where nothing is.

    The file is `{"metrics": [{"name": …, "numberValue": …, "format": …}]}`; fields beside these are passed over.
    """
    try:
        document: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        return [], f"is no JSON: {error}"
    found = cast(Mapping[str, Any], document).get("metrics") if isinstance(document, Mapping) else None
    if not isinstance(found, list):
        return [], 'has no list "metrics"'
    entries = cast(list[object], found)
    reports = [read_metrics_entry(entry, node_id) for entry in entries[:MAX_OF_A_FILE]]
    beyond = len(entries) - MAX_OF_A_FILE
    return reports, f"has {len(entries)} metrics; the last {beyond} were left out" if beyond > 0 else ""


def read_metrics_entry(entry: object, node_id: str) -> Report:
    """One metric of a file. Whose it is, is known by where it was found, whatever it says itself."""
    if not isinstance(entry, Mapping):
        return Report(node_id, None)
    fields = cast(Mapping[str, object], entry)
    value = fields.get("numberValue", fields.get("number_value", 0.0))
    return Report(node_id, fields.get("name"), value, fields.get("format", "UNSPECIFIED"))


def text_or_empty(value: object) -> str:
    """A name or an id in a result: as it was given, where it is text."""
    return value if isinstance(value, str) else ""


def quote_json(value: object) -> str:
    """What was found, cut where it is long."""
    told = json.dumps(value, default=str, ensure_ascii=True)
    return told if len(told) <= 80 else f"{told[:79]}…"
