"""Metrics become series with unique labels, newest run first, up to a limit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.core.metrics.reports import MAX_OF_A_RUN
from runwright.core.metrics.series import (
    DEFAULT_LABELS,
    MAX_LABEL,
    LabelError,
    parse_labels,
    sample_metrics,
    select_series,
    sort_samples,
)
from runwright.kube.objects import Key


def run(name: str = "run", at: int = 0, *metrics: tuple[str, float], **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "namespace": "team",
            "name": name,
            "uid": f"uid-{name}",
            "creationTimestamp": f"2026-11-24T10:{at // 60:02}:{at % 60:02}Z",
            "labels": {"branch": "main", "example.org/team": "a"},
        },
        "spec": spec,
        "status": {
            "nodes": [{"id": f"{name}-1", "name": "evaluate"}],
            "metrics": [{"name": name_, "nodeID": f"{name}-1", "value": value} for name_, value in metrics],
        },
    }


def series(labels: tuple[str, ...], limit: int, *runs: dict[str, Any]) -> tuple[dict[tuple[str, ...], float], int]:
    chosen = parse_labels(labels)
    found = {Key("team", one["metadata"]["name"]): sample_metrics(one, chosen) for one in runs}
    return select_series(sort_samples({key: one for key, one in found.items() if one is not None}), limit)


def test_a_sample_has_the_selected_labels():
    assert series(DEFAULT_LABELS, 9, run("a", 0, ("accuracy", 0.9), ("loss", 1))) == (
        {("team", "a", "accuracy", "evaluate"): 0.9, ("team", "a", "loss", "evaluate"): 1.0},
        0,
    )


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("namespace", "team"),
        ("run", "a"),
        ("display-name", "Train"),
        ("pipeline", "nightly"),
        ("experiment", "e-1"),
        ("label:branch", "main"),
        ("label:example.org/team", "a"),
        ("label:absent", ""),
    ],
)
def test_each_label_of_a_run(label: str, expected: str):
    spec = {
        "displayName": "Train",
        "pipeline": {"name": "nightly", "id": "p-1"},
        "references": [{"type": "JOB", "id": "j"}, {"type": "EXPERIMENT", "id": "e-1"}],
    }
    assert series((label,), 9, run("a", 0, ("f1", 1), **spec)) == ({(expected, "f1"): 1.0}, 0)


def test_labels_fall_back_to_the_next_source():
    one = run("a", 0, ("f1", 1), workflow={"templateRef": {"name": "template"}})
    assert series(("display-name", "pipeline"), 9, one) == ({("a", "template", "f1"): 1.0}, 0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("pod",), "'pod': expected node, namespace, run"),
        (("label:",), "expected"),
        (("run", "run"), "'run' is given twice"),
        (("label:a.b", "label:a-b"), "'label_a_b' is given twice"),
    ],
)
def test_an_unsupported_label_is_refused(words: tuple[str, ...], said: str):
    with pytest.raises(LabelError, match=said):
        parse_labels(words)


def test_of_runs_with_the_same_labels_the_newest_counts():
    runs = [run(name, at, ("f1", at)) for name, at in (("b", 5), ("c", 9), ("a", 1))]
    assert series(("namespace",), 1, *runs) == ({("team", "f1"): 9.0}, 0)


def test_the_oldest_series_are_left_out_and_counted():
    runs = [run(name, at, ("f1", at), ("loss", 1)) for name, at in (("old", 1), ("new", 9), ("mid", 5))]
    exposed, beyond = series(("run",), 3, *runs)
    assert exposed == {("new", "f1"): 9.0, ("new", "loss"): 1.0, ("mid", "f1"): 5.0}
    assert beyond == 3


def test_a_long_or_invalid_text_is_a_valid_label_value():
    ((label, name),) = series(("display-name",), 9, run("a", 0, ("f1", 1), displayName="\ud800" + "x" * 500))[0]
    assert len(label) == MAX_LABEL and name == "f1"
    label.encode()


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "id", "value", "type"]), inner)
    ),
    max_leaves=8,
)


@given(
    st.fixed_dictionaries({}, optional={key: anything for key in ("metadata", "spec", "status")}), anything, anything
)
def test_any_object_gives_a_sample_or_none(body: dict[str, Any], metrics: object, nodes: object):
    labels = parse_labels(("node", "run", "namespace", "display-name", "pipeline", "experiment", "label:x"))
    sample_metrics(body, labels)
    sample_metrics({**body, "status": {"metrics": metrics, "nodes": nodes}}, labels)
    sample_metrics({**body, "status": {"metrics": [metrics, {"name": "a", "value": metrics, "nodeID": nodes}]}}, labels)


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 90), st.integers(0, 4)), max_size=12, unique_by=lambda one: one[0]
    ),
    st.integers(0, 8),
    st.sampled_from([("run",), ("namespace",), ("run", "node"), ()]),
)
def test_series_beyond_the_limit_are_counted(runs: list[tuple[int, int, int]], limit: int, labels: tuple[str, ...]):
    objects = [run(f"r{name}", at, *((f"m{n}", n) for n in range(count))) for name, at, count in runs]
    exposed, beyond = series(labels, limit, *objects)
    all_of_them, none = series(labels, 1000, *objects)
    assert none == 0
    assert len(exposed) == min(limit, len(all_of_them))
    assert len(exposed) + beyond == len(all_of_them)
    assert exposed.items() <= all_of_them.items()
    assert series(labels, limit, *reversed(objects)) == (exposed, beyond), "in any order"


def test_what_is_held_of_a_run_and_counted_at_a_scrape_is_bounded(monkeypatch: pytest.MonkeyPatch):
    """A run with more metrics than the operator writes, and more series than are worth a count."""
    many = tuple((f"m{number}", 1.0) for number in range(10_000))
    sample = sample_metrics(run("a", 0, *many), parse_labels(()))
    assert sample is not None and len(sample.names) == MAX_OF_A_RUN
    monkeypatch.setattr("runwright.core.metrics.series.MAX_COUNTED", 100)
    found, beyond = select_series([sample], 10)
    assert (len(found), beyond) == (10, 100)
