"""Which metrics of runs become series of Prometheus: the labels that an admin chose, and no more series than they allow.

Without a limit, every run would leave series of its own behind; so the newest runs come first, and what is beyond the
limit is counted. Runs that have all chosen labels in common are one series, which has the value of the newest of them.
"""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

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
"""Characters of a label's value; what is longer is cut."""

LABEL_PREFIX = "label:"
"""Before the key of a label of the run, where its value is wanted."""

METRIC = "metric"
"""The label that is always there: the metric's name."""

Labels = tuple[str, ...]


class LabelError(ValueError):
    """What was chosen is no label; the message says what there is."""


@dataclass(frozen=True, slots=True)
class ChosenLabel:
    """One label that an admin chose."""

    name: str
    """What Prometheus calls it."""
    of_run: Callable[[Json], str] | None
    """Its value; None where it is each metric's own: that of its node."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The metrics of one run, in few bytes: names and label values of many runs are the same objects."""

    created_at: datetime
    uid: str
    labels: Labels
    """By the chosen labels that are the run's."""
    names: tuple[Labels, ...]
    """Of each metric: its name, and its node where that was chosen."""
    values: array[float]


def parse_labels(words: Iterable[str]) -> tuple[ChosenLabel, ...]:
    """The labels that are meant. Raises LabelError."""
    found = [parse_label(word) for word in words]
    names = [METRIC, *(one.name for one in found)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise LabelError(f"label {twice!r} is there twice; each name can stand for one thing only")
    return tuple(found)


def parse_label(word: str) -> ChosenLabel:
    """The label that a word stands for: one of `RUN_LABELS`, `node`, or `label:KEY`. Raises LabelError."""
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
    """The metrics of a PipelineRun; None where it has none. Never raises: anybody may write to a run."""
    metrics = as_objects(status_of(run).get("metrics"))
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
    """At most `limit` series, by the run's labels and then the metric's, and how many more there would be.

    Metrics of one run that have all labels in common are one series as well, with the value of the last of them.
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
            else:
                beyond.add(labels)
    return series, len(beyond)


def bound_label(value: str) -> str:
    """A text as the value of a label: not too long, and one that UTF-8 can write."""
    return value[:MAX_LABEL].encode("utf-8", "replace").decode()


def as_objects(value: object) -> list[Json]:
    """The items of a list; empty for what is none."""
    return [as_mapping(item) for item in cast(list[object], value)] if isinstance(value, list) else []


def run_label(run: Json, key: str) -> str:
    """The value of a label of the run."""
    return as_text(labels_of(run).get(key))


def status_node_names(run: Json) -> dict[str, str]:
    """What the nodes are called that the run's status has, by their ids."""
    nodes = status_of(run).get("nodes")
    return {
        as_text(node.get("id")): as_text(node.get("name")) for node in as_objects(nodes) if as_text(node.get("name"))
    }


def run_pipeline(run: Json) -> str:
    """The pipeline that a run came from: its name or id, else the template that it runs."""
    spec = spec_of(run)
    pipeline, workflow = as_mapping(spec.get("pipeline")), as_mapping(spec.get("workflow"))
    return (
        as_text(pipeline.get("name"))
        or as_text(pipeline.get("id"))
        or as_text(as_mapping(workflow.get("templateRef")).get("name"))
    )


def run_experiment(run: Json) -> str:
    """The experiment that a run belongs to: its name, else its id."""
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
"""What of a run can be a label."""

DEFAULT_LABELS = ("namespace", "run", "node")


def sort_samples(samples: dict[Key, Sample]) -> list[Sample]:
    """The runs' samples by age; the same ones in the same order after every restart."""
    return sorted(samples.values(), key=lambda one: (one.created_at, one.uid), reverse=True)
