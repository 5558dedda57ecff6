"""Kubernetes Events about runs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from runwright.api.pipelinerun import KIND
from runwright.api.resources import API_VERSION, GROUP
from runwright.core.decision import Notice, event_name
from runwright.core.records import RunRecord

COMPONENT = "runwright"

MAX_MESSAGE = 1024
"""Characters of an Event's message; the API server refuses longer ones."""


def event_body(run: RunRecord, notice: Notice, now: datetime) -> dict[str, Any]:
    """Make the Event of a notice. Its name is a digest of the notice, so that posting it again is refused as AlreadyExists."""
    at = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": event_name(run, notice), "namespace": run.key.namespace},
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "name": run.key.name,
            "namespace": run.key.namespace,
            "uid": run.uid,
            "resourceVersion": run.resource_version,
        },
        "type": notice.type,
        "reason": notice.reason,
        "message": notice.message[:MAX_MESSAGE],
        "source": {"component": COMPONENT},
        "reportingComponent": f"{GROUP}/{COMPONENT}",
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
    }
