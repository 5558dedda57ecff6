"""Logs: whole lines with their node before them, and which pods there is something to read of."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from runwright.kubectl.logs import LineCutter, archived_nodes, read_pod

RUN = "train"


def pod(path: str, *states: tuple[str, str]) -> dict[str, Any]:
    statuses = [{"name": name, "state": {state: {}}} for name, state in states]
    return {
        "metadata": {
            "name": "train-fit-7",
            "namespace": "team",
            "labels": {"workflows.argoproj.io/workflow": RUN},
            "annotations": {"workflows.argoproj.io/node-id": "train-7", "workflows.argoproj.io/node-name": path},
        },
        "status": {"containerStatuses": statuses},
    }


def test_a_pod_is_called_as_its_node():
    assert read_pod(pod("train.fit(0)"), "main").label == "fit(0)"
    assert read_pod(pod("train[0].fit"), "main").label == "[0].fit"
    assert read_pod(pod("train"), "main").label == "train"
    assert read_pod({"metadata": {"name": "other"}}, "main").label == "other"


def test_a_container_has_a_log_once_it_has_begun():
    assert not read_pod(pod("train", ("main", "waiting")), "main").ready
    assert read_pod(pod("train", ("main", "running")), "main").ready
    assert read_pod(pod("train", ("wait", "running"), ("main", "terminated")), "main").ready
    assert not read_pod(pod("train", ("wait", "running")), "main").ready
    assert read_pod(pod("train", ("wait", "running")), "wait").ready


def test_archived_logs_are_read_of_pods_that_have_gone():
    kept = {"artifacts": [{"name": "main-logs"}]}
    nodes = {
        "train": {"type": "DAG", "outputs": kept},
        "train-1": {"type": "Pod", "displayName": "late", "startedAt": "2026-11-26T12:00:09Z", "outputs": kept},
        "train-2": {"type": "Pod", "displayName": "early", "startedAt": "2026-11-26T12:00:01Z", "outputs": kept},
        "train-3": {"type": "Pod", "displayName": "there", "outputs": kept},
        "train-4": {"type": "Pod", "displayName": "none", "outputs": {"artifacts": [{"name": "model"}]}},
    }
    assert archived_nodes({"status": {"nodes": nodes}}, ["train-3"]) == [("train-2", "early"), ("train-1", "late")]


@given(st.lists(st.binary(max_size=30)), st.binary(max_size=5).filter(lambda prefix: b"\n" not in prefix))
def test_lines_come_whole_however_they_are_cut(pieces: list[bytes], prefix: bytes):
    cutter = LineCutter(prefix)
    found = b"".join(cutter.add(piece) for piece in pieces) + cutter.end()
    whole = b"".join(pieces)
    lines = whole.split(b"\n")
    if not lines[-1]:
        lines.pop()
    assert found == b"".join(prefix + line + b"\n" for line in lines)


def test_a_line_without_an_end_is_not_kept_for_ever():
    cutter = LineCutter(b"")
    assert sum(len(cutter.add(b"x" * 10_000)) for _ in range(100)) > 900_000
