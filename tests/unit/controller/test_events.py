"""An Event names its run, and one notice makes one Event."""

from __future__ import annotations

from datetime import timedelta

from runwright.controller.events import MAX_MESSAGE, event_body
from runwright.core.decision import Notice
from tests.unit.controller.records import KEY, NOW, run

FAILED = Notice("Warning", "Failed", "step b failed")


def test_event_names_the_run_and_the_notice():
    event = event_body(run("7"), FAILED, NOW)
    assert event["involvedObject"] == {
        "apiVersion": "runwright.dev/v1alpha1",
        "kind": "PipelineRun",
        "namespace": KEY.namespace,
        "name": KEY.name,
        "uid": "run-uid",
        "resourceVersion": "7",
    }
    assert (event["type"], event["reason"], event["message"]) == ("Warning", "Failed", "step b failed")
    assert event["firstTimestamp"] == event["lastTimestamp"] == "2026-11-24T12:00:00Z"
    assert event["metadata"]["namespace"] == KEY.namespace


def test_event_name_depends_on_the_notice_only():
    def name(notice: Notice, seconds: int = 0) -> str:
        return event_body(run(), notice, NOW + timedelta(seconds=seconds))["metadata"]["name"]

    assert name(FAILED) == name(FAILED, 60)
    assert name(FAILED) != name(Notice("Warning", "Stalled", "other"))


def test_long_message_is_truncated():
    assert len(event_body(run(), Notice("Warning", "Failed", "x" * 5000), NOW)["message"]) == MAX_MESSAGE
