"""The head of a run's description: names, phase and times."""

from __future__ import annotations

from datetime import datetime

from runwright.core.status.mirror import format_duration
from runwright.kube.objects import Json, as_text, as_time, key_of, metadata_of, spec_of, status_of


def summary_rows(run: Json, now: datetime) -> list[tuple[str, str]]:
    """Labels and values, without those that are empty."""
    spec, status, key = spec_of(run), status_of(run), key_of(run)
    started, finished = as_time(status.get("startedAt")), as_time(status.get("finishedAt"))
    values = {
        "Name": key.name,
        "Namespace": key.namespace,
        "Display name": as_text(spec.get("displayName")),
        "Phase": as_text(status.get("phase")) or "none yet",
        "Message": as_text(status.get("message")),
        "Progress": as_text(status.get("progress")),
        "Created": as_text(metadata_of(run).get("creationTimestamp")),
        "Started": as_text(status.get("startedAt")),
        "Finished": as_text(status.get("finishedAt")),
        "Duration": as_text(status.get("duration")) or format_duration(started, finished or now) or "",
        "Retries": str(status.get("retries") or ""),
        "Storage": as_text(status.get("storageState")),
    }
    return [(f"{name}:", value) for name, value in values.items() if value]
