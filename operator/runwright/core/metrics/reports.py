"""Validates and adds reported run metrics: ReportRunMetrics of run.proto.

Node and name identify a metric, and only its first report counts. An invalid report does not affect the others. The rules are
those of KFP 1.8.22's server, which accepts more than run.proto documents (docs/run-metrics.md has both).
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
from runwright.kube.decoding import BoundsError, load_bounded

METRICS_OUTPUT = "mlpipeline-metrics"
"""Name of the output artifact or parameter with the metrics of a KFP step."""

NAME = re.compile(r"[a-zA-Z]([-_a-zA-Z0-9]{0,62}[a-zA-Z0-9])?")
"""The names that KFP's server accepts; run.proto documents 63 characters, without capitals and underscores."""

MAX_NODE_ID = 128
"""Bytes of a node's id (run.proto)."""

MAX_OF_A_FILE = 50
"""Metrics read from one file, as in KFP's agent."""

MAX_OF_A_RUN = 256
"""Metrics of a run: about 20 KB of its status in etcd."""

MAX_FILE = 1024 * 1024
"""Bytes of a metrics file, unpacked."""

MAX_TEXT, MAX_BITS = 128, 1024
"""Characters of a text, and bits of a number, in a report; a larger number is no finite value of 64 bits."""

FORMATS: tuple[Literal["UNSPECIFIED", "RAW", "PERCENTAGE"], ...] = ("UNSPECIFIED", "RAW", "PERCENTAGE")
"""In the order of their numbers in run.proto."""


class ReportStatus(StrEnum):
    """Result of a reported metric (`ReportRunMetricResult.Status`)."""

    OK = "OK"
    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    DUPLICATE_REPORTING = "DUPLICATE_REPORTING"
    INTERNAL_ERROR = "INTERNAL_ERROR"


@dataclass(frozen=True, slots=True)
class Report:
    """A reported metric, not validated."""

    node_id: object
    name: object
    value: object = 0.0
    format: object = "UNSPECIFIED"


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one report (`ReportRunMetricResult`)."""

    name: str
    node_id: str
    status: ReportStatus
    message: str = ""


def add_reports(held: Sequence[Metric], reports: Iterable[Report]) -> tuple[list[Metric], list[Result]]:
    """The metrics of a run with the valid reports added, and a result for each report, in order."""
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
            message = f"the run already has {MAX_OF_A_RUN} metrics, the maximum"
            results.append(Result(name, node_id, ReportStatus.INVALID_ARGUMENT, message))
        else:
            metrics.append(accepted)
            known.add((accepted.node_id, accepted.name))
            results.append(Result(name, node_id, ReportStatus.OK))
    return metrics, results


def check_report(one: Report) -> Metric | str:
    """The valid metric, or a message with the field, and the expected and the found value."""
    if not isinstance(one.name, str) or NAME.fullmatch(one.name) is None:
        return (
            "name: expected up to 64 letters, digits, - and _, starting with a letter and ending with a letter or digit; "
            f"found {quote_json(one.name)}"
        )
    if not isinstance(one.node_id, str) or not 1 <= len(one.node_id.encode("utf-8", "replace")) <= MAX_NODE_ID:
        return f"node_id: expected 1 to {MAX_NODE_ID} bytes, found {quote_json(one.node_id)}"
    value = parse_number(one.value)
    if value is None:
        return f"number_value of {one.name}: expected a number, found {quote_json(one.value)}"
    if not math.isfinite(value):
        return f"number_value of {one.name}: expected a finite number, found {value}"
    kind = parse_format(one.format)
    if kind is None:
        return f"format of {one.name}: expected {', '.join(FORMATS)}, found {quote_json(one.format)}"
    return Metric(name=one.name, node_id=one.node_id, value=value, format=kind)


def parse_number(value: object) -> float | None:
    """Reads a number of JSON, or of protobuf's JSON, which may be a string; can return NaN and infinities."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None if isinstance(value, str) else math.inf


def parse_format(value: object) -> Literal["UNSPECIFIED", "RAW", "PERCENTAGE"] | None:
    """Reads a format, given by its name or its number in run.proto; None if there is no such format."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(FORMATS):
        return FORMATS[value]
    return next((one for one in FORMATS if one == value), None)


def read_metrics_file(text: str, node_id: str) -> tuple[list[Report], str]:
    """Reads a node's metrics file: the reports in it, and a message about the file, empty if it is valid.

    The file is `{"metrics": [{"name": …, "numberValue": …, "format": …}]}`; other fields are ignored.
    """
    try:
        document: object = load_bounded(text)
    except BoundsError as error:
        return [], f"cannot be read: {error}"
    except ValueError as error:
        return [], f"is not JSON: {error}"
    found = cast(Mapping[str, Any], document).get("metrics") if isinstance(document, Mapping) else None
    if not isinstance(found, list):
        return [], 'has no list "metrics"'
    entries = cast(list[object], found)
    reports = [read_metrics_entry(entry, node_id) for entry in entries[:MAX_OF_A_FILE]]
    beyond = len(entries) - MAX_OF_A_FILE
    return reports, f"has {len(entries)} metrics; the last {beyond} were left out" if beyond > 0 else ""


def read_metrics_entry(entry: object, node_id: str) -> Report:
    """Reads one metric of a file. A node id in it is ignored: the node that wrote the file is used."""
    if not isinstance(entry, Mapping):
        return Report(node_id, None)
    fields = cast(Mapping[str, object], entry)
    value = fields.get("numberValue", fields.get("number_value", 0.0))
    return Report(
        node_id, bound_value(fields.get("name")), bound_value(value), bound_value(fields.get("format", "UNSPECIFIED"))
    )


def bound_value(value: object) -> object:
    """The value if it is small; otherwise a text that is never valid, so that a report keeps no large value in memory."""
    if value is None or isinstance(value, bool | float) or (isinstance(value, str) and len(value) <= MAX_TEXT):
        return value
    if isinstance(value, int):
        return value if value.bit_length() <= MAX_BITS else (math.inf if value > 0 else -math.inf)
    if isinstance(value, str):
        return f"{value[:MAX_TEXT]}…"
    return "a list…" if isinstance(value, list) else "an object…"


def text_or_empty(value: object) -> str:
    """The value if it is a string, otherwise an empty string."""
    return value if isinstance(value, str) else ""


def quote_json(value: object) -> str:
    """The value as JSON, cut to 80 characters."""
    shown = json.dumps(value, default=str, ensure_ascii=True)
    return shown if len(shown) <= 80 else f"{shown[:79]}…"
