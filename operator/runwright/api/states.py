"""The words for where a run is, in its life and in its storage."""

from __future__ import annotations

from enum import StrEnum


class Phase(StrEnum):
    """Where a run is: the words of `Run.status` in run.proto."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    SKIPPED = "Skipped"
    FAILED = "Failed"
    ERROR = "Error"

    @property
    def finished(self) -> bool:
        """Whether a run in this phase has ended."""
        return self not in (Phase.PENDING, Phase.RUNNING)


class Shutdown(StrEnum):
    """How a run is to be ended early (Argo's `spec.shutdown`)."""

    STOP = "Stop"
    TERMINATE = "Terminate"


class StorageState(StrEnum):
    """Where a run is kept: `Run.storage_state` in run.proto, without its prefix."""

    AVAILABLE = "Available"
    ARCHIVED = "Archived"
