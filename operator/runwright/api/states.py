"""Phases, shutdown modes and storage states of a run."""

from __future__ import annotations

from enum import StrEnum


class Phase(StrEnum):
    """Phase of a run: the values of `Run.status` in run.proto."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    SKIPPED = "Skipped"
    FAILED = "Failed"
    ERROR = "Error"

    @property
    def finished(self) -> bool:
        """True if a run in this phase has ended."""
        return self not in (Phase.PENDING, Phase.RUNNING)


class Shutdown(StrEnum):
    """How to end a run early (Argo's `spec.shutdown`)."""

    STOP = "Stop"
    TERMINATE = "Terminate"


class StorageState(StrEnum):
    """Storage state of a run: `Run.storage_state` in run.proto, without its prefix."""

    AVAILABLE = "Available"
    ARCHIVED = "Archived"
