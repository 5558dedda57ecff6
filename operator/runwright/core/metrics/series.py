"""Selects the run metrics to expose as Prometheus series: labels and the maximum number of series are options.

Without a limit, every run would add series of its own. The newest runs come first, and series beyond the limit are only
counted. Runs with equal labels share one series, with the value of the newest run.
"""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from runwright.core.metrics.reports import MAX_OF_A_RUN
from runwright.kube.objects import (
    Json,
    Key,
    as_mapping,
    as_text,
    as_time,
    key_of,
    labels_of,
    metadata_of,
    spec_of,
    status_of,
)

MAX_LABEL = 128
"""Characters of a label's value; longer values are cut."""

MAX_COUNTED = 100_000
"""Maximum number of series beyond the limit that are counted: they are held while they are counted."""

LABEL_PREFIX = "label:"
"""Prefix of an option that names a Kubernetes label of the run."""

METRIC = "metric"
"""The label that every series has: the metric's name."""

Labels = tuple[str, ...]


class LabelError(ValueError):
    """Unsupported label; the message lists the valid ones."""


@dataclass(frozen=True, slots=True)
class ChosenLabel:
    """A label that was selected by option."""

    name: str
    """Name of the Prometheus label."""
    of_run: Callable[[Json], str] | None
    """Reads its value from a run; None for the label `node`, which depends on the metric."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The metrics of one run, in few bytes: runs share equal names and label values."""

    created_at: datetime
    uid: str
    labels: Labels
    """Values of the labels that depend on the run."""
    names: tuple[Labels, ...]
    """For each metric: its name, and its node if the label `node` is selected."""
    values: array[float]


def parse_labels(words: Iterable[str]) -> tuple[ChosenLabel, ...]:
    """Parses the labels of the option. Raises LabelError."""
    found = [parse_label(word) for word in words]
    names = [METRIC, *(one.name for one in found)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise LabelError(f"label {twice!r} is given twice; remove one of them")
    return tuple(found)


def parse_label(word: str) -> ChosenLabel:
    """Parses one label: one of `RUN_LABELS`, `node`, or `label:KEY`. Raises LabelError."""
    if word == "node":
        return ChosenLabel(word, None)
    if word in RUN_LABELS:
        return ChosenLabel(word.replace("-", "_"), RUN_LABELS[word])
    key = word.removeprefix(LABEL_PREFIX)
    if key == word or not key:
        known = ", ".join(["node", *RUN_LABELS])
        raise LabelError(f"{word!r}: expected {known}, or label:KEY for a label of the run")
    return ChosenLabel(f"label_{re.sub('[^a-zA-Z0-9_]', '_', key)}", lambda run: run_label(run, key))


def sample_metrics(run: Json, labels: tuple[ChosenLabel, ...]) -> Sample | None:
    """Reads the metrics of a PipelineRun; None if it has none. Never raises, whatever the run contains."""
    metrics = as_objects(status_of(run).get("metrics"))[:MAX_OF_A_RUN]
    by_node = any(label.of_run is None for label in labels)
    shown = status_node_names(run) if by_node else {}
    names: list[Labels] = []
    values = array("d")
    for metric in metrics:
        name, value, node = as_text(metric.get("name")), metric.get("value"), as_text(metric.get("nodeID"))
        if not name or isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            continue
        names.append((bound_label(name), bound_label(shown.get(node, node))) if by_node else (bound_label(name),))
        values.append(value)
    if not names:
        return None
    metadata = metadata_of(run)
    return Sample(
        as_time(metadata.get("creationTimestamp")) or datetime.fromtimestamp(0, UTC),
        as_text(metadata.get("uid")),
        tuple(bound_label(label.of_run(run)) for label in labels if label.of_run is not None),
        tuple(names),
        values,
    )


def select_series(newest_first: Iterable[Sample], limit: int) -> tuple[dict[Labels, float], int]:
    """At most `limit` series, by label values (the run's, then the metric's), and the number of further ones, up to MAX_COUNTED.

    Metrics of one run with equal labels share one series, with the value of the last of them.
    """
    series: dict[Labels, float] = {}
    beyond: set[Labels] = set()
    for one in newest_first:
        of_run: dict[Labels, float] = {
            (*one.labels, *names): value for names, value in zip(one.names, one.values, strict=True)
        }
        for labels, value in of_run.items():
            if labels in series:
                continue
            if len(series) < limit:
                series[labels] = value
            elif len(beyond) < MAX_COUNTED:
                beyond.add(labels)
    return series, len(beyond)


def bound_label(value: str) -> str:
    """Cuts a label value to MAX_LABEL characters and replaces what UTF-8 cannot encode."""
    return value[:MAX_LABEL].encode("utf-8", "replace").decode()


def as_objects(value: object) -> list[Json]:
    """The items of a list; empty if the value is not a list."""
    return [as_mapping(item) for item in cast(list[object], value)] if isinstance(value, list) else []


def run_label(run: Json, key: str) -> str:
    """The value of a Kubernetes label of the run."""
    return as_text(labels_of(run).get(key))


def status_node_names(run: Json) -> dict[str, str]:
    """Display names of the nodes in the run's status, by node id."""
    nodes = status_of(run).get("nodes")
    return {
        as_text(node.get("id")): as_text(node.get("name")) for node in as_objects(nodes) if as_text(node.get("name"))
    }


def run_pipeline(run: Json) -> str:
    """The run's pipeline: name or id, or else the name of its template."""
    spec = spec_of(run)
    pipeline, workflow = as_mapping(spec.get("pipeline")), as_mapping(spec.get("workflow"))
    return (
        as_text(pipeline.get("name"))
        or as_text(pipeline.get("id"))
        or as_text(as_mapping(workflow.get("templateRef")).get("name"))
    )


def run_experiment(run: Json) -> str:
    """The run's experiment: name, or else id."""
    references = spec_of(run).get("references")
    for one in as_objects(references):
        if one.get("type") == "EXPERIMENT":
            return as_text(one.get("name")) or as_text(one.get("id"))
    return ""


RUN_LABELS: dict[str, Callable[[Json], str]] = {
    "namespace": lambda run: key_of(run).namespace,
    "run": lambda run: key_of(run).name,
    "display-name": lambda run: as_text(spec_of(run).get("displayName")) or key_of(run).name,
    "pipeline": run_pipeline,
    "experiment": run_experiment,
}
"""The supported labels that depend on the run."""

DEFAULT_LABELS = ("namespace", "run", "node")


def sort_samples(samples: dict[Key, Sample]) -> list[Sample]:
    """Sorts the runs' samples, newest run first. The order is the same after a restart."""
    return sorted(samples.values(), key=lambda one: (one.created_at, one.uid), reverse=True)
